"""The board: what there is to show of one play of a rollout, folded from its events and nothing else.

It is not the engine's state: it decides nothing, forgives what it does not expect, and knows
times. ``see`` costs the same in any fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import immutables

from rollout.model.event import (
    BatchStarted,
    HaltOrdered,
    HookFinished,
    HookStarted,
    HostRevertStarted,
    HostSickened,
    Note,
    PauseOrdered,
    ProceedOrdered,
    Provenance,
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
from rollout.model.host import HostName
from rollout.model.plan import (
    Action,
    Deregister,
    HostPlan,
    Keep,
    PlayPlan,
    Register,
    Run,
    Stage,
    Switch,
    Verify,
    Withdraw,
)
from rollout.model.pool import left_in
from rollout.model.verdict import FOUND, Cause, Outcome
from rollout.report.text import between

# action -> what a host is while it is done, and after it passed
FORWARD = {
    "stage": ("staging", "staged"),
    "deregister": ("draining", "out"),
    "switch": ("switching", "switched"),
    "restart": ("restarting", "restarted"),
    "verify": ("checking", "healthy"),
    "register": ("entering", "done"),
    "keep": ("done", "done"),
    "adopt": ("adopting", "done"),
    "prune": ("pruning", "done"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One host. ``doing`` is its step in flight, begun at ``since``; ``out``: it takes no traffic by our doing."""

    batch: int = -1
    state: str = "waiting"
    since: str = ""
    doing: Action | None = None
    undoing: bool = False
    begun: int = 0
    way: int = 0  # steps of its way back; 0: it has not begun
    out: bool = False
    out_since: str = ""
    out_s: float = 0.0  # how long it was out in all
    release: str = ""  # what it is known to be on
    drifted: bool = False  # somebody else put it there
    failure: Outcome | None = None  # what first went wrong
    failed_at: str = ""  # the step that failed, by name
    stuck: Outcome | None = None  # why it could not be brought back
    stuck_at: str = ""
    left: bool = False  # somebody else had put it out of rotation, and it was left so


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One play. ``tally`` counts hosts by state; ``out`` holds those of ours that are out of rotation."""

    index: int = 0  # which play of the rollout it is
    rollout: str = ""
    environment: str = ""
    play: PlayPlan | None = None
    by: Provenance = field(default_factory=Provenance)
    began: str = ""
    now: str = ""
    phase: str = "pending"
    batch: int = -1
    rows: immutables.Map[HostName, Row] = field(default_factory=immutables.Map)
    tally: immutables.Map[str, int] = field(default_factory=immutables.Map)
    out: immutables.Map[HostName, None] = field(default_factory=immutables.Map)
    reverting: tuple[HostName, ...] = ()
    condemned: bool = False
    halt: HaltOrdered | None = None
    paused: PauseOrdered | None = None
    first_failure: HostName | None = None
    hook: Run | None = None  # the last task beside the batches that was begun
    hook_since: str = ""
    hook_failure: Outcome | None = None
    recovered: int = 0
    end: RolloutFinished | None = None
    head: str = ""
    seq: int = 0
    in_memory: bool = False  # the newest record is not on record: the state could not be written

    @property
    def standing(self) -> str:
        """Where the play is, for people: a pause is said in place of what is paused."""
        return "paused" if self.paused and self.phase in ("staging", "rolling") else self.phase

    @property
    def release(self) -> str:
        """The release that is brought."""
        return self.play.release.id if self.play else ""

    @property
    def app(self) -> str:
        """The app that it is a release of."""
        return self.play.app if self.play else ""

    @property
    def batches(self) -> int:
        """How many batches there are."""
        return len(self.play.batches) if self.play else 0

    @property
    def elapsed_s(self) -> float:
        """Seconds from the first record to the newest."""
        return between(self.began, self.now)

    def plan_of(self, host: HostName) -> HostPlan | None:
        """What was planned for a host."""
        return self.play.hosts.get(host) if self.play else None

    def in_state(self, *states: str) -> list[HostName]:
        """The hosts in any of these states, in the order of the batches."""
        return [host for host, row in self.ordered() if row.state in states]

    def ordered(self) -> Iterable[tuple[HostName, Row]]:
        """Every host with a program, in the order of the batches."""
        hosts = (h for batch in self.play.batches for h in batch.hosts) if self.play else ()
        return [(host, self.rows[host]) for host in hosts if host in self.rows]


def see(board: Board, record: Record) -> Board:
    """Return the board after one more record."""
    board = replace(board, now=record.at, head=record.hash, seq=record.seq, in_memory=record.in_memory)
    seen = _SEEN.get(type(record.event))
    return seen(board, record.event) if seen else board


def see_note(board: Board, note: Note) -> Board:
    """Return the board after a note: whether a host that is to leave still waits for its turn, or drains."""
    if note.host is None or note.about not in ("waiting", "draining"):
        return board
    row = board.rows.get(note.host, Row())
    if not isinstance(row.doing, Deregister):
        return board
    out = note.about == "draining" and _serves(board, note.host)
    state = "undoing" if row.undoing else {"waiting": "queued", "draining": "draining"}[note.about]
    return _put(board, note.host, replace(row, state=state, out=out))


def _began(board: Board, event: RolloutStarted) -> Board:
    play = event.plan.plays[board.index]
    rows = {
        host: Row(batch=number, since=board.now, release=play.hosts[host].previous)
        for number, batch in enumerate(play.batches)
        for host in batch.hosts
    }
    return replace(
        board,
        rollout=event.plan.id,
        environment=event.plan.environment,
        play=play,
        by=event.provenance,
        began=board.now,
        phase="staging",
        rows=immutables.Map(rows),
        tally=immutables.Map({"waiting": len(rows)} if rows else {}),
    )


def _put(board: Board, host: HostName, row: Row, **changes: Any) -> Board:
    """Replace one row, the tallies with it."""
    before = board.rows.get(host, Row(state=""))
    tally = board.tally
    if before.state != row.state:
        row = replace(row, since=board.now)
        tally = tally.set(row.state, tally.get(row.state, 0) + 1)
        if before.state:
            tally = tally.set(before.state, tally[before.state] - 1)
    out = board.out
    if row.out != before.out:
        out = out.set(host, None) if row.out else out.delete(host)
    return replace(board, rows=board.rows.set(host, row), tally=tally, out=out, **changes)


def _step_started(board: Board, event: StepStarted) -> Board:
    row = board.rows.get(event.host, Row())
    state = "undoing" if event.undo else FORWARD.get(event.action.kind, ("working", ""))[0]
    begun = row.begun if event.undo else max(row.begun, event.at + 1)
    row = replace(row, state=state, doing=event.action, undoing=event.undo, begun=begun, since=board.now)
    if isinstance(event.action, Deregister | Switch | Withdraw) and not row.out:
        row = replace(row, out=_serves(board, event.host), out_since=board.now)
    return _put(board, event.host, row)


def _serves(board: Board, host: HostName) -> bool:
    """Whether the host was in service when the rollout began: only then is it missed."""
    plan = board.plan_of(host)
    return plan is not None and plan.serving


def _step_finished(board: Board, event: StepFinished) -> Board:
    row = board.rows.get(event.host, Row())
    doing, undoing = row.doing, row.undoing
    row = replace(row, doing=None)
    if doing is None:
        return board
    if isinstance(doing, Deregister) and event.outcome.passed:
        row = replace(row, out=_serves(board, event.host))
    if not event.outcome.passed:
        return _not_passed(board, event.host, row, doing, event.outcome)
    if isinstance(doing, Deregister | Register):
        row = replace(row, left=bool(left_in(event.outcome.data)))
    row = _believed(board, event.host, row, doing)
    if undoing:
        row = replace(row, way=row.way - 1)
        return _put(board, event.host, replace(row, state="reverting" if row.way > 0 else "reverted"))
    state = FORWARD.get(doing.kind, ("", "working"))[1]
    if state not in ("staged", "done") and _is_last(board, event.host, row):
        state = "done"
    return _put(board, event.host, replace(row, state=state))


def _is_last(board: Board, host: HostName, row: Row) -> bool:
    """Whether nothing but Keep is left of the host's program."""
    plan = board.plan_of(host)
    return plan is not None and all(isinstance(step.do, Keep) for step in plan.steps[row.begun :])


