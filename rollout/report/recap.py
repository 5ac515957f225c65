"""The recap: what happened, why, what the state is now, and what to type next.

Written for somebody who was woken up: the first line says it all, each next one answers one question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from rollout.model.host import HostName
from rollout.model.plan import DEPLOYS, QUIET, Deregister, Register
from rollout.model.verdict import Cause, Outcome
from rollout.report.board import Board, Row, found_out, stays_out
from rollout.report.nextsteps import FENCED, next_steps
from rollout.report.text import count, duration, inert, names
from rollout.report.words import CAUSES, EXITS

STEPS = {
    "stage": "staging",
    "deregister": "leaving rotation",
    "switch": "the switch",
    "restart": "the restart",
    "adopt": "the adoption",
    "prune": "pruning",
    "verify": "the health check",
    "run": "a task",
    "register": "going back into rotation",
    "withdraw": "stopping it",
    "watch": "the watch over hosts that were done",
    "keep": "noting it as kept",
    "discard": "noting it as unverified",
}
UNWRITTEN = 8
TELLING = re.compile(r"error|exception|fatal|panic|traceback|critical|failed|refused|denied|no such|cannot", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: a short label, what it says, and how it is meant: good, bad, warn or dim."""

    label: str
    text: str
    mood: str = ""


def recap_of(board: Board) -> list[Line]:
    """Return the recap of what the board of a play shows; recaps.py has that of several."""
    return [
        headline(board, subject(board)),
        *_labelled("why", _why(board)),
        *_labelled("now", _now(board)),
        *_labelled("next", [(text, "") for text in next_steps(board)]),
        _figures(board),
        _journal(board),
    ]


def _journal(board: Board) -> Line:
    """Say how long the journal is, and what its head is."""
    if board.in_memory:
        return Line(label="journal", text="the state does not know how it ended", mood="bad")
    return Line(label="journal", text=f"{count(board.seq, 'record')}, head {board.head or '-'}", mood="dim")


def recap_text(lines: Sequence[Line]) -> list[str]:
    """Return the lines as plain text, the labels in a column of their own."""
    return [lines[0].text, *(f"  {line.label:8} {line.text}" for line in lines[1:])] if lines else []


def _labelled(label: str, said: Iterable[tuple[str, str]]) -> list[Line]:
    """Return lines of which the first carries the label."""
    return [Line(label="" if n else label, text=text, mood=mood) for n, (text, mood) in enumerate(said)]


def headline(board: Board, what: str) -> Line:
    """Say the end, of what, how long it took, and the exit code in words."""
    if board.end is None:
        words = f"UNFINISHED: {what}, {board.standing} for {duration(board.elapsed_s)} (rollout {board.rollout})"
        return Line(label="", text=words, mood="warn")
    end, code = board.end.end, UNWRITTEN if board.in_memory else board.end.exit_code
    word = "DONE" if end == "succeeded" else end.upper()
    mood = {"succeeded": "good", "reverted": "bad", "stranded": "bad"}.get(end, "warn")
    said = f"{word}: {what}, after {duration(board.elapsed_s)} (rollout {board.rollout}, exit {code}"
    return Line(label="", text=said + (f": {EXITS[code]})" if EXITS.get(code) and code else ")"), mood=mood)


def subject(board: Board) -> str:
    """Say what it was about."""
    whole = f"{board.app} {board.release} to {board.environment}"
    purpose = board.play.purpose if board.play else "apply"
    if purpose == "adopt":
        return f"adopt, {board.app} {board.release} in {board.environment}"
    if purpose in DEPLOYS:
        return whole if purpose == "apply" else f"{purpose}, {whole}"
    hosts = names(list(board.play.hosts) if board.play and purpose != "restart" else [], 4)
    return f"{purpose} of {hosts or 'the hosts'} of {board.app} in {board.environment}"


AFTERWARDS = {
    "restart": "restarted, in rotation as before",
    "drain": "out of rotation and without sessions, until registered again",
    "register": "healthy, and back in rotation",
    "adopt": "untouched, and on record with what they run",
    "prune": "pruned, and serving as before",
}


