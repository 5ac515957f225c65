"""Run in a mount namespace of its own: the disk is looked at as it would be found if the power failed just then.

``python -m tests.posix.power_loss FOLDER TOOL...``. The root lies on ext4 in a file. Before each of these tools that a
step calls, the file is copied: what the kernel still keeps in memory is not in it. Every copy is then mounted, its
journal replayed, and read as a host that boots would find it. Ends with 0 when all is as it must be; prints how many
copies there were.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rollout.model.release import NoService, ReleaseId
from rollout.posix.op import Activate, Deed, Install, Mark, Observe
from rollout.testing.packing import packed
from tests.posix.shells import ShellHost, shell

FILES = {"bin/serve": b"#!/bin/sh\n", **{f"lib/{n}": b"%d" % n * 5000 for n in range(8)}}
RELEASES = {name: packed(name, {**FILES, "VERSION": name.encode()}) for name in ("v1", "v2")}
COPY = """#!/bin/sh
PATH=/usr/bin:/bin
at={copies}/$(date +%s%N).$$
cp --sparse=always {image} $at.new && mv $at.new $at
exec {tool} "$@"
"""


def run(*argv: str | Path) -> None:
    subprocess.run(list(map(str, argv)), check=True, capture_output=True)


def mounted(image: Path, root: Path) -> None:
    # Nothing is written to the disk but what somebody asks for: the timer would come to the help of who forgot.
    run("mount", "-t", "ext4", "-o", "loop,commit=300", image, root)


def traps(folder: Path, image: Path, copies: Path, tools: Sequence[str]) -> Path:
    """Make tools that copy the disk first."""
    folder.mkdir()
    copies.mkdir()
    for tool in tools:
        (folder / tool).write_text(COPY.format(copies=copies, image=image, tool=tool))
        (folder / tool).chmod((folder / tool).stat().st_mode | stat.S_IXUSR)
    return folder


def steps() -> list[Deed]:
    """From nothing to v1, and from v1 to v2."""
    found: list[Deed] = []
    for name, before in (("v1", ""), ("v2", "v1")):
        release = RELEASES[name].release
        found.append(Install(release=release))
        there = Activate(release=release.id, manifest=release.manifest, expect=ReleaseId(before), service=NoService())
        found += [there, Mark(release=release.id, mark="kept")]
    return found


def whole(root: Path, name: str) -> bool:
    """Whether a release is what was installed, byte for byte."""
    place = root / "releases" / name
    text = (place / ".rollout-manifest").read_text()
    if hashlib.sha256(text.encode()).hexdigest() != RELEASES[name].release.manifest:
        return False
    files: Mapping[str, bytes] = {**FILES, "VERSION": name.encode()}
    return all((place / path).read_bytes() == data for path, data in files.items())


def booted(root: Path, host: ShellHost, at: str) -> str:
    """Return what current names on a disk that was found so; it is whole, and so is all that can be seen."""
    current = root / "current"
    name = os.readlink(current).removeprefix("releases/") if current.is_symlink() else ""
    releases = [p.name for p in (root / "releases").iterdir()] if (root / "releases").exists() else []
    assert not name or name in releases, (at, name, releases)
    assert all(whole(root, release) for release in releases), (at, name, releases)
    seen = host.do(Observe(service=NoService()))
    assert (seen.status, seen.fields["current"]) == ("done", name), (at, seen)
    noted = host.do(Mark(release=ReleaseId("v1"), mark="verified"))
    assert noted.status == "done", (at, noted)
    return name


def main(folder: Path, tools: Sequence[str]) -> None:
    """Let the power fail everywhere, then boot each."""
    image, root, copies = folder / "disk", folder / "shop", folder / "copies"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    run("mkfs.ext4", "-q", image)
    mounted(image, root)
    host = ShellHost(shell("dash", folder), root)
    plain = host.shell
    first = traps(folder / "first", image, copies, tools)
    host.shell = replace(plain, env={**plain.env, "PATH": f"{first}:{plain.env['PATH']}"})
    for built in RELEASES.values():
        host.provide(built)
    for step in steps():
        reply = host.do(step)
        assert reply.status == "done", reply
        run("cp", "--sparse=always", image, copies / f"{time.time_ns()}.then")
    run("umount", root)
    host.shell = plain
    found, answered = [], []
    for copy in sorted(copies.iterdir()):
        mounted(copy, root)
        found.append(booted(root, host, copy.name))
        answered += found[-1:] if copy.suffix == ".then" else []
        run("umount", root)
    assert answered == ["", "v1", "v1", "v1", "v2", "v2"], "what was answered is on the disk"
    assert [n for i, n in enumerate(found) if i == 0 or n != found[i - 1]] == ["", "v1", "v2"], found
    print(len(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