def _believed(board: Board, host: HostName, row: Row, did: Action) -> Row:
    """Return what a step that passed says about the host's release and rotation."""
    if isinstance(did, Switch):
        row = replace(row, release=did.release)
    elif isinstance(did, Withdraw):
        row = replace(row, release="")
    back_in = isinstance(did, Register) or (isinstance(did, Verify) and not _has_register(board, host))
    return _back_in(board, row) if back_in else row


def _has_register(board: Board, host: HostName) -> bool:
    plan = board.plan_of(host)
    return plan is not None and any(isinstance(step.do, Register) for step in plan.steps)


def stays_out(board: Board, host: HostName) -> bool:
    """Whether a host that is settled is out of rotation because somebody else has put it out, before or meanwhile."""
    return board.rows[host].left or not _has_register(board, host)


def found_out(board: Board) -> list[HostName]:
    """Return the hosts that were out of rotation when they were adopted, or had been already."""
    return [host for host, plan in board.play.hosts.items() if plan.found_out] if board.play else []


def _back_in(board: Board, row: Row) -> Row:
    """Return the row of a host that takes traffic again."""
    return replace(row, out=False, out_s=row.out_s + (between(row.out_since, board.now) if row.out else 0.0))


def _not_passed(board: Board, host: HostName, row: Row, doing: Action, outcome: Outcome) -> Board:
    """Return the board after a step that failed, or that was withdrawn before it began."""
    if outcome.untouched and isinstance(doing, Deregister):
        row = _back_in(board, row)
    if FOUND in outcome.data:
        row = replace(row, release=outcome.data[FOUND], drifted=True)
    if outcome.untouched and not row.undoing:
        row = replace(row, begun=row.begun - 1)  # nothing of it has to be undone
    if row.undoing:
        return _put(board, host, replace(row, state="stranded", stuck=outcome, stuck_at=doing.kind))
    if outcome.untouched and outcome.cause == "none":
        return _put(board, host, replace(row, state="staged"))
    first = board.first_failure or host
    return _put(board, host, replace(row, state="failed", failure=outcome, failed_at=doing.kind), first_failure=first)


