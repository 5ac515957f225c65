"""Run in a mount namespace of its own: a root on a tiny file system that is filled up, turned read-only, or cut in two.

``python -m tests.posix.small_disk SHELL FAULT FOLDER``; ends with 0 when all is as it must be.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rollout.model.release import Process, ReleaseId
from rollout.posix.op import Activate, Identify, Install, Mark, Observe, Reply
from rollout.testing.packing import packed
from tests.posix.conftest import end_service
from tests.posix.shells import ShellHost, shell

SERVE = b"#!/bin/sh\nexec sleep 60\n"
SERVICE = Process(command=("./bin/serve",))
RELEASES = {name: packed(name, {"bin/serve": SERVE, "VERSION": name.encode()}) for name in ("v1", "v2", "v3")}


def _activate(host: ShellHost, name: str, expect: str) -> Reply:
    manifest = RELEASES[name].release.manifest
    return host.do(Activate(release=ReleaseId(name), manifest=manifest, expect=ReleaseId(expect), service=SERVICE))


def _fill(root: Path, fault: str) -> None:
    """Use up every inode, or every block."""
    try:
        for number in range(100_000):
            with (root / f"filler-{number}").open("wb", buffering=0) as file:
                while fault == "blocks":
                    file.write(b"x" * 4096)
    except OSError:
        return


def _full(host: ShellHost, fault: str) -> None:
    _fill(host.root, fault)
    there = _activate(host, "v2", "v1")
    assert (there.status, host.current()) == ("done", "v2"), there
    back = _activate(host, "v1", "v2")
    assert (back.status, host.current()) == ("done", "v1"), back
    assert host.do(Identify(release=ReleaseId("v1"), service=SERVICE)).fields["running"] == "v1"
    refused = host.do(Install(release=RELEASES["v3"].release))
    assert (refused.status, refused.code) == ("refused", "E_DISK"), refused
    assert not (host.root / "releases/v3").exists()
    for filler in host.root.glob("filler-*"):
        filler.unlink()
    assert host.do(Install(release=RELEASES["v3"].release)).status == "done"


def _read_only(host: ShellHost) -> None:
    end_service(host.root)  # it writes its log there
    while subprocess.run(["mount", "-o", "remount,ro", str(host.root)], check=False).returncode:
        pass
    for reply in (_activate(host, "v2", "v1"), host.do(Mark(release=ReleaseId("v1"), mark="bad"))):
        assert (reply.status, reply.code) == ("refused", "E_ROOT"), reply
    assert host.current() == "v1"
    subprocess.run(["mount", "-o", "remount,rw", str(host.root)], check=True)
    assert _activate(host, "v2", "v1").status == "done"


def _noexec(host: ShellHost) -> None:
    """Whose fault it is that nothing starts: not the release's."""
    subprocess.run(["mount", "-o", "remount,noexec", str(host.root)], check=True)
    there = _activate(host, "v2", "v1")
    assert (there.status, there.code) == ("failed", "E_NOEXEC"), there
    assert "Permission denied" in there.summary, there
    subprocess.run(["mount", "-o", "remount,exec", str(host.root)], check=True)
    assert _activate(host, "v2", "v1").fields["restarted"] == "1"
    assert host.do(Identify(release=ReleaseId("v2"), service=SERVICE)).fields["fresh"] == "1"


def _apart(host: ShellHost, folder: str) -> None:
    """Another disk where what is installed would have to be renamed to, or from."""
    place = host.root / folder
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "none", str(place)], check=True)
    for reply in (host.do(Install(release=RELEASES["v3"].release)), _activate(host, "v2", "v1")):
        assert (reply.status, reply.code) == ("refused", "E_ROOT"), reply
        assert f"{place} is a mount of its own" in reply.summary
    seen = host.do(Observe(service=SERVICE)).fields
    assert (seen["root"], seen["current"]) == ("unsafe", "v1"), seen
    assert "mount the disk at" in seen["root_why"]
    subprocess.run(["umount", str(place)], check=True)
    assert host.do(Install(release=RELEASES["v3"].release)).status == "done"
    assert _activate(host, "v3", "v1").status == "done"


def main(name: str, fault: str, folder: Path) -> None:
    """Mount, install two releases, then let the fault come."""
    root = folder / "shop"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=300,mode=755", "none", str(root)], check=True)
    host = ShellHost(shell(name, folder), root)
    for built in RELEASES.values():
        host.provide(built)
    try:
        for step in (Install(release=RELEASES["v1"].release), Install(release=RELEASES["v2"].release)):
            assert host.do(step).status == "done"
            if step.release.id == "v1":
                assert _activate(host, "v1", "").status == "done"
        if fault == "read-only":
            _read_only(host)
        elif fault == "noexec":
            _noexec(host)
        elif fault.startswith("apart "):
            _apart(host, fault.removeprefix("apart "))
        else:
            _full(host, fault)
    finally:
        end_service(root)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
