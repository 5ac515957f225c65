"""Preflight: see every host, its pools and its checks as they are, before anything is planned.

What a host says is hostile data: every field is read with a form in mind, and what does not fit
is taken as absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rollout.errors import NoTrailer, OutcomeUnknown, Unreachable
from rollout.model.check import CheckSpec, CommandCheck, Probed
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.play import Ask
from rollout.model.pool import PoolName, PoolState
from rollout.model.pruning import Stock
from rollout.model.release import RELEASE_ID, NoService, ReleaseId, Site
from rollout.perform.desk import TASKS
from rollout.perform.effects import Effect, Probe, Tell, Together
from rollout.posix.op import Deed, Epoch, Identify, Observe, Op, Reply, RunCheck
from rollout.posix.sanitise import line as inert

OBSERVE_S = 30.0
_MACHINE = re.compile(r"[0-9A-Za-z-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(RELEASE_ID + r"(~[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One host to look at, and under which rollout's name. Nothing of it is written there."""

    rollout: str
    ask: Ask
    app: str
    environment: str

    def op(self, deed: Deed, name: str) -> Op:
        """Return a read-only Op."""
        become = self.ask.connection.become
        return Op(
            id=f"{self.rollout}.0.{name}",
            epoch=Epoch(number=0, rollout=self.rollout, sequence=0),
            site=Site(root=self.ask.root, app=self.app, environment=self.environment, owner=self.ask.owner),
            do=deed,
            become=become.user if become else "",
            password=become.password if become else "",
            timeout_s=OBSERVE_S,
        )


async def observe(glance: Glance) -> Observation:
    """Look at one host."""
    deed = Observe(service=glance.ask.service, shared=glance.ask.shared)
    host = glance.ask.host
    try:
        reply: Reply = await Tell(host=host, op=glance.op(deed, "observe"))
    except NoTrailer as error:
        return Observation(host=host, reachable=False, why=inert(str(error)), shell=False)
    except (Unreachable, OutcomeUnknown) as error:
        return Observation(host=host, reachable=False, why=inert(str(error)))
    if reply.code in ("E_SUDO", "E_OWNER"):  # before anything was looked at
        return Observation(host=host, reachable=False, code=reply.code, why=inert(reply.summary))
    if reply.status != "done":
        why = f"it could not be looked at: {reply.code} {reply.summary} {' '.join(reply.tail[-1:])}"
        return Observation(host=host, reachable=False, why=inert(why))
    return observation_from(host, reply.fields, glance.ask)


async def greet(host: HostName, rollout: str, app: str, environment: str) -> Observation:
    """Look at a host that only runs tasks: whether it could run one, and which rollout was there last."""
    op = Op(
        id=f"{rollout}.0.greet",
        epoch=Epoch(number=0, rollout=rollout, sequence=0),
        site=Site(root=TASKS, app=app, environment=environment),
        do=Observe(service=NoService()),
        timeout_s=OBSERVE_S,
    )
    try:
        reply: Reply = await Tell(host=host, op=op, delegate=True)
    except (Unreachable, OutcomeUnknown) as error:
        return Observation(host=host, reachable=False, why=inert(str(error)))
    why = _runs_no_task(reply)
    number, last, is_open = _epoch(reply.fields)
    return Observation(
        host=host,
        reachable=not why,
        why=inert(why),
        identity=inert(reply.fields.get("identity", "")),
        epoch_number=number,
        epoch_rollout=last,
        epoch_open=is_open,
    )


def _runs_no_task(reply: Reply) -> str:
    if reply.status != "done":
        return f"{reply.code} {reply.summary}"
    if missing := reply.fields.get("tools", ""):
        return f"these tools are not there: {missing}"
    return reply.fields.get("root_why", "")


def observation_from(host: HostName, fields: Mapping[str, str], ask: Ask) -> Observation:
    """Read the fields of an Observe; what does not have the form it must have is absent."""
    number, rollout, is_open = _epoch(fields)
    return Observation(
        host=host,
        root=inert(fields.get("root", "missing")),
        root_why=inert(fields.get("root_why", "")),
        writable=fields.get("writable", "1") == "1",
        identity=inert(fields.get("identity", "")),
        current=release_named(fields.get("current", "")),
        current_kind=inert(fields.get("current_kind", "none")),
        link=inert(fields.get("link", "")),
        lies=inert(fields.get("lies", "")),
        running=release_named(fields.get("running", "")),
        releases=_pairs(fields.get("releases", "")),
        ledger=_ledger(fields),
        marked=_marked(fields),
        clock=_number(fields.get("clock", ""), 0),
        epoch_number=number,
        epoch_rollout=rollout,
        epoch_open=is_open,
        free_bytes=_number(fields.get("free_bytes", ""), 0),
        free_inodes=_number(fields.get("free_inodes", ""), 0),
        boot=boot_of(fields),
        machine_id=machine_of(fields),
        sudo=inert(fields.get("sudo", "unneeded")),
        sudo_why=inert(fields.get("sudo_why", ""))[:200],
        fetches=fields.get("fetches", "curl") == "curl",
        patches=fields.get("patches", "") == "zstd",
        gated=fields.get("gate", "") == "1",
        missing_tools=tuple(map(inert, fields.get("tools", "").split())),
        units=_unknown_units(fields, ask),
        apart=_apart(fields, ask),
        shared_missing=_missing_shared(fields, ask),
        group=inert(fields.get("group", "")),
    )


