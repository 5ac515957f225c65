"""Killed at any point, a step that is said again ends as if it had been said once.

What a kill leaves is what the simulated host leaves at one of its points, so that the simulation tries the same.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from rollout.model.release import Process, Pull, ReleaseId
from rollout.posix import frame
from rollout.posix.op import Activate, Deed, Identify, Install, Mark, Observe, Op, Prune, Reply, Withdraw
from rollout.posix.pull import request
from rollout.testing.contracts import VOLATILE
from rollout.testing.host import SimulatedHost
from rollout.testing.packing import differing, packed
from tests.artifacts.registry import Registry
from tests.posix.conftest import end_service
from tests.posix.shells import NONCE, Shell, ShellHost, shell

SERVE = b"#!/bin/sh\nexec /bin/sleep 60\n"
V1 = packed("v1", {"bin/serve": SERVE})
V2 = packed("v2", {"bin/serve": SERVE, "VERSION": b"2"})
DELTA, DELTA_PAYLOAD = differing(V1, V2, {"VERSION": b"2"})
SERVICE = Process(command=("./bin/serve",))
TOOLS = (
    *("mv", "sync", "rm", "mkdir", "tar", "sha256sum", "head", "tail", "find", "sort", "cmp", "touch", "ln"),
    *("readlink", "ls", "flock", "setsid", "df", "sed", "chmod", "dd", "uniq", "xargs", "tr", "cp", "curl"),
)
MAX_CALLS = 80

# Each call of a tool takes the next free number (two of one pipe never the same); the one whose turn it is kills
# the whole step (timeout has a group of its own).
_TRAP = """#!/bin/sh
set -C
n=1
until { true >{turns}/$n; } 2>/dev/null; do n=$((n + 1)); done
if read -r last <{turns}/last && [ "$n" -eq "$last" ]; then
    read -r x x x x x session x </proc/self/stat
    kill -9 -$session
    kill -9 0
