"""What a host refuses, and that a refusal has changed nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model.release import NoService, ReleaseId, Shared, SharedFile
from rollout.posix.op import Activate, Identify, Install, Mark, Observe
from rollout.testing.contracts import RELEASES, activate
from rollout.testing.packing import Packed, packed
from tests.posix.shells import ShellHost

V1 = RELEASES["v1"]
KEPT = Mark(release=ReleaseId("v1"), mark="kept")


def _link(root: Path, name: str) -> None:
    (root.parent / f"away-{name}").mkdir()
    (root / name).symlink_to(root.parent / f"away-{name}")


UNSAFE: dict[str, tuple[Callable[[Path], object], str]] = {
    "root writable by everybody": (lambda r: r.chmod(0o777), "chmod o-w"),
    "root writable by a foreign group": (lambda r: (os.chown(r, -1, 12345), r.chmod(0o775)), "group 12345"),
    "releases is a link": (lambda r: _link(r, "releases"), "releases"),
    "shared is a link": (lambda r: _link(r, "shared"), "shared"),
    ".rollout is a link": (lambda r: _link(r, ".rollout"), ".rollout"),
    "root is a link": (lambda r: (r.rename(r.parent / "real"), r.symlink_to("real")), "symbolic link"),
    "root is a file": (lambda r: (r.rmdir(), r.write_text("")), "install -d"),
    "root is missing": (lambda r: r.rmdir(), "install -d -o "),
    "parent writable by everybody": (lambda r: r.parent.chmod(0o777), "chmod o-w"),
}


@pytest.mark.fault("F60")
@pytest.mark.parametrize("case", UNSAFE)
def test_a_path_that_others_could_exchange(host: ShellHost, case: str) -> None:
    spoil, said = UNSAFE[case]
    spoil(host.root)
    reply = host.do(KEPT)
    assert (reply.status, reply.code) == ("refused", "E_ROOT")
    assert said in reply.summary
    assert not (host.root / ".rollout/ledger").exists()
    seen = host.do(Observe(service=NoService())).fields
    assert seen["root"] in ("unsafe", "missing")


def test_a_sticky_parent_is_fine(host: ShellHost) -> None:
    host.root.parent.chmod(0o1777)
    assert host.do(KEPT).status == "done"


def _with(built: Packed, **changed: object) -> Packed:
    return Packed(release=replace(built.release, **changed), payload=built.payload)  # type: ignore[arg-type]


def _lying(name: str, files: dict[str, bytes], told: dict[str, bytes]) -> Packed:
    """Pack files under a manifest that tells of others."""
    real, other = packed(name, files), packed(name, told)
    text = other.payload[other.release.size :]
    release = replace(real.release, manifest=other.release.manifest, manifest_size=len(text))
    return Packed(release=release, payload=real.payload[: real.release.size] + text)


def _garbage() -> Packed:
    data = b"not an archive" * 100
    release = replace(V1.release, artifact=hashlib.sha256(data).hexdigest(), size=len(data))
    return Packed(release=release, payload=data + V1.payload[V1.release.size :])


SPOILED: dict[str, tuple[Packed, str]] = {
    "another artifact": (_with(V1, artifact="0" * 64), "E_DIGEST"),
    "another manifest": (_with(V1, manifest="0" * 64), "E_DIGEST"),
    "a file more": (_lying("v1", {"a": b"1", "b": b"2"}, {"a": b"1"}), "E_MANIFEST"),
    "a file less": (_lying("v1", {"a": b"1"}, {"a": b"1", "b": b"2"}), "E_MANIFEST"),
    "other content": (_lying("v1", {"a": b"1"}, {"a": b"2"}), "E_MANIFEST"),
    "another name": (_lying("v1", {"a": b"1"}, {"b": b"1"}), "E_MANIFEST"),
    "may be executed or not": (_lying("v1", {"a": b"1"}, {"bin/a": b"1"}), "E_MANIFEST"),
    "not an archive": (_garbage(), "E_UNPACK"),
    "another top directory": (_with(V1, strip="elsewhere"), "E_MANIFEST"),
    "more than the disk holds": (_with(V1, unpacked=1 << 60), "E_DISK"),
}


@pytest.mark.fault("F53")
@pytest.mark.parametrize("case", SPOILED)
def test_what_is_not_the_release_is_not_installed(host: ShellHost, case: str) -> None:
    built, code = SPOILED[case]
    host.provide(built)
    reply = host.do(Install(release=built.release))
    assert (reply.status, reply.code) == ("refused", code)
    assert not (host.root / "releases/v1").exists()
    incoming = host.root / ".rollout/incoming"
    assert not incoming.exists() or not list(incoming.iterdir())
    host.provide(V1)
    assert host.do(Install(release=V1.release)).status == "done"


def test_a_link_that_leads_elsewhere_is_seen(host: ShellHost) -> None:
    real = packed("v1", {"a": b""}, links={"l": "a"})
    told = packed("v1", {"a": b""}, links={"l": "b"})
    text = told.payload[told.release.size :]
    built = Packed(
        release=replace(real.release, manifest=told.release.manifest, manifest_size=len(text)),
        payload=real.payload[: real.release.size] + text,
    )
    host.provide(built)
    assert host.do(Install(release=built.release)).code == "E_MANIFEST"


def test_a_shared_file_that_must_be_there(host: ShellHost) -> None:
    host.provide(V1)
    shared = Shared(files=(SharedFile(path="config/key"),))
    seen = host.do(Observe(service=NoService(), shared=shared)).fields
    assert seen["shared.0"] == "missing"
    reply = host.do(Install(release=V1.release, shared=shared))
    assert (reply.status, reply.code) == ("refused", "E_SHARED")
    assert not (host.root / "releases/v1").exists()
    (host.root / "shared/config").mkdir(parents=True)
    (host.root / "shared/config/key").write_text("k")
    assert host.do(Install(release=V1.release, shared=shared)).status == "done"
    assert (host.root / "releases/v1/config/key").read_text() == "k"


@pytest.mark.fault("F22")
def test_an_epoch_that_cannot_be_read(host: ShellHost) -> None:
    host.do(KEPT)
    (host.root / ".rollout/epoch").write_text("garbage\n")
    assert host.do(KEPT).code == "E_EPOCH"


@pytest.mark.fault("F58")
@pytest.mark.parametrize(
    ("written", "code"),
    [("VERSION", "E_TAMPERED"), ("bin/serve", "E_TAMPERED"), ("cache.pyc", ""), ("log/today", "")],
)
def test_what_is_written_into_a_release(host: ShellHost, written: str, code: str) -> None:
    """What was installed must be as it was; what a release adds, or writes to what is shared, is its own."""
    built = packed("v1", {"bin/serve": b"", "VERSION": b"1", "log/.keep": b""})
    host.provide(built)
    host.do(Install(release=built.release, shared=Shared(dirs=("log",))))
    (host.root / "releases/v1" / written).write_text("changed")
    deed = Activate(release=ReleaseId("v1"), manifest=built.release.manifest, expect="", service=NoService())
    reply = host.do(deed)
    assert reply.code == code
    assert host.current() == ("" if code else "v1")


def test_a_process_of_somebody_else_is_not_ours(host: ShellHost) -> None:
    """A pid file whose process id was given to another process names nobody."""
    host.provide(V1)
    host.do(Install(release=V1.release))
    (host.root / ".rollout/pid").write_text(f"{os.getpid()} 1 boot\n")
    assert host.do(activate("v1")).status == "done"
    mine = (host.root / ".rollout/pid").read_text().split()
    (host.root / ".rollout/pid").write_text(f"{os.getpid()} {mine[1]} {mine[2]}\n")
    service = activate("v1").service
    assert host.do(Identify(release=ReleaseId("v1"), service=service)).fields["pid"] == ""
    (host.root / ".rollout/pid").write_text(" ".join(mine) + "\n")


@pytest.mark.fault("F66")
def test_a_machine_that_is_not_the_one_that_was_looked_at(host: ShellHost) -> None:
    seen = host.do(Observe(service=NoService())).fields["machine_id"]
    assert seen, "this machine has an id"
    host.provide(V1)
    op = host.op(Install(release=V1.release))
    reply = host.execute(replace(op, site=replace(op.site, machine="0" * 32)))
    assert (reply.status, reply.code) == ("refused", "E_IDENTITY")
    assert seen in reply.summary
    assert not (host.root / "releases").exists()
    assert host.execute(replace(op, site=replace(op.site, machine=seen))).status == "done"