def _epoch(fields: Mapping[str, str]) -> tuple[int, str, bool]:
    """Read the pair of who was there last: its number, the rollout, and whether that was not over by then."""
    number, rollout, stand = (*fields.get("epoch", "").split(), "", "", "")[:3]
    return _number(number, 0), inert(rollout), stand == "open"


def stock_from(fields: Mapping[str, str], current: str = "") -> Stock:
    """Read what a host says of its releases: from an Observe, or from a Mark of the release that is current."""
    return Stock(
        current=current or release_named(fields.get("current", "")),
        running=release_named(fields.get("running", "")),
        releases=tuple(_pairs(fields.get("releases", ""))),
        ledger=_ledger(fields),
        marked=_marked(fields),
        clock=_number(fields.get("clock", ""), 0),
    )


def _marked(fields: Mapping[str, str]) -> dict[str, int]:
    return {i: _number(at, 0) for i, at in _split(fields.get("marked", ""))}


def _ledger(fields: Mapping[str, str]) -> dict[str, frozenset[str]]:
    return {i: frozenset(marks.split(",")) for i, marks in _split(fields.get("ledger", ""))}


def boot_of(fields: Mapping[str, str]) -> str:
    """Return what changes when a host restarts: the boot id, and PID 1's start (containers share the boot id)."""
    return inert(f"{fields.get('boot_id', '')}/{fields.get('init_started', '')}")


def machine_of(fields: Mapping[str, str]) -> str:
    """Return the id of the machine, "" where it has none that is one."""
    said = fields.get("machine_id", "")
    return said if _MACHINE.fullmatch(said) else ""


def release_named(text: str) -> str:
    """Return the release that a host says, "" for what cannot be one."""
    return text if _REVISION.fullmatch(text) else ""


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else otherwise


def _split(text: str) -> list[tuple[str, str]]:
    pairs = (item.partition(":") for item in text.split())
    return [(i, rest) for i, _, rest in pairs if _REVISION.fullmatch(i)]


def _pairs(text: str) -> dict[str, str]:
    return {i: digest for i, digest in _split(text) if _DIGEST.fullmatch(digest)}


def _unknown_units(fields: Mapping[str, str], ask: Ask) -> tuple[str, ...]:
    units = getattr(ask.service, "units", ())
    return tuple(u.unit for n, u in enumerate(units) if fields.get(f"unit.{n}", "loaded") != "loaded")


def _apart(fields: Mapping[str, str], ask: Ask) -> bool:
    units = getattr(ask.service, "units", ())
    return bool(units) and all(fields.get(f"unit_as.{n}") == "other" for n in range(len(units)))


def _missing_shared(fields: Mapping[str, str], ask: Ask) -> tuple[str, ...]:
    files = [f for f in ask.shared.files if f.content is None]
    return tuple(f.path for n, f in enumerate(files) if fields.get(f"shared.{n}", "ok") != "ok")


async def try_checks(glance: Glance, seen: Observation) -> Observation:
    """Try every check and the identity proof against the release that serves now."""
    if not seen.reachable:
        return seen
    release = ReleaseId(seen.current)
    effects: list[Effect] = [_trial(glance, release, n, check) for n, check in enumerate(glance.ask.checks)]
    proves = bool(seen.current) and not isinstance(glance.ask.service, NoService)
    if proves:
        deed = Identify(release=release, service=glance.ask.service)
        effects.append(Tell(host=glance.ask.host, op=glance.op(deed, "identify")))
    answers = list(await Together(effects=tuple(effects))) if effects else []
    proof = answers.pop() if proves else None
    return replace(seen, checks=tuple(map(_tried, answers)), identity_proof=proof is None or _proven(proof, release))


def _trial(glance: Glance, release: ReleaseId, number: int, check: CheckSpec) -> Effect:
    if isinstance(check, CommandCheck):
        deed = RunCheck(release=release, argv=check.argv, timeout_s=check.timeout_s)
        return Tell(host=glance.ask.host, op=glance.op(deed, f"check{number}"))
    return Probe(host=glance.ask.host, check=check)


def _tried(answer: object) -> Probed:
    if isinstance(answer, Probed):
        return answer
    if isinstance(answer, Reply):
        return Probed(ok=answer.status == "done" and answer.fields.get("status") == "0", summary="command check")
    return Probed(ok=False, reachable=False, summary=inert(str(answer)))


def _proven(answer: object, release: ReleaseId) -> bool:
    return isinstance(answer, Reply) and answer.fields.get("running") == release


def with_members(seen: Observation, ask: Ask, pools: Mapping[PoolName, PoolState]) -> Observation:
    """Add what the balancers said of the host."""
    members = {pool: pools[pool].members.get(member) for pool, member in ask.members.items() if pool in pools}
    return replace(seen, members=members)
