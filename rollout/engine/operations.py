"""The programs of what is no deploy: restart, drain and register (docs/adr says why they are what they are).

A restart moves no link, so there is nothing to go back to: its way back is to start once more, prove
and register. A drain ends where other programs have only begun; a register begins with the proof, as
something that is done while nobody can be hurt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollout.engine.programs import back_at, steps_at
from rollout.engine.question import Question, left_out, moved, recorded_for, serves
from rollout.model.check import CheckSpec
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.plan import (
    QUIET,
    Adopt,
    Deregister,
    Discard,
    HostPlan,
    OnFailure,
    Prune,
    Register,
    Restart,
    Run,
    Step,
    Verify,
)
from rollout.model.play import Ask
from rollout.model.pool import Member, PoolName, Rotation
from rollout.model.pruning import Keeping, surplus
from rollout.model.release import ReleaseId


def workable(question: Question, seen: Observation) -> bool:
    """Whether something can be done for a host: a drain is said to the balancers alone."""
    return seen.reachable or question.purpose == "drain"


def on_failure(question: Question) -> OnFailure:
    """Return what a failure starts: a drain that fails takes all of its hosts back, a restart only the one."""
    play = question.play
    if question.purpose == "drain":
        return OnFailure(revert="fleet", before_switch="revert")
    if question.purpose in ("restart", "register"):
        return replace(play.on_failure, revert="none" if play.on_failure.revert == "none" else "host", also=())
    if question.purpose in QUIET:  # a host that could not be read is as it was
        return OnFailure(revert="host")
    return play.on_failure


def host_plan(question: Question, host: HostName, chosen: bool) -> HostPlan:
    """Return the program of one host."""
    ask, seen = question.asks[host], question.seen[host]
    drained = question.drained.get(host, "")
    members = _concerned(question, host, ask)
    out = _found_out(question, host, ask) if chosen else ()
    steps, staging, note = _PROGRAMS[question.purpose](question, host, members) if chosen else ((), 0, "")
    return HostPlan(
        host=host,
        connection=ask.connection,
        root=ask.root,
        owner=ask.owner,
        steps=steps,
        staging=staging,
        previous=seen.current,
        members=members,
        shared=ask.shared,
        service=ask.service,
        checks=ask.checks,
        checks_back=demanded(ask, seen, seen.current),
        identity_back=seen.identity_proof,
        serving=serves(question, host) and question.purpose not in QUIET,  # nobody leaves: it takes no place
        left_out=left_out(question, host),
        found_out=out,
        boot=seen.boot,
        machine=seen.machine_id,
        note=_noted(note or _standing(question, ask, members, drained), out) if chosen else "outside --limit",
    )


def _concerned(question: Question, host: HostName, ask: Ask) -> Mapping[PoolName, Member]:
    """Return the pools in which something is done for the host."""
    if question.purpose in QUIET:
        return {}
    return ask.members if question.purpose == "register" else moved(question, host)


def _found_out(question: Question, host: HostName, ask: Ask) -> tuple[PoolName, ...]:
    """Return the pools in which a host that is adopted is out of rotation: who put it out is on no record."""
    if question.purpose != "adopt" or host in question.drained:
        return ()
    return tuple(sorted(set(ask.members) - set(moved(question, host))))


def _noted(note: str, out: tuple[PoolName, ...]) -> str:
    """Return a note, and where the host is out of rotation."""
    return "; ".join(filter(None, (note, f"out of rotation in {', '.join(out)}" if out else "")))


def _standing(question: Question, ask: Ask, members: Mapping[PoolName, Member], drained: str) -> str:
    if question.purpose == "prune":
        return ""
    if question.purpose == "adopt":
        return drained
    return drained if question.purpose == "register" else left_as_found(ask, members, drained)


Program = tuple[tuple[Step, ...], int, str]


def _restart(question: Question, host: HostName, members: Mapping[PoolName, Member]) -> Program:
    seen, timeout_s = question.seen[host], question.play.step_timeout_s
    if not seen.current:
        return (), 0, "no release is there"
    release = ReleaseId(seen.current)
    again = Restart(release=release, manifest=recorded_for(question, host).get(release, ""))
    steps = [
        Step(do=again, undo=(again, Verify(release=release, way_back=True)), timeout_s=timeout_s),
        Step(do=Verify(release=release), timeout_s=question.play.health.deadline_s),
    ]
    if members:
        ask = question.asks[host]
        leave = Step(do=Deregister(), undo=(Register(),), timeout_s=timeout_s)
        back = Step(do=Register(), undo=(Deregister(), *_quiet_again(ask)), timeout_s=timeout_s)
        steps = [leave, *quieted(ask, release), *steps, back]
    return tuple(steps), 0, ""


def quieted(ask: Ask, release: str) -> tuple[Step, ...]:
    """Return the steps in which a host that has left finishes the work it has in hand."""
    return (*steps_at(ask, "drain.start", release), *steps_at(ask, "drain.until", release))


def _quiet_again(ask: Ask) -> tuple[Run, ...]:
    return (*back_at(ask, "drain.start", always=True), *back_at(ask, "drain.until", always=True))


def _resumed(ask: Ask, timeout_s: float) -> tuple[Step, ...]:
    """Return the steps in which a host that was drained by hand takes its work up again: last to first."""
    undos = [t.undo for t in reversed(ask.tasks.get("drain.start", ())) if t.undo is not None]
    runs = (Run(task=task, position="drain.start", undoing=True) for task in undos)
    return tuple(Step(do=run, timeout_s=max(timeout_s, run.task.timeout_s)) for run in runs)


def _drain(question: Question, host: HostName, members: Mapping[PoolName, Member]) -> Program:
    if not members:
        return (), 0, question.drained.get(host, "") or "out of rotation already"
    leave = Step(do=Deregister(), undo=(Register(),), timeout_s=question.play.step_timeout_s)
    seen = question.seen[host]
    quiet = quieted(question.asks[host], seen.current) if seen.reachable and seen.current else ()
    return (leave, *quiet), 0, ""


def _register(question: Question, host: HostName, _: Mapping[PoolName, Member]) -> Program:
    seen, play = question.seen[host], question.play
    inside = all(s is not None and s.admin == Rotation.READY for s in seen.members.values())
    if inside and serves(question, host):
        return (), 0, "in rotation already"
    verify = Step(do=Verify(release=ReleaseId(seen.current)), timeout_s=play.health.deadline_s)
    resume = _resumed(question.asks[host], play.step_timeout_s) if host in question.drained else ()
    return (verify, *resume, Step(do=Register(), undo=(Deregister(),), timeout_s=play.step_timeout_s)), 1, ""


def _adopt(question: Question, host: HostName, _: Mapping[PoolName, Member]) -> Program:
    """One step, and nothing that serves is touched; its way back is to trust the release no more."""
    seen, release = question.seen[host], question.release
    marks = seen.ledger.get(release.id, frozenset())
    known = marks & {"kept", "adopted"}
    if (
        known and release.id in question.recorded and host not in question.restored and not seen.epoch_open
    ):  # what is open is closed by a rollout alone
        return (), 0, "on record already"
    take = Adopt(release=release.id, manifest=release.manifest, leave_out=question.leave_out)
    note = "" if seen.identity_proof else "what runs could not be proven to be of it"
    back = Discard(trusted=bool(known) and "bad" not in marks)  # what it was before does not hang on this
    return (Step(do=take, undo=(back,), timeout_s=question.play.step_timeout_s),), 0, note


def _prune(question: Question, host: HostName, _: Mapping[PoolName, Member]) -> Program:
    """One step while everybody serves. Nothing can be brought back: what was begun is gone on with instead."""
    gone = surplus_of(question, question.seen[host])
    if not gone:
        return (), 0, "nothing can go"
    return (Step(do=Prune(), undo=(Prune(),), timeout_s=question.play.step_timeout_s),), 0, f"can go: {', '.join(gone)}"


_PROGRAMS = {"restart": _restart, "drain": _drain, "register": _register, "adopt": _adopt, "prune": _prune}


def surplus_of(question: Question, seen: Observation) -> tuple[str, ...]:
    """Return what a prune of a host would take, as far as can be told from what it says."""
    keeping = Keeping(keep=question.play.keep, keep_for_s=question.play.keep_for_s)
    return surplus(seen.stock, keeping, question.spare)


def demanded(back: Ask, seen: Observation, previous: str) -> tuple[CheckSpec, ...]:
    """Return the checks that the way back must pass: those that the running release passes now."""
    if seen.current != previous or len(seen.checks) != len(back.checks):
        return back.checks
    return tuple(c for c, tried in zip(back.checks, seen.checks, strict=True) if tried.ok)


def left_as_found(ask: Ask, members: Mapping[PoolName, Member], drained: str) -> str:
    """Say in which pools a host stays as it is, and who drained it."""
    left = sorted(set(ask.members) - set(members))
    if not left:
        return f"in rotation, though {drained}" if drained else ""
    return f"left as found in {', '.join(left)}" + (f": {drained}" if drained else "")
