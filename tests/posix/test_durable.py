"""What must be on the disk before what: seen by strace, in the order in which the kernel was asked."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from rollout.model.release import NoService, ReleaseId
from rollout.posix.op import Activate, Deed, Install
from rollout.testing.contracts import RELEASES
from tests.posix.shells import NAMES, ShellHost, shell

V1 = RELEASES["v1"]
ACTIVATE = Activate(release=ReleaseId("v1"), manifest=V1.release.manifest, expect="", service=NoService())
CALLS = "rename,renameat,renameat2,fsync,fdatasync,syncfs,sync"

# For each: what was asked first, then what; each a pattern over lines "rename FROM TO" and "sync WHAT".
ORDER: dict[str, tuple[Deed, list[tuple[str, str]]]] = {
    "install": (
        Install(release=V1.release),
        [
            (r"sync .*epoch\.tmp", r"rename .*epoch\.tmp .*epoch"),
            (r"rename .*epoch\.tmp .*epoch", r"rename .* releases/v1"),
            (r"(sync .*tree|sync all)", r"rename .* releases/v1"),
            (r"rename .* releases/v1", r"sync .*releases"),
            (r"sync .*releases", r"rename .*ops/r1-2\.tmp .*"),
            (r"sync .*ops/r1-2\.tmp", r"rename .*ops/r1-2\.tmp .*"),
        ],
    ),
    "activate": (
        ACTIVATE,
        [
            (r"sync .*epoch\.tmp", r"rename .*epoch\.tmp .*epoch"),
            (r"rename .*epoch\.tmp .*epoch", r"rename .*next-v1 current"),
            (r"rename .*switched\.tmp .*switched", r"rename .*next-v1 current"),
            (r"rename .*next-v1 current", r"sync .*shop$"),
            (r"sync .*shop$", r"rename .*ops/r1-2\.tmp .*"),
            (r"sync .*ops/r1-2\.tmp", r"rename .*ops/r1-2\.tmp .*"),
        ],
    ),
}


def _asked(trace: str) -> list[str]:
    """Read what was asked of the kernel and succeeded."""
    asked = []
    for line in trace.splitlines():
        if not line.endswith(" = 0"):
            continue
        name = re.search(r"(\w+)\(", line)
        names = re.findall(r'"([^"]*)"', line)
        held = re.search(r"\(\d+<([^>]*)>", line)
        if name is None:
            continue
        if name[1].startswith("rename"):
            asked.append(f"rename {names[0]} {names[1]}")
        else:
            asked.append(f"sync {held[1] if held else 'all'}")
    return asked


@pytest.mark.fault("F57")
@pytest.mark.parametrize("deed", ORDER)
@pytest.mark.parametrize("name", NAMES)
def test_order(name: str, deed: str, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    host = ShellHost(shell(name, tmp_path), root, sent=1)
    host.provide(V1)
    if deed == "activate":
        host.execute(host.op(Install(release=V1.release), sequence=1))
        host.sent = 1
    op = host.op(ORDER[deed][0])
    trace = tmp_path / "trace"
    strace = ["/usr/bin/strace", "-f", "-y", "-s", "400", "-e", f"trace={CALLS}", "-o", str(trace)]
    command = host.shell.command()
    subprocess.run(
        [*strace, *command], input=host.bytes_of(op), env=dict(host.shell.env), capture_output=True, check=True
    )
    asked = _asked(trace.read_text())
    for first, then in ORDER[deed][1]:
        ends = [i for i, line in enumerate(asked) if re.fullmatch(then, line)]
        begins = [i for i, line in enumerate(asked) if re.fullmatch(first, line)]
        assert begins, (first, asked)
        assert ends, (then, asked)
        assert begins[0] < ends[-1], (first, then, asked)