def _why(board: Board) -> list[tuple[str, str]]:
    """Say what went wrong, with the failing host's own words."""
    said = []
    host = board.first_failure
    failure = board.rows[host].failure if host is not None else None
    if host is not None and failure is not None:
        said.append((_failed(host, board.rows[host], failure), "bad"))
        said += _gone_together(board)
        telling = telling_line(failure.tail)
        if telling:
            said.append((f"{inert(host, 80)} said: {telling}", "bad"))
    order = board.halt
    if failure is None and board.hook_failure is not None:
        said.append((f"{inert(board.hook_failure.summary, 300)}", "bad"))
        telling = telling_line(board.hook_failure.tail)
        return [*said, (f"it said: {telling}", "bad")] if telling else said
    if order is not None and (failure is None or order.signal):
        said.append((inert(order.reason, 300) + (f" ({order.signal})" if order.signal else ""), "warn"))
    elif not said and board.end is not None and board.end.end != "succeeded":
        said.append((inert(board.end.reason, 300), "bad"))
    return said


def _gone_together(board: Board) -> list[tuple[str, str]]:
    """Say that several hosts could not be reached any more: that has one cause more often than several (F41)."""
    gone = [h for h, row in board.ordered() if row.failure is not None and row.failure.cause is Cause.CONNECTION]
    if len(gone) < 2:
        return []
    said = f"{count(len(gone), 'host')} could not be reached any more ({names(gone)})"
    if hop := _before_all(board, gone):
        return [(f"{said}, all through the jump host {inert(hop, 80)}: look first at that one", "bad")]
    common = "look first at what they have in common: a jump host, a firewall, the network of this machine"
    return [(f"{said}: {common}", "bad")]


def _before_all(board: Board, hosts: Sequence[HostName]) -> str:
    """Return the jump host that all of these are reached through, the last one where there are several; or nothing."""
    ways = [[hop.name for hop in plan.connection.jump] for h in hosts if (plan := board.plan_of(h)) is not None]
    shared = [name for name in (ways[0] if ways else ()) if all(name in way for way in ways)]
    return shared[-1] if shared else ""


def _failed(host: HostName, row: Row, outcome: Outcome) -> str:
    """Say which host failed at what, and whose doing it was."""
    whose = f" (cause: {CAUSES[outcome.cause]})" if outcome.cause in CAUSES else ""
    at = f" at {STEPS.get(row.failed_at, row.failed_at)}" if row.failed_at else ""
    return f"{inert(host, 80)} failed{at}{whose}: {inert(outcome.summary, 300)}"


def telling_line(tail: Sequence[str]) -> str:
    """Return the line of a host's output that says most: the last that complains, else the last."""
    lines = [line for line in tail if line.strip() and not line.startswith(("== ", "LISTEN ", "State "))]
    complaints = [line for line in lines if TELLING.search(line)]
    return inert((complaints or lines or [""])[-1].strip(), 200)


def _now(board: Board) -> list[tuple[str, str]]:
    """Say what each host is on, and what is out of rotation, by name."""
    purpose = board.play.purpose if board.play else "apply"
    groups = [
        *_done(board, purpose),
        *_reverted(board),
        (_between(board), "half-way", "warn"),
        (_failed_hosts(board), "failed and not brought back", "bad"),
        (_untouched(board), "not touched", ""),
    ]
    said = [(f"{count(len(hosts), 'host')} {what}: {names(hosts)}", mood) for hosts, what, mood in groups if hosts]
    if said and board.end is not None and board.end.exit_code == FENCED:
        said.insert(0, ("as far as this process knew when another one took over:", "warn"))
    said += [(_stranded(host, board.rows[host]), "bad") for host in board.in_state("stranded")[:20]]
    said += _out(board)
    if there := found_out(board):
        said.append((f"out of rotation as found, by whom is not on record: {names(there, 20)}", "warn"))
    if board.play and board.play.off_target:
        said.append((f"off target, unreachable from the start: {names(board.play.off_target)}", "warn"))
    if board.condemned:
        said.append((f"{board.release} is marked bad: apply refuses it without --allow-bad", "warn"))
    return said or [("no host was to be changed", "")]


def _out(board: Board) -> list[tuple[str, str]]:
    """Name the hosts that are out of rotation by our doing, and those that may be."""
    meant = board.play is not None and board.play.purpose == "drain"
    out = [host for host, row in board.ordered() if row.out and not (meant and row.state == "done")]
    doubt = [host for host in out if isinstance(board.rows[host].doing, Deregister | Register)]
    sure = [host for host in out if host not in doubt]
    return [
        *([(f"OUT OF ROTATION: {names(sure, 20)}", "bad")] if sure else []),
        *([(f"PERHAPS OUT OF ROTATION: {names(doubt, 20)}", "bad")] if doubt else []),
    ]


