"""Contracts: what every implementation of a port must do, the simulated ones and the real ones alike.

The host contract is a table of scenarios. Each is a sequence of Ops and of things that somebody does
to the host by hand; after each of them two hosts must have given the same answer and look the same.
Times and process ids are theirs, and so are summaries and tails, which are for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from rollout.model.release import NoService, Process, ReleaseId, Service, Site
from rollout.model.task import Task
from rollout.posix.op import (
    Activate,
    Close,
    Deed,
    Epoch,
    Identify,
    Inspect,
    Install,
    Mark,
    Observe,
    Op,
    ReadManifest,
    Reply,
    RunTask,
    Settle,
    Withdraw,
)
from rollout.testing.behaviour import Build, TaskEnd
from rollout.testing.packing import Packed, differing, packed

Act = (
    Literal["point v1", "point v2", "directory", "outside", "remove", "kill", "tamper v1", "foreign", "bare", "reboot"]
    | Literal["forget results", "forget the link", "other tool", "other content", "hold", "let go", "no zstd"]
)
SERVE = b"#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 0.05; done\n"
RELEASES: Mapping[str, Packed] = {
    "v1": packed("v1", {"bin/serve": SERVE, "VERSION": b"1"}),
    "v2": packed(
        "v2", {"bin/serve": SERVE, "a b/it's": b"2"}, links={"link": "a b/it's"}, strip="shop-2", zipped=False
    ),
    "v2 again": packed("v2", {"bin/serve": SERVE, "VERSION": b"other"}),
    "dud": packed("dud", {"VERSION": b"3"}),  # nothing that could be started
    "v3": packed("v3", {"bin/serve": SERVE, "VERSION": b"1", "new": b"3"}),
}
DELTA, DELTA_PAYLOAD = differing(RELEASES["v1"], RELEASES["v3"], {"new": b"3"})
BUILDS: Mapping[str, Build] = {"dud": Build(starts=False)}
SERVICE = Process(command=("./bin/serve", "a b'c"), stop_timeout_s=2)

# What no two hosts have in common.
VOLATILE = frozenset(
    (
        "pid",
        "started",
        "linked",
        "boot_id",
        "init_started",
        "machine_id",
        "user",
        "tools",
        "fetches",
        "patches",
        "free_bytes",
        "free_inodes",
    )
) | {
    *("holder", "root_why", "sudo_why", "was.summary", "link", "lies", "files", "bytes"),
    *("marked", "clock", "was.marked", "was.clock"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """One Op. ``spoiled``: its payload does not arrive as it was sent; ``sequence`` 0: the next one."""

    deed: Deed
    number: int = 1
    rollout: str = "r1"
    sequence: int = 0
    spoiled: bool = False
    app: str = "shop"
    over: tuple[str, ...] = ()
    closing: bool = False
    timeout_s: float = 300.0
    owner: str = ""


class ContractHost(Protocol):
    """A host that can be told Ops, and that somebody can reach by hand."""

    root: str

    def execute(self, op: Op, payload_ok: bool = True) -> Reply:
        """Execute one Op."""

    def by_hand(self, act: Act) -> None:
        """Do to the host what a person or an accident would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one line of a scenario led to, without what is volatile."""

    line: str
    status: str
    code: str
    fields: Mapping[str, str]
    host: Mapping[str, str]


def install(name: str, *, present: bool = False) -> Install:
    """Install a release of the table."""
    return Install(release=RELEASES[name].release, present=present)


def delta(**more: str) -> Install:
    """Install v3 as what differs from v1."""
    return Install(release=RELEASES["v3"].release, way=replace(DELTA, **more))  # type: ignore[arg-type]


def activate(name: str, expect: str = "", service: Service = SERVICE) -> Activate:
    """Activate a release of the table."""
    release = RELEASES[name].release
    return Activate(release=release.id, manifest=release.manifest, expect=ReleaseId(expect), service=service)


def mark(name: str, made: Literal["verified", "kept", "bad", "unverified"]) -> Mark:
    """Mark a release of the table."""
    return Mark(release=ReleaseId(name), mark=made)


def withdraw(name: str) -> Withdraw:
    """Withdraw a release of the table."""
    return Withdraw(release=ReleaseId(name), service=SERVICE)


def task(shell: str, *, release: str = "", **more: Any) -> RunTask:
    """Run a line of shell; how each of them ends in memory is in TASK_ENDS."""
    return RunTask(task=Task(shell=shell, **more), release=release)


COUNT = "echo x >>../count; test $(wc -l <../count) = 1"  # ends well the first time only
TASK_ENDS: Mapping[str, TaskEnd] = {
    "exit 3": TaskEnd(status=3),
    "sleep 60 & sleep 60": TaskEnd(status=124),
    "echo noise >&2; echo; echo id-7; echo": TaskEnd(printed="id-7"),
}
IDENTIFY = Identify(release=ReleaseId("v1"), service=SERVICE)
V1_RUNS = (Say(deed=install("v1")), Say(deed=activate("v1")))
BOTH = (*V1_RUNS, Say(deed=install("v2")))

SCENARIOS: Mapping[str, tuple[Say | Act, ...]] = {
    "there and back": (
        *BOTH,
        *(Say(deed=mark("v1", made)) for made in ("verified", "kept")),
        Say(deed=IDENTIFY),
        Say(deed=activate("v2", "v1")),
        Say(deed=IDENTIFY),
        Say(deed=mark("v2", "kept")),
        Say(deed=activate("v1", "v2")),
        Say(deed=mark("v1", "kept")),
        Say(deed=mark("v2", "bad")),
        Say(deed=mark("v2", "unverified")),
        Say(deed=IDENTIFY),
    ),
    "a mark of what was reverted goes when it is kept": (
        Say(deed=mark("v1", "bad")),
        Say(deed=mark("v1", "verified")),
        Say(deed=mark("v1", "kept")),
        Say(deed=mark("v1", "unverified")),
    ),
    "first release and its withdrawal": (
        *V1_RUNS,
        Say(deed=withdraw("v1")),
        Say(deed=IDENTIFY),
        Say(deed=withdraw("v1")),
    ),
    "withdrawing another one": (*BOTH, Say(deed=withdraw("v2"))),
    "installing twice": (
        Say(deed=install("v1")),
        Say(deed=install("v1")),
        Say(deed=install("v1", present=True)),
        Say(deed=install("v2", present=True)),
        Say(deed=install("v2")),
        Say(deed=install("v2 again")),
    ),
    "a payload that does not arrive": (Say(deed=install("v1"), spoiled=True), Say(deed=install("v1"))),
    "activating what is not there": (Say(deed=activate("v1")), *V1_RUNS, Say(deed=activate("v2", "v1"))),
    "activating with another manifest": (Say(deed=install("v2")), Say(deed=activate("v2 again"))),
    "a release that does not start": (
        *V1_RUNS,
        Say(deed=install("dud")),
        Say(deed=activate("dud", "v1")),
        Say(deed=IDENTIFY),
        Say(deed=activate("dud", "v1")),
        Say(deed=activate("v1", "dud")),
        Say(deed=IDENTIFY),
    ),
    "nothing is restarted that runs": (
        *V1_RUNS,
        Say(deed=activate("v1")),
        "kill",
        Say(deed=IDENTIFY),
        Say(deed=activate("v1")),
    ),
    "started once more": (
        *V1_RUNS,
        Say(deed=replace(activate("v1", "v1"), again=True)),
        Say(deed=IDENTIFY),
        "kill",
        Say(deed=replace(activate("v1", "v1"), again=True)),
        Say(deed=IDENTIFY),
        *(Say(deed=install("v2")), "point v2"),
        Say(deed=replace(activate("v1", "v1"), again=True)),
    ),
    "files without a service": (
        Say(deed=install("v1")),
        Say(deed=activate("v1", service=NoService())),
        Say(deed=activate("v1", service=NoService())),
        Say(deed=Identify(release=ReleaseId("v1"), service=NoService())),
        Say(deed=Observe(service=NoService())),
    ),
    "somebody moved the link": (
        *BOTH,
        "point v2",
        Say(deed=activate("v1", "v1")),
        Say(deed=activate("v2", "v1")),
        Say(deed=IDENTIFY),
    ),
    "somebody moved it elsewhere": (*BOTH, "outside", Say(deed=activate("v2", "v1"))),
    "somebody's link stands where ours is to be": (
        "outside",
        Say(deed=install("v1")),
        Say(deed=activate("v1", "")),
        Say(deed=withdraw("v1")),
    ),
    "expected nothing and found a link": (*BOTH, Say(deed=activate("v2", ""))),
    "somebody removed the link": (*BOTH, "remove", Say(deed=activate("v2", "v1")), Say(deed=activate("v1", ""))),
    "current is a directory": (*BOTH, "directory", Say(deed=activate("v2", "v1")), Say(deed=withdraw("v1"))),
    "somebody wrote into the release": (
        *BOTH,
        Say(deed=activate("v2", "v1")),
        "tamper v1",
        Say(deed=activate("v1", "v2")),
        *(Say(deed=install("v1")), Say(deed=install("v1", present=True))),
    ),
    "a release is inspected": (
        Say(deed=Inspect()),
        Say(deed=Inspect(release=ReleaseId("v1"))),
        *BOTH,
        Say(deed=Inspect()),
        Say(deed=Inspect(release=ReleaseId("v2"))),
        "tamper v1",
        *(Say(deed=Inspect()), Say(deed=Inspect(), app="blog")),
        *("outside", Say(deed=Inspect()), "remove", Say(deed=Inspect())),
    ),
    "what differs from a release": (
        Say(deed=delta()),
        Say(deed=ReadManifest(release=ReleaseId("v1"))),
        Say(deed=install("v1")),
        Say(deed=ReadManifest(release=ReleaseId("v1"))),
        *(Say(deed=delta(manifest="0" * 64)), Say(deed=delta(base="v2"))),
        Say(deed=delta(), spoiled=True),
        *("tamper v1", Say(deed=delta())),
        *(Say(deed=install("v3")), Say(deed=delta())),
    ),
    "and is all that comes": (Say(deed=install("v1")), Say(deed=delta()), Say(deed=activate("v3"))),
    "the root of another app": ("foreign", *V1_RUNS, Say(deed=Settle(op="r1-1"))),
    "another app on this root": (
        Say(deed=install("v1")),
        Say(deed=install("v1"), app="blog"),
        Say(deed=IDENTIFY, app="blog"),
    ),
    "no root": ("bare", *V1_RUNS, Say(deed=IDENTIFY), Say(deed=Settle(op="r1-1"))),
    "the way back after a reboot": (*BOTH, Say(deed=activate("v2", "v1")), "reboot", Say(deed=activate("v1", "v2"))),
    "a newer rollout": (
        *V1_RUNS,
        Say(deed=install("v2"), number=2, rollout="r2", over=("r1",), sequence=1),
        Say(deed=activate("v2", "v1")),
        Say(deed=activate("v2", "v1"), number=2, rollout="r1"),
        Say(deed=activate("v2", "v1"), number=2, rollout="r2", over=("r1",), sequence=2),
        Say(deed=Settle(op="r1-2"), number=2, rollout="r2", over=("r1",), sequence=3),
        Say(deed=Settle(op="r2-2"), number=2, rollout="r2", over=("r1",), sequence=4),
        Say(deed=mark("v2", "kept"), number=3, rollout="r3", over=("r2",), sequence=1),
        Say(deed=Settle(op="r1-2"), number=3, rollout="r3", over=("r2",), sequence=2),
        Say(deed=Settle(op="r2-2"), number=3, rollout="r3", over=("r2",), sequence=3),
    ),
    "a takeover of the same rollout": (
        *V1_RUNS,
        Say(deed=Settle(op="r1-2"), number=2, sequence=1),
        Say(deed=mark("v1", "kept"), number=1),
        Say(deed=mark("v1", "kept"), number=2),
    ),
    "an Op that comes twice": (
        *BOTH,
        Say(deed=activate("v2", "v1"), sequence=4),
        Say(deed=activate("v2", "v1"), sequence=4),
        Say(deed=activate("v1", "v2"), sequence=5),
        Say(deed=activate("v1", "v2"), sequence=5),
    ),
    "an Op that comes late": (
        *BOTH,
        Say(deed=activate("v2", "v1"), sequence=9),
        Say(deed=mark("v1", "bad"), sequence=8),
        Say(deed=Settle(op="r1-8"), sequence=10),
        Say(deed=mark("v1", "bad"), sequence=8),
    ),
    "an Op that was settled never comes": (
        *V1_RUNS,
        Say(deed=Settle(op="r1-4"), sequence=5),
        Say(deed=withdraw("v1"), sequence=4),
        Say(deed=Settle(op="r1-2"), sequence=6),
    ),
    "tasks": (
        *V1_RUNS,
        Say(deed=task("true")),
        Say(deed=task("exit 3")),
        Say(deed=task("test -f VERSION", release="v1")),
        Say(deed=task("true", release="v9")),
        Say(deed=task("sleep 60 & sleep 60", timeout_s=1)),
        Say(deed=task("echo noise >&2; echo; echo id-7; echo", prints="restore_id")),
        Say(deed=task("true", prints="restore_id")),
        Say(deed=task("touch made", creates="made")),
        Say(deed=task("touch made", creates="made")),
        Say(deed=IDENTIFY),
    ),
    "a task that comes twice": (
        *V1_RUNS,
        Say(deed=task(COUNT), sequence=4),
        Say(deed=task(COUNT), sequence=4),
        Say(deed=Settle(op="r1-4"), sequence=5),
        Say(deed=task("exit 3"), sequence=6),
        Say(deed=task("exit 3"), sequence=6),
    ),
    "a task of which nobody knows the end": (
        *V1_RUNS,
        Say(deed=task(COUNT), sequence=4),
        "forget results",
        Say(deed=task(COUNT), sequence=4),
        Say(deed=task("true", idempotent=True), sequence=6),
        "forget results",
        Say(deed=task("true", idempotent=True), sequence=6),
        Say(deed=task("touch made", creates="made"), sequence=7),
        "forget results",
        Say(deed=task("touch made", creates="made"), sequence=7),
    ),
    "a rollout that is not over keeps others away": (
        *V1_RUNS,
        Say(deed=install("v2"), number=2, rollout="r2", sequence=1),
        Say(deed=install("v2"), number=2, rollout="r2", sequence=1, over=("r9", "r1")),
        Say(deed=activate("v2", "v1"), number=9, rollout="r9", sequence=1),
        Say(deed=Settle(op="r2-1"), number=9, rollout="r9", sequence=2, over=("r1",)),
        Say(deed=Close(), number=1, sequence=9, closing=True),
        Say(deed=Close(), number=2, rollout="r2", sequence=3, closing=True),
        Say(deed=Close(), number=2, rollout="r2", sequence=3, closing=True),
        Say(deed=activate("v2", "v1"), number=9, rollout="r9", sequence=3),
        Say(deed=mark("v2", "kept"), number=9, rollout="r9", sequence=4, closing=True),
        Say(deed=mark("v2", "kept"), number=10, rollout="r10", sequence=1),
        Say(deed=mark("v1", "bad"), number=11, rollout="r11", sequence=1, over=("*",)),
    ),
    "a refusal is on record": (
        *BOTH,
        Say(deed=activate("v2", "v9"), sequence=4),
        Say(deed=activate("v2", "v9"), sequence=4),
        Say(deed=Settle(op="r1-4"), sequence=5),
    ),
}


def played(host: ContractHost, scenario: tuple[Say | Act, ...]) -> Iterator[Seen]:
    """Play a scenario on a host; yield what each line of it led to."""
    sequence = 0
    for line in scenario:
        if isinstance(line, str):
            host.by_hand(line)
            yield Seen(line=line, status="", code="", fields={}, host=_look(host))
            continue
        sequence = line.sequence or sequence + 1
        reply = host.execute(_op(host.root, line, sequence), not line.spoiled)
        fields = _steady(reply.fields)
        said = f"{type(line.deed).__name__} {line.rollout}-{sequence}"
        yield Seen(line=said, status=reply.status, code=reply.code, fields=fields, host=_look(host))


def _op(root: str, say: Say, sequence: int) -> Op:
    epoch = Epoch(number=say.number, rollout=say.rollout, sequence=sequence, over=say.over, closing=say.closing)
    site = Site(root=root, app=say.app, environment="default", owner=say.owner)
    return Op(id=f"{say.rollout}-{sequence}", epoch=epoch, site=site, do=say.deed, timeout_s=say.timeout_s)


def _look(host: ContractHost) -> Mapping[str, str]:
    return _steady(host.execute(_op(host.root, Say(deed=Observe(service=SERVICE)), 0)).fields)


def _steady(fields: Mapping[str, str]) -> Mapping[str, str]:
    return {k: v for k, v in fields.items() if k not in VOLATILE and not k.startswith(("was.linked", "root_"))}
