"""The guards that a safety suite must miss most, where rows beside the others are needed for them.

fence, read-back, floor re-check, fsync, identity, generation, nonce: each row of the table is named by the guard, and
tried in the simulation where that can notice, and on real hosts, shells, disks and balancers where it cannot.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.balancers import tables
from rollout.balancers.haproxy import Haproxy as Adapter
from rollout.engine.policy import RULES, Rule
from rollout.perform.books import WANTED, Turn
from rollout.perform.pool import turn
from rollout.perform.pools import PoolWorker
from rollout.posix import reply
from rollout.testing.faults import Script
from rollout.testing.journal import SimulatedJournal
from tests.engine.hunting import Mutant, attribute
from tests.haproxy import Apps, Haproxy
from tests.posix import test_durable
from tests.simulation.cut import UNDELIVERED, UNSYNCED, Point
from tests.simulation.single import trials, tried
from tests.store import test_journal

NAMES = ("fence", "read-back", "floor re-check", "fsync", "identity", "generation", "nonce")
# Which places there are is found while all guards stand.
CUTS = {point: tuple(trials("1 balancer, 1 host", point)) for point in (UNDELIVERED, UNSYNCED)}


def _cut(point: Point, name: str) -> Callable[[tuple[Rule, ...]], None]:
    """A rollout is cut at every place of a point."""

    def pin(rules: tuple[Rule, ...] = RULES) -> None:
        for trial in CUTS[point]:
            tried(replace(trial, script=Script(), rules=rules))

    pin.__name__ = name
    return pin


what_is_not_synced_is_lost_with_the_machine = _cut(UNSYNCED, "what_is_not_synced_is_lost_with_the_machine")
what_was_never_delivered_is_not_done = _cut(UNDELIVERED, "what_was_never_delivered_is_not_done")


def a_commit_is_on_the_disk(rules: tuple[Rule, ...] = RULES) -> None:
    with tempfile.TemporaryDirectory() as folder:
        test_journal.test_a_commit_is_on_the_disk_before_append_returns(Path(folder))


def a_host_syncs_before_it_says_so(rules: tuple[Rule, ...] = RULES) -> None:
    with tempfile.TemporaryDirectory() as folder:
        test_durable.test_order("dash", "activate", Path(folder))


def a_reload_is_another_generation(rules: tuple[Rule, ...] = RULES) -> None:
    apps = Apps("a")
    with Haproxy({"a": apps.apps["a"].port}) as running:
        adapter = Adapter(backend="shop", tcp=running.tcp)
        before = adapter.read().generation
        assert adapter.read().generation == before
        running.reload()
        after = adapter.read().generation
    apps.close()
    assert after != before, "HAProxy was reloaded, and nobody can tell"


_process = tables.process
NOT_SYNCED = """
from rollout.store import sqlite
full = sqlite._prepare
sqlite._prepare = lambda connection: (full(connection), connection.execute("PRAGMA synchronous=OFF"))
"""


async def _as_written(self: Any) -> Turn:
    """What was written is taken as done: the pool is not read again."""
    assert self.last is not None
    wanted = {m: WANTED[seat.stand] for m, seat in self.books.seats.items() if seat.stand in WANTED}
    members = {m: replace(s, admin=wanted.get(m, s.admin)) for m, s in self.last.members.items()}
    self.last, self.after = replace(self.last, members=members), None
    found = turn(self.books, self.last, self.desk.now())
    await self.carry_out(found)
    return found


SEVEN: tuple[Mutant, ...] = (
    Mutant(
        "read-back: what was written is taken as done",
        patches=(attribute(PoolWorker, "read_back", _as_written),),
        pin=what_was_never_delivered_is_not_done,
    ),
    Mutant(
        "fsync: the journal is not synced",
        patches=(attribute(SimulatedJournal, "sync", lambda self: None),),
        pin=what_is_not_synced_is_lost_with_the_machine,
    ),
    Mutant(
        "fsync: SQLite does not sync",
        patches=(attribute(test_journal, "FIRST", NOT_SYNCED),),
        pin=a_commit_is_on_the_disk,
    ),
    Mutant(
        "fsync: a host does not sync",
        patches=(attribute(reply, "DURABLE", reply.DURABLE.replace("flush() {", "flush() { return 0;")),),
        pin=a_host_syncs_before_it_says_so,
    ),
    Mutant(
        "generation: every process of HAProxy is the same",
        patches=(attribute(tables, "process", lambda info: replace(_process(info), generation="1@1")),),
        pin=a_reload_is_another_generation,
    ),
)

PINNED = (
    what_was_never_delivered_is_not_done,
    what_is_not_synced_is_lost_with_the_machine,
    a_reload_is_another_generation,
)