Group = tuple[list[HostName], str, str]
LEFT = "left out of rotation, as it was found"


def _done(board: Board, purpose: str) -> list[Group]:
    """Group the hosts that are done: those that get traffic, and those that somebody else had put out."""
    lost = _lost(board)
    done = [host for host in board.in_state("done") if host not in set(lost)]
    if purpose in ("drain", *QUIET):  # nobody comes back in
        return [(board.in_state("done"), AFTERWARDS[purpose], "good")]
    out = [host for host in done if stays_out(board, host)]
    inside = [host for host in done if host not in set(out)]
    what = f"on {board.release}" if purpose in DEPLOYS else AFTERWARDS.get(purpose, "done").partition(",")[0]
    whole = AFTERWARDS.get(purpose, f"{what}, in rotation")
    away = (lost, f"{whole} when last seen, and then out of reach", "warn")
    return [(inside, whole, "good"), (out, f"{what}, {LEFT}", "good"), away]


def _reverted(board: Board) -> list[Group]:
    """Group the reverted hosts by the release that they are on, and by whether they get traffic."""
    groups: dict[tuple[str, str], list[HostName]] = {}
    for host in board.in_state("reverted"):
        groups.setdefault(_back_on(board, host), []).append(host)
    return [(hosts, what, mood) for (what, mood), hosts in groups.items()]


def _back_on(board: Board, host: HostName) -> tuple[str, str]:
    """Say what a host is on and whether it gets traffic, and how that is meant."""
    row = board.rows[host]
    where = LEFT if stays_out(board, host) else "in rotation"
    if row.drifted:
        return f"{elsewhere(row.release)}, {where}", "warn"
    return (f"back on {row.release}, {where}" if row.release else "back to nothing, as before"), "good"


def elsewhere(release: str) -> str:
    """Say what somebody else has put a host on."""
    return f"on {inert(release, 80) or 'no release of this app'}, which somebody else put there"


def _began(board: Board, host: HostName, row: Row) -> bool:
    """Whether more than staging was begun on the host."""
    plan = board.plan_of(host)
    return plan is not None and row.begun > plan.staging


def _between(board: Board) -> list[HostName]:
    settled = ("done", "reverted", "failed", "stranded")
    return [host for host, row in board.ordered() if row.state not in settled and _began(board, host, row)]


def _untouched(board: Board) -> list[HostName]:
    settled = ("done", "reverted", "stranded")
    return [host for host, row in board.ordered() if row.state not in settled and not _began(board, host, row)]


def _lost(board: Board) -> list[HostName]:
    """The done hosts that could not be asked any more."""
    return [host for host in board.in_state("done") if board.rows[host].failure is not None]


def _failed_hosts(board: Board) -> list[HostName]:
    return [host for host in board.in_state("failed") if _began(board, host, board.rows[host])]


def _stranded(host: HostName, row: Row) -> str:
    """Say what is known of a host that nobody could heal."""
    why = inert(row.stuck.summary, 300) if row.stuck else "no way back"
    at = f", stuck at {STEPS.get(row.stuck_at, row.stuck_at)} of its way back" if row.stuck_at else ""
    where = "out of rotation" if row.out else "perhaps still in rotation"
    on = elsewhere(row.release) if row.drifted else f"last known on {inert(row.release, 80) or 'nothing'}"
    return f"STRANDED {inert(host, 80)} ({where}, {on}{at}): {why}"


def _figures(board: Board) -> Line:
    """Say how long hosts were out of rotation."""
    times = [row.out_s for row in board.rows.values() if row.out_s]
    done = f"{count(len(board.rows), 'host')}, {count(board.batches, 'batch', 'batches')}"
    if board.play and board.play.purpose == "drain":
        return Line(label="figures", text=done, mood="dim")
    if not times:
        left = any(row.out for row in board.rows.values())
        text = done if left else f"{done}; no host left rotation"
        return Line(label="figures", text=text, mood="dim")
    text = f"{done}; out of rotation: median {duration(median(times))}, longest {duration(max(times))}"
    return Line(label="figures", text=text, mood="dim")
