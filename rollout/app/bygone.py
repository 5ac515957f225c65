"""What each host of each app was on at a moment: from the journals of all its rollouts, as far as they had come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rollout.app.remembered import LOOKED_BACK, of_board
from rollout.model.plan import BRINGS
from rollout.report.board import Board, Row
from rollout.report.boards import Boards, seen_all

if TYPE_CHECKING:
    from rollout.model.host import HostName
    from rollout.store.rows import StoredRollout
    from rollout.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """One host, by the newest ``rollout`` that knew it. ``release``: what it was on, "" for nothing.

    ``row``: None where there was nothing to do for it, which ``note`` explains.
    """

    release: str
    row: Row | None
    note: str
    rollout: str


@dataclass(slots=True, kw_only=True)
class Bygone:
    """One app of one environment. ``newest``: the rollout that had last begun to bring it to a release."""

    environment: str
    app: str
    newest: Board = field(default_factory=Board)
    hosts: dict[HostName, Met] = field(default_factory=dict)
    releases: dict[HostName, str] = field(default_factory=dict)  # of hosts that something was brought to
    fleet: set[HostName] | None = None  # all of its hosts, once a rollout of the whole play was read

    def take(self, board: Board) -> None:
        """Take in the next older rollout. One by hand brings nothing, and says nothing of whom it left alone."""
        play = board.play
        brings = play is not None and play.purpose in BRINGS
        for one in of_board(board):
            row = board.rows.get(one.host)
            if (self.fleet is None or one.host in self.fleet) and (brings or row is not None):
                met = Met(release=one.release, row=row, note=one.plan.note, rollout=board.rollout)
                self.hosts.setdefault(one.host, met)
                if brings:
                    self.releases.setdefault(one.host, one.release)
        if brings and play is not None:
            self.newest = self.newest if self.newest.play else board
            if self.fleet is None and not play.limited:
                self.fleet = {*self.hosts, *play.off_target}

    @property
    def complete(self) -> bool:
        """Whether nothing older can add to it: who is in no rollout of the whole play is of the app no more."""
        return self.fleet is not None and self.fleet <= self.releases.keys()


def bygone(store: Store, at: str) -> list[Bygone]:
    """Return what was so at a moment (as journals write it), the app first that was last brought something."""
    begun = [r for r in store.rollouts(limit=1_000_000) if r.started <= at]
    apps = dict.fromkeys((r.environment, app) for r in begun if r.purpose in BRINGS for app in r.app.split(","))
    read: dict[str, Boards] = {}
    found = []
    for environment, app in apps:
        of = Bygone(environment=environment, app=app)
        mine = [r for r in begun if r.environment == environment and app in r.app.split(",") and r.purpose != "prune"]
        for board in _boards(store, mine, app, at, read):
            of.take(board)
            if of.complete:
                break
        of.hosts = {h: replace(met, release=of.releases.get(h, met.release)) for h, met in sorted(of.hosts.items())}
        found.append(of)
    return found


def _boards(
    store: Store, rollouts: Iterable[StoredRollout], app: str, at: str, read: dict[str, Boards]
) -> Iterator[Board]:
    """Yield the boards of an app, the newest first; a journal is read when it is asked for, and once for all apps."""
    bringing = 0
    for rollout in rollouts:
        bringing += rollout.purpose in BRINGS
        if bringing > LOOKED_BACK:
            return
        if rollout.id not in read:
            read[rollout.id] = seen_all(r for r in store.journal(rollout.id).read() if r.at <= at)
        yield next(board for board in read[rollout.id].plays if board.app == app)
