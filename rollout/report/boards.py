"""The boards of all plays of one rollout: each event goes to the board of its play."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rollout.model.event import Note, Record, RolloutFinished, RolloutStarted
from rollout.report import board as one
from rollout.report.board import Board

RESTING = frozenset({"pending", "closing", "succeeded", "halted", "reverted", "stranded"})


@dataclass(frozen=True, slots=True)
class Boards:
    """A board for each play, in their order; one at least. ``end``: that of the whole rollout."""

    plays: tuple[Board, ...] = (Board(),)
    end: RolloutFinished | None = None

    @property
    def several(self) -> bool:
        """Whether what is said has to say of which play it is."""
        return len(self.plays) > 1

    @property
    def newest(self) -> Board:
        """The board that the newest record is on."""
        return max(self.plays, key=lambda board: board.seq)

    @property
    def active(self) -> Board:
        """The board of the play whose turn it is."""
        if self.newest.phase not in RESTING:
            return self.newest
        return next((b for b in self.plays if b.phase not in RESTING), self.newest)

    def of(self, event: object) -> Board:
        """Return the board that an event or a note is about; that of the first play for the whole rollout."""
        number = getattr(event, "play", 0)
        return self.plays[number] if number < len(self.plays) else Board()


def see(boards: Boards, record: Record) -> Boards:
    """Return the boards after one more record."""
    event = record.event
    if isinstance(event, RolloutStarted):
        begun = (replace(boards.plays[0], index=n) for n in range(len(event.plan.plays)))
        return Boards(tuple(one.see(board, record) for board in begun))
    if isinstance(event, RolloutFinished):
        return Boards(tuple(one.see(board, record) for board in boards.plays), event)
    return _put(boards, event.play, one.see(boards.of(event), record))


def see_note(boards: Boards, note: Note) -> Boards:
    """Return the boards after a note."""
    return _put(boards, note.play, one.see_note(boards.of(note), note))


def seen_all(records: Iterable[Record]) -> Boards:
    """Return the boards of a whole journal."""
    boards = Boards()
    for record in records:
        boards = see(boards, record)
    return boards


def _put(boards: Boards, number: int, board: Board) -> Boards:
    if number >= len(boards.plays):  # a journal whose head is lost: nothing is known of this play
        return boards
    return Boards((*boards.plays[:number], board, *boards.plays[number + 1 :]), boards.end)
