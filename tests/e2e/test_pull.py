"""Hosts that fetch a release themselves, by the real command: what it takes is told to them alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.lab import hosts
from rollout.lab.loopback import Fleet
from tests.artifacts.registry import Registry, authority, serving
from tests.e2e.lab import Lab
from tests.e2e.test_artifacts import SECRET, WRITTEN, sha256

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
HEADERS = "{ Authorization: \"{{ env('ROLLOUT_VAR_TOKEN') }}\" }"
MARK = "SetEnv {mark}"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A server that the controller trusts, and hosts do that are made from now on."""
    (tmp_path / "ca").mkdir()
    made = authority(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trust))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ROLLOUT_VAR_TOKEN", f"Bearer {SECRET}")
    assert MARK in hosts.CONFIG
    monkeypatch.setattr(hosts, "CONFIG", hosts.CONFIG.replace(MARK, f"{MARK} CURL_CA_BUNDLE={made.trust}"))
    with serving(made.certificate("registry", names=("localhost",))) as one:
        yield one


@pytest.fixture
def lab(registry: Registry, tmp_path: Path) -> Iterator[Lab]:
    fleet = Fleet.up(tmp_path / "lab", 2, check_ms=100)
    (tmp_path / "play").mkdir()
    yield Lab(fleet=fleet, folder=tmp_path / "play")
    fleet.down()


def named(lab: Lab, registry: Registry, version: str) -> None:
    """Have the registry hold a version, and the playbook say that hosts fetch it there."""
    held = lab.release(version)
    registry.content = held.read_bytes()
    url = registry.url(f"/shop-{version}.tar.gz?token={SECRET}")
    path = lab.playbook(extra="min_in_service: 1", healthy_for="200ms")
    lines = (f'artifact: {{ url: "{url}", headers: {HEADERS} }}', f"sha256: {sha256(held)}", "transfer: pull")
    path.write_text(path.read_text().replace(WRITTEN, "\n    ".join(lines)))


def test_hosts_fetch_it_and_no_secret_is_kept(lab: Lab, registry: Registry) -> None:
    named(lab, registry, "v1")
    done = lab.type(*lab.words_of("apply", "v1"))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert lab.all_on("v1")
    assert "all of it, fetched there by curl, to lab1, lab2, " in said
    asked = [(path, headers["Authorization"]) for path, headers in registry.asked]
    assert asked == [(f"/shop-v1.tar.gz?token={SECRET}", f"Bearer {SECRET}")] * 3, "the controller, and each host"
    # What is not what it was stops before any host is out, and leaves nothing that is secret.
    named(lab, registry, "v2")
    planned = lab.type(*lab.words_of("plan", "v2"))
    assert planned.returncode == 0, planned.stdout + planned.stderr
    registry.content = registry.content[:-1]
    refused = lab.type(*lab.words_of("apply", "v2"))
    assert refused.returncode != 0
    assert "the artifact that arrived is not the one that was sent" in refused.stdout + refused.stderr
    assert lab.all_on("v1")
    said += planned.stdout + planned.stderr + refused.stdout + refused.stderr
    said += json.dumps(lab.events(lab.last()["id"]))
    kept = [p for p in (*lab.state.parent.rglob("*"), *lab.fleet.folder.rglob("*")) if p.is_file()]
    assert [p for p in kept if SECRET.encode() in p.read_bytes()] == []
    assert SECRET not in said
