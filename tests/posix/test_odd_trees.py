"""Artifacts whose directories, links or names are unusual, and a root that is: installed all the same, or refused."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model.drift import Drift
from rollout.model.host import HostName
from rollout.model.release import ReleaseId, RenderedFile, Shared, SharedFile
from rollout.perform.drift import read
from rollout.posix import manifest
from rollout.posix.op import Inspect, Install
from rollout.posix.rendered import manifest_with
from rollout.testing.packing import Packed, packed
from tests.posix.conftest import nobodys, only_root, tooled
from tests.posix.shells import NAMES, ShellHost

BELOW = {
    "dirs": Shared(dirs=("data/uploads",)),
    "files": Shared(files=(SharedFile(path="data/uploads", content="x"),)),
    "add": Shared(add=("data/uploads",)),
}


@pytest.mark.parametrize("kind", BELOW)
def test_what_is_shared_does_not_lie_below_a_link_of_the_artifact(host: ShellHost, kind: str) -> None:
    """The link may lead anywhere, and what lies there is not the release's to delete."""
    precious = host.root.parent / "elsewhere" / "uploads" / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("x")
    built = packed("v1", {"bin/run": b""}, links={"data": str(precious.parents[1])})
    host.provide(built)
    reply = host.do(Install(release=built.release, shared=BELOW[kind]))
    assert (reply.status, reply.code) == ("refused", "E_SHARED")
    assert "data is a link" in reply.summary
    assert precious.read_text() == "x"
    assert not (host.root / "releases/v1").exists()


def test_a_root_that_hands_its_group_on_is_no_drift(host: ShellHost) -> None:
    host.root.chmod(0o2755)
    built = packed("v1", {"bin/run": b"", "etc/app/a": b"1"})
    host.provide(built)
    assert host.do(Install(release=built.release)).status == "done"
    seen = host.do(Inspect(release=ReleaseId("v1")))
    assert read(Drift(host=HostName("web1")), seen, ()).changes == ()


def test_the_one_directory_may_have_any_name(host: ShellHost) -> None:
    built = packed("v1", {"größe": b"1"}, strip="größe-1.0")
    host.provide(built)
    assert host.do(Install(release=built.release)).status == "done"
    assert (host.root / "releases/v1/größe").read_bytes() == b"1"


def test_a_release_without_its_manifest_is_none(host: ShellHost, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    refuses = '#!/bin/sh\ncase $* in *"/.rollout-manifest") echo "mv: No space left on device" >&2; exit 1;; esac\n'
    (tools / "mv").write_text(refuses + 'exec /bin/mv "$@"\n')
    (tools / "mv").chmod(0o755)
    built = packed("v1", {"bin/run": b""})
    host.provide(built)
    poor = tooled(host, tools)
    poor.provide(built)
    reply = poor.do(Install(release=built.release))
    assert (reply.status, reply.code) == ("refused", "E_DISK")
    assert "No space left on device" in reply.summary
    assert not (host.root / "releases/v1").exists()
    host.sent = poor.sent
    assert host.do(Install(release=built.release)).status == "done"


def closed(members: Sequence[str]) -> Packed:
    """Pack empty files and directories (``x/``), which their owner may not write into."""
    packing = io.BytesIO()
    with tarfile.open(fileobj=packing, mode="w") as tar:
        for name in members:
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type, member.mode = (tarfile.DIRTYPE, 0o555) if name.endswith("/") else (tarfile.REGTYPE, 0o644)
            tar.addfile(member)
    data = packing.getvalue()
    plain = packed("v1", {name: b"" for name in members if not name.endswith("/")}, zipped=False)
    digest = hashlib.sha256(data).hexdigest()
    release = replace(plain.release, artifact=digest, size=len(data))
    return Packed(release=release, payload=data + plain.payload[plain.release.size :])


@only_root
@pytest.mark.parametrize("name", NAMES)
def test_nothing_stays_of_directories_that_nobody_may_write_into(name: str) -> None:
    """Whether the host's tar comes through with them or not."""
    with nobodys(name) as host:
        built = closed(["ro/", "ro/a", "z", "ro/b"])
        host.provide(built)
        assert host.do(Install(release=built.release)).status in ("done", "refused")
        assert [p for p in (host.root / ".rollout").rglob("*") if p.name in ("ro", "a", "z", "b")] == []


@only_root
def test_a_file_is_rendered_into_a_directory_that_nobody_may_write_into() -> None:
    built = closed(["etc/", "etc/a"])
    own = (RenderedFile(path="etc/env", content="x", mode="0640"),)
    text = manifest_with(built.payload[built.release.size :].decode(), own)
    release = replace(built.release, manifest=manifest.digest(text), manifest_size=len(text.encode()))
    with nobodys("dash") as host:
        host.provide(Packed(release=release, payload=built.payload[: built.release.size] + text.encode()))
        reply = host.do(Install(release=release, rendered=own))
        assert reply.status == "done", reply
        assert (host.root / "releases/v1/etc/env").read_text() == "x"