def _sickened(board: Board, event: HostSickened) -> Board:
    """Return the board after a done host was found ill, or could not be asked: that one stays where it is."""
    row = replace(board.rows.get(event.host, Row()), failure=event.outcome, failed_at="watch")
    if event.outcome.cause is not Cause.CONNECTION:
        row = replace(row, state="failed")
    return _put(board, event.host, row, first_failure=board.first_failure or event.host)


def _host_revert(board: Board, event: HostRevertStarted) -> Board:
    row = board.rows.get(event.host, Row())
    plan = board.plan_of(event.host)
    way = sum(len(step.undo) for step in plan.steps[: row.begun]) if plan else 0
    way += len(plan.on_failure) if plan and row.state == "failed" else 0
    return _put(board, event.host, replace(row, way=way, state="reverting" if way else "reverted"))


def _recovered(board: Board, event: Recovered) -> Board:
    for host, row in board.rows.items():
        if row.doing is not None:
            board = _put(board, host, replace(row, doing=None, state=_cut(row)))
    for host, current in event.seen.items():
        row = board.rows.get(host, Row())
        board = _put(board, host, replace(row, release=current, drifted=row.drifted and current == row.release))
    for host, why in event.stranded.items():
        row = board.rows.get(host, Row())
        board = _put(board, host, replace(row, state="stranded", stuck=Outcome(summary=why)))
    return replace(board, recovered=board.recovered + 1)


def _cut(row: Row) -> str:
    """Return what a host is whose step was in flight: what was staged by half is staged anew, and serves nobody."""
    if row.undoing:
        return "reverting"
    if isinstance(row.doing, Keep):  # a host that is done is noted as good last
        return "done"
    return "waiting" if isinstance(row.doing, Stage) else "interrupted"


def _hook_finished(board: Board, event: HookFinished) -> Board:
    return board if event.outcome.passed else replace(board, hook_failure=event.outcome)


def _finished(board: Board, event: RolloutFinished) -> Board:
    return replace(board, phase=event.end, end=event)


_SEEN: Mapping[type[Any], Callable[[Board, Any], Board]] = {
    RolloutStarted: _began,
    StagingClosed: lambda board, _: replace(board, phase="rolling"),
    BatchStarted: lambda board, event: replace(board, batch=event.batch),
    RollingClosed: lambda board, _: replace(board, phase="closing"),
    StepStarted: _step_started,
    StepFinished: _step_finished,
    HookStarted: lambda board, event: replace(board, hook=event.action, hook_since=board.now),
    HookFinished: _hook_finished,
    HostSickened: _sickened,
    HostRevertStarted: _host_revert,
    HaltOrdered: lambda board, event: replace(board, phase="halting", halt=board.halt or event, paused=None),
    PauseOrdered: lambda board, event: replace(board, paused=event),
    ProceedOrdered: lambda board, _: replace(board, paused=None),
    RevertStarted: lambda board, event: replace(
        board, phase="reverting", reverting=event.hosts, condemned=event.condemned
    ),
    Recovered: _recovered,
    RolloutFinished: lambda board, event: _finished(board, replace(event, end=event.end_of(board.index))),
}
