"""The live board as rich sees it: a header, the staging bar, capacity against the floor, hosts, last events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rollout.model.host import HostName
from rollout.report.board import Board, Row
from rollout.report.text import between, count, duration, inert, names, size

FEW = 30  # hosts; beyond, counts by state and only the rows that say something

# state -> (glyph, style)
LOOKS = {
    "waiting": ("·", "dim"),
    "staging": ("↑", "cyan"),
    "staged": ("·", ""),
    "queued": ("·", "yellow"),
    "draining": ("▽", "yellow"),
    "out": ("○", "yellow"),
    "switching": ("⇄", "cyan"),
    "switched": ("⇄", "cyan"),
    "checking": ("?", "cyan"),
    "healthy": ("♥", "green"),
    "entering": ("△", "green"),
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "reverting": ("↶", "magenta"),
    "undoing": ("↶", "magenta"),
    "reverted": ("↺", "magenta"),
    "stranded": ("‼", "bold white on red"),
    "interrupted": ("?", "yellow"),
}
RESTING = frozenset({"waiting", "staged", "done", "reverted"})  # nothing to see
PHASES = {"halting": "bold red", "reverting": "bold magenta", "staging": "cyan", "rolling": "green"}


def board_view(
    board: Board, now: str, last: Sequence[str] = (), notes: dict[HostName, str] | None = None, height: int = 40
) -> RenderableType:
    """Return the whole board. ``now`` is the time as the journal writes it, ``height`` the terminal's lines."""
    parts: list[RenderableType] = [_header(board, now)]
    if board.phase == "staging":
        parts.append(_staging(board))
    else:
        parts.extend(_capacity(board))
    if board.halt is not None:
        parts.append(
            Text(f"HALT: {inert(board.halt.reason, 300)}", style="bold red", overflow="ellipsis", no_wrap=True)
        )
    room = max(3, height - len(parts) - len(last) - 6)
    parts += [Text(""), _hosts(board, now, notes or {}, room), Text("")]
    parts += [Text(inert(line), style="dim", overflow="ellipsis", no_wrap=True) for line in last]
    hint = "Ctrl-C: halt, and heal what is in flight"
    return Group(*parts, Text(hint, style="dim italic"))


def _header(board: Board, now: str) -> Text:
    """Return the release, where it goes, where the rollout is, and for how long."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{board.app} {board.release}", "bold").append(f" → {board.environment}   ")
    text.append(board.standing, PHASES.get(board.standing, "bold"))
    if board.batch >= 0 and board.phase == "rolling":
        text.append(f"   batch {board.batch + 1} of {board.batches}")
    elapsed = duration(max(0.0, between(board.began, now)))
    return text.append(f"   {elapsed}").append(f"   {board.rollout}", "dim")


def in_one_line(board: Board) -> Text:
    """Return a play whose turn it is not: what it brings, where it is, and its hosts by state."""
    text = Text(no_wrap=True, overflow="ellipsis")
    waits = board.phase == "staging" and not any(board.tally.get(s, 0) for s in ("waiting", "staging"))
    phase = {"closing": "has rolled, and is watched"}.get(
        board.standing, "staged, waits its turn" if waits else board.standing
    )
    text.append(f"{board.app} {board.release}   ", "bold dim").append(f"{phase}   ", PHASES.get(board.phase, "dim"))
    return text.append_text(_counts(board))


def _staging(board: Board) -> Text:
    """Return how far the fleet is staged: nobody has left rotation yet."""
    staged = sum(board.tally.get(state, 0) for state in ("staged", "failed"))
    total = len(board.rows)
    each = board.play.release.size if board.play else 0
    text = Text("staging  ").append_text(bar(staged, total, 24, "cyan"))
    return text.append(f"  {staged} of {count(total, 'host')}, {size(each)} each; nobody has left rotation", "dim")


def bar(part: int, whole: int, width: int, style: str, mark: int | None = None) -> Text:
    """Return a bar of ``width`` characters; ``mark`` shows a number of the whole, such as the floor."""
    full = round(width * part / whole) if whole else 0
    cells = ["█"] * full + ["░"] * (width - full)
    text = Text("".join(cells), style)
    if mark is not None and whole and 0 < mark <= whole:
        at = min(width - 1, round(width * mark / whole))
        text = Text("".join(cells[:at]), style).append("┃", "bold").append("".join(cells[at + 1 :]), style)
    return text


def _capacity(board: Board) -> Iterable[Text]:
    """Yield a line per pool: how many are in service, against the floor."""
    for pool in board.play.pools if board.play else ():
        away = sum(1 for host in board.out if _belongs(board, host, pool.spec.name))
        serving = pool.serving - away
        style = "red" if serving < pool.floor else "yellow" if serving == pool.floor else "green"
        text = Text(f"pool {inert(pool.spec.name, 20):12} ").append_text(bar(serving, pool.size, 24, style, pool.floor))
        yield text.append(f"  {serving} of {pool.size} in service, floor {pool.floor}")


def _belongs(board: Board, host: HostName, pool: str) -> bool:
    """Whether a host is a member of a pool; where there are no members, every host is a worker."""
    plan = board.plan_of(host)
    return plan is not None and (not plan.members or pool in plan.members)


def _hosts(board: Board, now: str, notes: dict[HostName, str], room: int) -> RenderableType:
    """Return the hosts: all of a few, or the counts and those that say something."""
    rows = list(board.ordered())
    if len(rows) <= min(FEW, room):
        return _table(rows, now, notes)
    telling = [(host, row) for host, row in rows if row.state not in RESTING]
    telling.sort(key=lambda pair: pair[1].state not in ("failed", "stranded"))
    shown = telling[: max(1, room - 2)]
    left = [host for host, _ in telling[len(shown) :]]
    more = [Text(f"and {names(left, 3)}", style="dim")] if left else []
    return Group(_counts(board), _table(shown, now, notes), *more)


def _counts(board: Board) -> Text:
    """Return how many hosts are in each state."""
    text = Text()
    for state, (glyph, style) in LOOKS.items():
        if board.tally.get(state, 0):
            text.append(f"{glyph} {board.tally[state]} {state}   ", style)
    return text


def _table(rows: Sequence[tuple[HostName, Row]], now: str, notes: dict[HostName, str]) -> Table:
    """Return a row per host."""
    table = Table.grid(padding=(0, 2))
    for _ in range(5):
        table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for host, row in rows:
        glyph, style = LOOKS.get(row.state, ("?", ""))
        moving = row.doing is not None
        table.add_row(
            Text(glyph, style),
            Text(inert(host, 40), style if not moving else f"bold {style}"),
            Text(str(row.batch + 1), "dim"),
            Text(row.state, style),
            Text(duration(between(row.since, now)) if moving else "", "dim"),
            _remark(row, notes.get(host, "")),
        )
    return table


def _remark(row: Row, note: str) -> Text:
    """Return what there is to say of a host: why it failed, or the last note, or what it is on."""
    trouble = row.stuck or row.failure
    if trouble is not None:
        return Text(inert(trouble.summary, 200), "red" if row.state in ("failed", "stranded") else "dim")
    if row.doing is not None:
        return Text(inert(note, 200), "dim")
    return Text(inert(row.release, 60), "dim")
