"""One rollout's story: who and why, the recap, what happened when, and the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.model.event import HookFinished, HostSickened, Provenance, Record, StepFinished
from rollout.model.trust import Trust
from rollout.model.verdict import Outcome
from rollout.report.board import Board
from rollout.report.boards import Boards, see, seen_all
from rollout.report.recap import recap_text
from rollout.report.recaps import recap_of_all
from rollout.report.text import clock, inert, moment
from rollout.report.words import said

EVIDENCE_LINES = 400  # of one failure; what a host said is bounded when it is recorded, too


def story(records: Sequence[Record], *, evidence: bool = True) -> list[str]:
    """Return the whole story as plain lines."""
    boards = seen_all(records)
    lines = [*recap_text(recap_of_all(boards)), "", *_origin(boards), "", "What happened:"]
    lines += [f"  {line}" for line in timeline(records)]
    if evidence:
        lines += _evidence(records)
    return lines


def _origin(boards: Boards) -> list[str]:
    """Say who began it, when, where, with what, and why."""
    board = boards.plays[0]
    by = board.by
    who = inert(by.user, 80) + (f" (uid {by.uid})" if by.uid >= 0 else "")
    pairs = [
        ("Begun", f"{moment(board.began)} by {who or 'somebody'} on {inert(by.controller, 80) or 'a controller'}"),
        ("Message", inert(by.message, 500)),
        *(("OVERRIDDEN", inert(one, 500)) for one in by.overridden),
        ("Command", inert(" ".join(by.argv), 500)),
        ("Playbook", inert(by.playbook, 300)),
        ("Commit", inert(by.commit, 80) + (" (the tree was dirty)" if by.dirty else "")),
        ("CI claims", _pairs(by)),
        *(("Release", _release(b, boards.several)) for b in boards.plays),
        *(pair for b in boards.plays for pair in _signed(b)),
    ]
    return [f"{label:10} {text}" for label, text in pairs if text]


def _pairs(by: Provenance) -> str:
    """Return what the pipeline says of itself."""
    return ", ".join(f"{inert(key, 80)}={inert(value, 200)}" for key, value in sorted(by.ci.items()))


def _release(board: Board, several: bool) -> str:
    """Return the release and its digests, and of which app it is where there are several."""
    if board.play is None:
        return ""
    release = board.play.release
    whose = f"{inert(board.app, 60)} " if several else ""
    if not release.manifest:
        return f"{whose}none on record"
    whence = f"artifact {release.artifact}" if release.artifact else "brought by something else"
    whence = f"artifact {release.source}, sent as {release.artifact}" if release.source else whence
    return f"{whose}{release.id}, {whence}, manifest {release.manifest}"


def _signed(board: Board) -> Iterator[tuple[str, str]]:
    """Yield who answered for the release, and what was let pass by hand."""
    trust = board.play.trust if board.play else Trust()
    when = f" at {trust.created}" if trust.created else " (the artifact alone)"
    yield "Signed", f"by {inert(trust.identity, 80)}{when}, {trust.key}" if trust.of else ""
    for waived in trust.waived:
        yield "Let pass", inert(waived, 300)


def timeline(records: Sequence[Record]) -> Iterator[str]:
    """Yield one line per record, in local time."""
    boards = Boards()
    for record in records:
        host, what = said(boards, record)
        boards = see(boards, record)
        yield f"{clock(record.at)} {inert(host, 40):14} {what}"


def _evidence(records: Sequence[Record]) -> list[str]:
    """Return what each failing host said, under its name."""
    lines: list[str] = []
    for record in records:
        event = record.event
        if (
            isinstance(event, StepFinished | HostSickened | HookFinished)
            and not event.outcome.passed
            and event.outcome.tail
        ):
            lines += [
                "",
                f"Evidence of {inert(event.host, 80) or 'the controller'} (record {record.seq}, {clock(record.at)}):",
            ]
            lines += _tail(event.outcome)
    return lines


def _tail(outcome: Outcome) -> list[str]:
    """Return the lines of evidence, the newest of many."""
    tail = outcome.tail[-EVIDENCE_LINES:]
    left = len(outcome.tail) - len(tail)
    return [
        *([f"  ({left} lines before these are left out)"] if left else []),
        *(f"  | {inert(line)}" for line in tail),
    ]
