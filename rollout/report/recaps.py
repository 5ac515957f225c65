"""The recap of a rollout of one play or several: one end, one cause, and the state of each play."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rollout.model.event import Record
from rollout.model.plan import DEPLOYS
from rollout.model.verdict import Cause
from rollout.report.board import Board, found_out
from rollout.report.boards import Boards, seen_all
from rollout.report.recap import Line, headline, recap_of, subject
from rollout.report.text import inert


def recap(records: Iterable[Record]) -> list[Line]:
    """Return the recap of a whole journal."""
    return recap_of_all(seen_all(records))


def recap_of_all(boards: Boards) -> list[Line]:
    """Return the recap of what the boards show: for one play it is that of its board."""
    if not boards.several:
        return recap_of(boards.plays[0])
    each = [(board, _sections(recap_of(board))) for board in boards.plays]
    fault = next((b for b in boards.plays if _own_fault(b)), boards.newest)
    return [
        headline(replace(boards.newest, end=boards.end), _subject(boards)),
        *_told((board, said.get("why", [])) for board, said in each if _own_fault(board)),
        *_told((board, said.get("now", [])) for board, said in each),
        *_next(boards, fault),
        *_told((board, said.get("figures", [])) for board, said in each),
        *_sections(recap_of(boards.newest)).get("journal", []),
    ]


def _sections(lines: list[Line]) -> dict[str, list[Line]]:
    """Return the lines by the label that they stand under."""
    found: dict[str, list[Line]] = {}
    label = ""
    for line in lines[1:]:
        label = line.label or label
        found.setdefault(label, []).append(replace(line, label=label))
    return found


def _told(each: Iterable[tuple[Board, list[Line]]]) -> Iterator[Line]:
    """Yield the lines of all plays, each with its app; the label stands once."""
    last = ""
    for board, lines in each:
        for line in lines:
            label = "" if line.label == last else line.label
            last = line.label
            yield replace(line, label=label, text=f"{inert(board.app, 60)}: {line.text}")


def _own_fault(board: Board) -> bool:
    """Whether something went wrong in the play itself, and not only in another."""
    own = board.halt is not None and board.halt.cause is not Cause.PLAY
    return own or board.first_failure is not None


def _next(boards: Boards, fault: Board) -> Iterator[Line]:
    """Yield what to type next: what the play at fault asks for, and whoever is stranded, or was out when adopted."""
    asking = [b for b in boards.plays if b.in_state("stranded")] or [*filter(found_out, boards.plays)] or [fault]
    lines = [line for board in asking for line in _sections(recap_of(board)).get("next", [])]
    for number, line in enumerate({line.text: line for line in lines}.values()):
        yield replace(line, label="" if number else "next")


def _subject(boards: Boards) -> str:
    """Say what it was about: each app, and the release where one is brought."""
    first = boards.plays[0]
    purpose = first.play.purpose if first.play else "apply"
    if purpose not in DEPLOYS:
        return " and ".join(map(subject, boards.plays))
    kind = "" if purpose == "apply" else f"{purpose}, "
    return f"{kind}{' and '.join(f'{b.app} {b.release}' for b in boards.plays)} to {first.environment}"
