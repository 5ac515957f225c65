"""The live board on a terminal, and the recap that stays when it is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rollout.model.event import Note, Record
from rollout.model.host import HostName
from rollout.report.boards import Boards, see, see_note, seen_all
from rollout.report.boardview import board_view, in_one_line
from rollout.report.recap import Line
from rollout.report.recaps import recap_of_all
from rollout.report.text import clock, inert
from rollout.report.words import noted, said
from rollout.store.database import utc_now

LAST = 6  # events under the board
MOODS = {"good": "green", "bad": "red", "warn": "yellow", "dim": "dim", "": ""}


class ConsoleSink:
    """A board that redraws itself (ports.Sink), then gives way to the recap.

    Nothing of a host's is ever markup: all of it goes through ``inert`` into ``Text``.
    """

    def __init__(self, console: Console | None = None, now: Callable[[], str] = utc_now) -> None:
        """Draw on ``console``; nothing appears before the first event."""
        self.console = console or Console(highlight=False, markup=False, emoji=False)
        self.now = now
        self.boards = Boards()
        self.last: deque[str] = deque(maxlen=LAST)
        self.notes: dict[tuple[int, HostName], str] = {}  # by play and host
        self._live: Live | None = None

    def catch_up(self, records: Sequence[Record]) -> None:
        """Know what happened before this process took over."""
        self.boards = seen_all(records)
        self.notes.clear()  # one after the other may be taken over
        self.last.clear()

    def event(self, record: Record) -> None:
        """Fold one event in, and draw."""
        host, what = said(self.boards, record)
        self.boards = see(self.boards, record)
        self.last.append(f"{clock(record.at)} {inert(host, 40):14} {what}")
        if host:
            self.notes.pop((self.boards.of(record.event).index, HostName(host)), None)
        if self.boards.end is not None:
            self._over()
        elif self._live is None:
            self._live = Live(get_renderable=self.view, console=self.console, refresh_per_second=8, transient=True)
            self._live.start()

    def note(self, note: Note) -> None:
        """Show a note beside its host, or among the last events."""
        self.boards = see_note(self.boards, note)
        if note.host is not None:
            self.notes[note.play, note.host] = noted(note)
        else:
            self.last.append(f"{clock(self.now())} {'':14} {noted(note)}")

    def view(self) -> RenderableType:
        """Return the board of the play whose turn it is, the other plays in a line each."""
        active = self.boards.active
        notes = {host: text for (play, host), text in dict(self.notes).items() if play == active.index}
        others = [in_one_line(board) for board in self.boards.plays if board is not active]
        height = self.console.height - len(others)
        return Group(*others, board_view(active, self.now(), tuple(self.last), notes, height))

    def _over(self) -> None:
        """Take the board away and leave the recap."""
        self.close()
        self.console.print(recap_view(recap_of_all(self.boards)))

    def close(self) -> None:
        """Stop drawing and give the cursor back."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def recap_view(lines: Sequence[Line]) -> RenderableType:
    """Return the recap in its colours, long lines wrapped under their own column."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10, no_wrap=True)
    grid.add_column(overflow="fold")
    for line in lines[1:]:
        grid.add_row(Text(f"  {line.label}", "bold"), Text(line.text, MOODS[line.mood]))
    return Group(*(Text(line.text, f"bold {MOODS[line.mood]}") for line in lines[:1]), grid)
