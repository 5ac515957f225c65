"""Artifacts that hosts do not unpack themselves, and such as lie elsewhere: on real hosts, by the real command."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.registry import Asked, Registry, authority, serving, status, whole
from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]
SECRET = "s3cr3t-of-the-registry"
WRITTEN = "artifact: dist/shop-{{ version }}.tar.gz"
PLAY = {"healthy_for": "200ms"}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def named(lab: Lab, artifact: str, digest: str = "", more: str = "") -> None:
    """Have the playbook name another artifact."""
    path = lab.playbook(**PLAY)
    lines = [f"artifact: {artifact}", *([f"sha256: {digest}"] if digest else []), *([more] if more else [])]
    path.write_text(path.read_text().replace(WRITTEN, "\n    ".join(lines)))


def tree(lab: Lab, version: str) -> Path:
    """Unpack the tar.gz of a version, beside it."""
    folder = lab.folder / "dist" / version
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", lab.release(version), "-C", folder], check=True)
    return folder


def zipped(lab: Lab, version: str) -> Path:
    folder = tree(lab, version)
    (folder / f"shop-{version}/bin/python").symlink_to("/usr/bin/python3")
    subprocess.run(["zip", "-qry", f"../shop-{version}.zip", f"shop-{version}"], cwd=folder, check=True)
    return lab.folder / "dist" / f"shop-{version}.zip"


def test_a_zip_goes_to_hosts_as_a_tar_and_its_digest_is_shown(lab: Lab) -> None:
    digest = sha256(zipped(lab, "v1"))
    named(lab, "dist/shop-{{ version }}.zip", digest, "allow_links: [/usr/bin/python3]")
    env = {"XDG_CACHE_HOME": str(lab.folder / "cache")}
    planned = lab.type(*lab.words_of("plan", "v1"), env=env)
    assert f"artifact {digest[:16]}, sent as " in planned.stdout, planned.stdout + planned.stderr
    done = lab.type(*lab.words_of("apply", "v1"), env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.all_on("v1")
    links = [lab.fleet.host(h).root / "current/bin/python" for h in lab.hosts]
    assert {os.readlink(link) for link in links} == {"/usr/bin/python3"}
    shown = lab.type("show", lab.last()["id"], "--state", str(lab.state)).stdout
    assert f"artifact {digest}, sent as " in shown
    again = lab.type(*lab.words_of("apply", "v1"), env=env)
    assert "nothing to do" in again.stdout, again.stdout + again.stderr
    assert list((lab.folder / "cache").rglob("*.*")) == []


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    folder = tmp_path / "ca"
    folder.mkdir()
    ca = authority(folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.trust))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ROLLOUT_VAR_TOKEN", f"Bearer {SECRET}")
    with serving(ca.certificate("registry", names=("localhost",))) as one:
        yield one


def for_those_who_say_who_they_are(asked: Asked) -> None:
    known = asked.headers.get("Authorization") == f"Bearer {SECRET}" and SECRET in asked.path
    (whole if known else status(401))(asked)


def fetched_from(lab: Lab, registry: Registry, version: str) -> None:
    """Have the registry hold a version, as a tar.zst, and the playbook name it there."""
    tree(lab, version)
    packed = lab.folder / "dist" / f"shop-{version}.tar.zst"
    subprocess.run(
        ["sh", "-c", f"tar -c shop-{version} | zstd -q >{packed}"], cwd=packed.with_name(version), check=True
    )
    registry.content, registry.answers = packed.read_bytes(), [for_those_who_say_who_they_are] * 20
    url = registry.url(f"/shop-{version}.tar.zst?token={SECRET}")
    headers = "{ Authorization: \"{{ env('ROLLOUT_VAR_TOKEN') }}\" }"
    named(lab, f'{{ url: "{url}", headers: {headers} }}', sha256(packed))


def test_what_lies_elsewhere_is_fetched_once_and_no_secret_is_kept(lab: Lab, registry: Registry) -> None:
    fetched_from(lab, registry, "v1")
    said = []
    for verb, code, asked in (("validate", 0, 0), ("plan", 0, 1), ("apply", 0, 1), ("converge", 0, 1)):
        words = lab.words_of(verb, "v1")
        done = lab.type(*(words[:-2] if verb == "validate" else words))
        said.append(done.stdout + done.stderr)
        assert (done.returncode, len(registry.asked)) == (code, asked), said[-1]
    assert lab.all_on("v1")
    assert f"fetching {registry.url('/shop-v1.tar.zst')}, " in said[1]
    kept = b"".join(p.read_bytes() for p in lab.state.parent.rglob("*") if p.is_file())
    assert registry.url("/shop-v1.tar.zst").encode() in kept
    said.append(json.dumps(lab.events(lab.last()["id"])))
    assert SECRET.encode() not in kept
    assert SECRET not in "".join(said)


@pytest.mark.long
def test_a_rollout_goes_on_with_what_was_fetched(lab: Lab, registry: Registry) -> None:
    fetched_from(lab, registry, "v1")
    crash = [sys.executable, "-m", "tests.e2e.crasher", "after", "3", *lab.words_of("apply", "v1")]
    subprocess.run(crash, capture_output=True, check=False, timeout=60, env=os.environ | {"CI": ""})
    rollout = lab.last()["id"]
    (cached,) = (lab.folder / "cache/rollout/artifacts").iterdir()
    aside = cached.rename(lab.folder / "aside")
    refused = lab.type("resume", rollout, "--state", str(lab.state))
    assert refused.returncode == 6, refused.stdout + refused.stderr
    assert "it asks who is there (401)" in refused.stderr
    assert f"{cached}" in refused.stderr, refused.stderr
    aside.rename(cached)
    done = lab.type("resume", rollout, "--state", str(lab.state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.all_on("v1")


@pytest.mark.long
def test_a_server_that_is_away_stops_no_way_back(lab: Lab, registry: Registry) -> None:
    fetched_from(lab, registry, "v1")
    assert lab.type(*lab.words_of("apply", "v1")).returncode == 0
    for cached in (lab.folder / "cache/rollout/artifacts").iterdir():
        cached.unlink()
    registry.answers = [status(404)] * 20
    done = lab.type(*lab.words_of("converge", "v1"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the artifact is not at hand" in done.stdout + done.stderr