fi
PATH=/usr/bin:/bin
exec {tool} "$@"
"""


@dataclass(slots=True)
class Killer:
    """A PATH on which every tool may be the one that ends the step."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Killer:
        folder.mkdir()
        for tool in TOOLS:
            trap = folder / tool
            trap.write_text(_TRAP.replace("{turns}", str(folder / "turns")).replace("{tool}", tool))
            trap.chmod(trap.stat().st_mode | stat.S_IXUSR)
        return cls(folder)

    def run(self, host: ShellHost, op: Op, at: int) -> bool:
        """Say an Op, killed before its tool number ``at``; return whether it came to its end before."""
        turns = self.folder / "turns"
        shutil.rmtree(turns, ignore_errors=True)
        turns.mkdir()
        (turns / "last").write_text(f"{at}\n")
        env = {**host.shell.env, "PATH": f"{self.folder}:/usr/bin:/bin"}
        said = subprocess.run(
            host.shell.command(),
            input=host.bytes_of(op),
            env=env,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        return frame.parse(NONCE, said.stdout) is not None


def _activate(name: str, expect: str) -> Activate:
    manifest = {"v1": V1, "v2": V2}[name].release.manifest
    return Activate(release=ReleaseId(name), manifest=manifest, expect=ReleaseId(expect), service=SERVICE)


def _installed(deed: str) -> list[Op]:
    """What was said before: everything is said to both, under the same ids."""
    releases = (V1, V2) if deed in ("activate", "back", "prune") else (V1,)
    said = ShellHost(shell("dash", Path("/")), Path("/srv/shop"))
    return [said.op(Install(release=one.release)) for one in releases]


def _before(deed: str) -> list[Op]:
    """What was said after the copy was made."""
    said = ShellHost(shell("dash", Path("/")), Path("/srv/shop"), sent=2)
    first = [said.op(_activate("v1", ""))]
    return [*first, said.op(_activate("v2", "v1"))] if deed == "back" else first


DEEDS: dict[str, Deed] = {
    "install": Install(release=V2.release),
    "delta": Install(release=V2.release, way=DELTA),
    "linked": Install(release=V2.release, way=replace(DELTA, linked=True)),
    "pull": Install(release=V2.release, way=Pull()),
    "activate": _activate("v2", "v1"),
    "back": _activate("v1", "v2"),
    "withdraw": Withdraw(release=ReleaseId("v1"), service=SERVICE),
    "mark": Mark(release=ReleaseId("v1"), mark="kept"),
    "prune": Prune(releases=(ReleaseId("v2"),), service=SERVICE),
}
LEAST = {
    "install": 15,
    "delta": 20,
    "linked": 24,
    "pull": 17,
    "activate": 15,
    "back": 15,
    "withdraw": 8,
    "mark": 6,
    "prune": 12,
}  # so many calls there are at least


def _template(root: Path, used: Shell, deed: str) -> Path:
    """Make a root with what the deed finds, and nothing running yet."""
    root.mkdir()
    host = ShellHost(used, root)
    for built in (V1, V2):
        host.provide(built)
    for op in _installed(deed):
        host.execute(replace(op, site=host.site))
    return root


def _prepared(root: Path, template: Path, used: Shell, deed: str) -> tuple[ShellHost, Op]:
    shutil.copytree(template, root, symlinks=True)
    host = ShellHost(used, root, sent=4)
    host.payloads["v2"] = DELTA_PAYLOAD if deed in ("delta", "linked") else V2.payload
    for op in _before(deed):
        assert host.execute(replace(op, site=host.site)).status == "done"
    return host, host.op(DEEDS[deed])


Look = frozenset[tuple[str, str]]
LOOKS = (Observe(service=SERVICE), Identify(release=ReleaseId("v1"), service=SERVICE))


def _seen(execute: Callable[[Op], Reply], like: Op) -> Look:
    """What can be asked of a host, without what no two have in common."""
    replies = [execute(replace(like, id="look", do=deed)).fields for deed in LOOKS]
    return frozenset(
        (k, v) for fields in replies for k, v in fields.items() if k not in VOLATILE and not k.startswith("root_")
    )


def _simulated(deed: str, op: Op) -> set[Look]:
    """What the simulated host looks like, stopped at each of its points."""
    found = set()
    for at in count():
        ticks = count(1)
        host = SimulatedHost(clock=lambda ticks=ticks: float(next(ticks)))  # type: ignore[misc]
        for before in (*_installed(deed), *_before(deed)):
            assert host.execute(before).status == "done"
        if at:
            host.stopped(op, at)
        found.add(_seen(host.execute, op))
        if at > host.points:
            return found
    raise AssertionError("there is no end to counting")


LONG = ("back", "delta", "linked", "pull", "prune", "withdraw")
OF_ROW = {"install": "F62", "delta": "F62", "linked": "F62", "pull": "F62"}
MARKS = {d: [pytest.mark.fault(OF_ROW.get(d, "F56")), *([pytest.mark.long] if d in LONG else [])] for d in DEEDS}


@pytest.mark.parametrize("deed", [pytest.param(d, marks=marks) for d, marks in MARKS.items()])
def test_killed_before_each_of_its_calls(tmp_path: Path, deed: str, trusted: tuple[Registry, Path]) -> None:
    killer = Killer.made(tmp_path / "tools")
    server, trust = trusted
    server.content = V2.payload[: V2.release.size]
    used = shell("dash", tmp_path)
    used = replace(used, env={**used.env, "CURL_CA_BUNDLE": str(trust)})
    template = _template(tmp_path / "template", used, deed)
    looked: set[Look] = set()
    expected: set[Look] = set()
    for at in range(1, MAX_CALLS):
        host, op = _prepared(tmp_path / f"root{at}", template, used, deed)
        if deed == "pull":
            host.payloads["v2"] = request(server.url(), {}) + V2.payload[V2.release.size :]
        expected = expected or _simulated(deed, op)
        ended = killer.run(host, op, at)
        _never_half(host)
        looked.add(_seen(host.execute, op))
        assert looked <= expected, f"killed before call {at}, it is as no simulated host ever is"
        reply = host.execute(op)
        assert (reply.status, reply.code) == ("done", ""), (at, reply)
        _as_if_once(host, deed)
        again = host.execute(op)
        assert again == reply, at
        end_service(host.root)
        if ended:
            break
    else:
        raise AssertionError("the step calls more tools than were tried")
    assert at > LEAST[deed]
    assert looked == expected, "a simulated host is as no real one ever is"


def _never_half(host: ShellHost) -> None:
    """What can be seen from outside is complete at every moment."""
    name = host.current()
    assert name in ("", "v1", "v2")
    for release in (host.root / "releases").iterdir():
        assert (release / ".rollout-manifest").exists()
        assert (release / "bin/serve").read_bytes() == SERVE


def _as_if_once(host: ShellHost, deed: str) -> None:
    wanted = {"activate": "v2", "withdraw": ""}.get(deed, "v1")
    seen = host.do(Observe(service=SERVICE)).fields
    assert (seen["current"], seen["running"]) == (wanted, wanted)
    assert deed in ("withdraw", "mark", "prune") or (host.root / "releases/v2/VERSION").read_text() == "2"
    assert deed != "prune" or not [*(host.root / ".rollout/pruned").iterdir(), *(host.root / "releases").glob("v2")]
    assert _processes(host.root) == (1 if wanted else 0)
    assert seen["fresh"] == ("1" if wanted else "0")
    assert not list((host.root / ".rollout").glob("*.tmp"))


def _processes(root: Path) -> int:
    """Count the processes that run below a root."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            alive = (entry / "stat").read_text().rpartition(") ")[2][0] not in "ZX"
            count += alive and os.readlink(entry / "cwd").startswith(f"{root}/releases/")
        except OSError:
            continue
    return count


def test_said_again_under_a_newer_sequence(tmp_path: Path) -> None:
    """As perform does it: an attempt in doubt is followed by one of its own."""
    used = shell("dash", tmp_path)
    host, op = _prepared(tmp_path / "root", _template(tmp_path / "template", used, "activate"), used, "activate")
    assert host.execute(op).fields["switched"] == "1"
    again = replace(op, id="r1-again", epoch=replace(op.epoch, sequence=op.epoch.sequence + 5))
    assert dict(host.execute(again).fields) == {"switched": "0", "restarted": "0", "previous": "v1"}
    assert host.execute(op).code == "E_STALE"
    end_service(host.root)


def test_the_way_back_of_a_switch_that_was_stopped_right_before_the_link_moved(tmp_path: Path) -> None:
    """The record of the switch names the new release, the link the old one: what runs must be proven all the same."""
    used = shell("dash", tmp_path)
    killer = Killer.made(tmp_path / "tools")
    template = _template(tmp_path / "template", used, "activate")
    for at in range(LEAST["activate"] + 5, 0, -1):
        host, op = _prepared(tmp_path / f"root{at}", template, used, "activate")
        killer.run(host, op, at)
        record = (host.root / ".rollout/switched").read_text()
        if host.current() == "v1" and record.startswith("v2 "):
            break
        end_service(host.root)
    else:
        raise AssertionError("no kill came between the record and the link")
    reply = host.do(_activate("v1", "v2"))
    assert (reply.status, reply.fields["switched"]) == ("done", "0")
    seen = host.do(Identify(release=ReleaseId("v1"), service=SERVICE)).fields
    end_service(host.root)
    assert (seen["running"], seen["fresh"]) == ("v1", "1"), "it could never be proven, and its host was stranded"
