"""Each event in a few words: what plain output, the live board and ``show`` say of it."""

from __future__ import annotations

from typing import Any

from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    HaltOrdered,
    HookFinished,
    HookStarted,
    HostRevertStarted,
    HostSickened,
    Note,
    PauseOrdered,
    PoolReasserted,
    ProceedOrdered,
    Record,
    Recovered,
    RevertStarted,
    RollingClosed,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
    StepFinished,
    StepStarted,
)
from rollout.model.plan import (
    DEPLOYS,
    Action,
    Adopt,
    Discard,
    PlayPlan,
    Register,
    Restart,
    Run,
    Stage,
    Switch,
    Verify,
    Withdraw,
)
from rollout.model.pool import left_in
from rollout.model.release import Delta, Pull
from rollout.model.verdict import Cause
from rollout.report.board import Board, Row
from rollout.report.boards import Boards
from rollout.report.text import between, count, duration, inert, names, size

CAUSES = {
    Cause.RELEASE: "the release",
    Cause.HOST: "the host",
    Cause.CONNECTION: "the connection",
    Cause.BALANCER: "the load balancer",
    Cause.CAPACITY: "the capacity",
    Cause.CONTROLLER: "the controller",
    Cause.PERSON: "a person",
    Cause.PLAY: "another play",
}

EXITS = {
    1: "a bug of ours",
    2: "bad input; nothing was contacted",
    3: "what was touched stays as said below",
    4: "every touched host is back as it was",
    5: "a person is needed",
    6: "refused before anything changed",
    7: "another rollout of this app was met",
    8: "the state store failed",
    9: "with hosts off target",
    130: "stopped by Ctrl-C; what was in flight is healed",
    143: "stopped by SIGTERM; what was in flight is healed",
}


def doing(action: Action) -> str:
    """Say what is being done to a host."""
    match action:
        case Run():
            return task(action)
        case Stage(present=True):
            return "checking the staged release"
        case Stage(way=Delta(base=base)):
            return f"staging what differs from {inert(base)}"
        case Stage(way=Pull()):
            return "having the release fetched"
        case Switch(release=release, expect=expect, restart=restart):
            what = "switching" if restart else "moving the link"
            return f"{what} to {inert(release)}" + (f" from {inert(expect)}" if expect else "")
        case Adopt(release=release):
            return f"recording {inert(release)} as what runs here"
        case Restart(release=release):
            return f"restarting {inert(release)}"
        case Verify(release=release):
            return f"checking the health of {inert(release)}"
        case Withdraw(release=release):
            return f"stopping {inert(release)}: nothing ran here before"
        case Discard(trusted=True):
            return "leaving the release noted as it was"
    return {
        "stage": "staging",
        "discard": "noting the release as unverified",
        "deregister": "leaving rotation",
        "register": "going back into rotation",
        "keep": "noting the release as kept",
        "prune": "removing releases that need not be kept",
    }[action.kind]


def did(action: Action) -> str:
    """Say what was done to a host."""
    match action:
        case Run():
            return task(action)
        case Switch(release=release, restart=restart):
            return f"on {inert(release)}" if restart else f"the link is on {inert(release)}"
        case Adopt(release=release):
            return f"{inert(release)} is on record"
        case Restart(release=release):
            return f"{inert(release)} is restarted"
        case Verify(release=release):
            return f"{inert(release)} is healthy"
        case Withdraw(release=release):
            return f"{inert(release)} is stopped"
        case Discard(trusted=True):
            return "noted as it was"
    return {
        "stage": "staged",
        "discard": "noted as unverified",
        "deregister": "out of rotation",
        "register": "in rotation",
        "keep": "noted as kept",
        "prune": "pruned",
    }[action.kind]


def task(run: Run) -> str:
    """Say which task it is, where it runs and for what."""
    where = " on the controller" if run.task.where == "controller" else ""
    undo = "undo of " if run.undoing else ""
    return f"{undo}{run.position}: {inert(run.task.label, 80)}{where}"


def cause(of: Cause) -> str:
    """Say whose doing it was, in brackets, or nothing."""
    return f" (cause: {CAUSES[of]})" if of in CAUSES else ""


def said(boards: Boards, record: Record) -> tuple[str, str]:
    """Return whom the record is about ("" for the whole rollout) and what it says.

    ``boards`` are the boards before the record. Where there are several plays it says of which it is.
    """
    board = boards.of(record.event)
    host, what = _said(board, record)
    whole = isinstance(record.event, RolloutStarted | RolloutFinished)
    return host, what if whole or not boards.several else f"{inert(board.app, 60)}: {what}"


def _said(board: Board, record: Record) -> tuple[str, str]:
    event = record.event
    host = getattr(event, "host", "")
    if isinstance(event, HookStarted):
        return host, task(event.action)
    if isinstance(event, HookFinished):
        return host, _hook_ended(board, event, record.at)
    if isinstance(event, StepStarted):
        return host, ("way back: " if event.undo else "") + doing(event.action)
    if isinstance(event, StepFinished):
        return host, _finished(board.rows.get(event.host, Row()), event, record.at)
    return host, _whole(board, event)


def _hook_ended(board: Board, event: HookFinished, at: str) -> str:
    """Say how a task beside the batches ended."""
    what = task(board.hook) if board.hook is not None else "a task"
    took, outcome = duration(between(board.hook_since or at, at)), event.outcome
    told = f": {inert(outcome.summary, 300)}" if outcome.summary else ""
    return f"{what} ({took}){told}" if outcome.passed else f"FAILED ({took}){told}{cause(outcome.cause)}"


def _finished(row: Row, event: StepFinished, at: str) -> str:
    """Say how a step ended."""
    back = "way back: " if row.undoing else ""
    if row.doing is None:
        return f"a step ended: {event.outcome.verdict}"
    took = duration(between(row.since, at))
    outcome = event.outcome
    if outcome.passed:
        done = "left out of rotation" if isinstance(row.doing, Register) and left_in(outcome.data) else did(row.doing)
        return f"{back}{done} ({took})" + (f": {inert(outcome.summary, 200)}" if outcome.summary else "")
    if outcome.untouched and outcome.cause == Cause.NONE:
        return f"{back}{doing(row.doing)}: not begun: {inert(outcome.summary, 300)}"
    return f"{back}FAILED {doing(row.doing)} ({took}): {inert(outcome.summary, 300)}{cause(outcome.cause)}"


def _whole(board: Board, event: Any) -> str:
    """Say what happened to the rollout as a whole, or to a host outside of a step."""
    match event:
        case RolloutStarted():
            return _began(event)
        case StagingClosed() if board.index:
            return "its turn has come: the play before it has rolled"
        case StagingClosed():
            return "staging is over: no host has left rotation yet"
        case BatchStarted(batch=number):
            hosts = board.play.batches[number].hosts if board.play else ()
            return f"batch {number + 1} of {board.batches} begins: {names(hosts)}"
        case BatchClosed(batch=number):
            return f"batch {number + 1} of {board.batches} is settled"
        case RollingClosed():
            return "every batch is settled"
        case HostSickened(outcome=outcome) if outcome.cause is Cause.CONNECTION:
            return f"LOST SIGHT OF, it was done: {inert(outcome.summary, 300)}{cause(outcome.cause)}"
        case HostSickened(outcome=outcome):
            return f"SICKENED after it was done: {inert(outcome.summary, 300)}{cause(outcome.cause)}"
        case HostRevertStarted():
            return "begins its way back"
        case HaltOrdered(signal=signal, reason=reason):
            return f"HALT: {inert(reason, 300)}{f' [{signal}]' if signal else ''}{cause(event.cause)}"
        case PauseOrdered(by=by, reason=reason):
            return f"PAUSED by {inert(by, 80)}: no further host leaves{_why(reason)}"
        case ProceedOrdered(by=by, reason=reason):
            return f"goes on, as {inert(by, 80)} said{_why(reason)}"
        case RevertStarted(hosts=hosts, condemned=condemned):
            bad = f"; {board.release} is marked bad" if condemned else ""
            if not hosts:
                return f"no done host has to go back{bad}"
            return f"REVERT of {count(len(hosts), 'done host')}: {names(hosts)}{bad}"
        case Recovered(stranded=stranded):
            return "taken over from a controller that is gone" + (f"; stranded: {names(stranded)}" if stranded else "")
        case PoolReasserted(pool=pool, hosts=hosts):
            who = "a reload, a restart or somebody else"
            return f"pool {inert(pool)} was changed by {who}, and was told again: {names(hosts)}"
        case RolloutFinished(end=end, reason=reason, exit_code=code):
            return f"{end.upper()} (exit {code})" + (f": {inert(reason, 500)}" if reason else "")
    return str(event.kind)


def _why(reason: str) -> str:
    return f": {inert(reason, 300)}" if reason else ""


def _began(event: RolloutStarted) -> str:
    """Say what begins, and who began it."""
    plan, by = event.plan, event.provenance
    who = f", by {inert(by.user, 80)}" if by.user else ""
    why = f": {inert(by.message, 200)}" if by.message else ""
    return f"rollout {plan.id}: {' and '.join(_brought(play, plan.environment) for play in plan.plays)}{who}{why}"


def _brought(play: PlayPlan, environment: str) -> str:
    """Say what one play brings, to how many hosts."""
    hosts = sum(len(batch.hosts) for batch in play.batches)
    kind = "" if play.purpose == "apply" else f"{play.purpose}, "
    whole = f"{kind}{play.app} {play.release.id} to {environment}"
    if play.purpose not in DEPLOYS:
        whole = f"{play.purpose} of {play.app} in {environment}"
    if play.purpose == "adopt":
        whole = f"adopt, {play.app} {play.release.id} in {environment}"
    return f"{whole}, {count(hosts, 'host')} in {count(len(play.batches), 'batch', 'batches')}"


def noted(note: Note) -> str:
    """Say what a note says."""
    text = inert(note.text, 300)
    if note.about == "upload" and note.total:
        return f"uploading: {size(note.done)} of {size(note.total)}"
    if note.total:
        return f"{text or note.about}: {note.done} of {note.total}"
    return {"retry": "trying again: ", "output": "| ", "draining": "draining: ", "waiting": "waiting: "}.get(
        note.about, ""
    ) + (text or note.about)
