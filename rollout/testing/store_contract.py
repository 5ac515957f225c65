"""What every state store keeps, whatever it is made of: leases, journals, history, orders. Each rule is a function.

A bench opens the same state as often as it is asked, each time as another process would, and can do to it what
only an intruder or an accident does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from rollout.errors import Busy, Fenced, Held, RolloutError, StoreError
from rollout.model.event import (
    Event,
    Provenance,
    RevertStarted,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
    StepFinished,
    StepStarted,
)
from rollout.model.host import Connection, HostName
from rollout.model.plan import Batch, HostPlan, Plan, PlayPlan, Stage, Step
from rollout.model.release import NoService, Release, ReleaseId, Site
from rollout.model.verdict import PASSED
from rollout.store.store import Store

H1 = HostName("h1")
GOOD = RolloutFinished(end="succeeded", reason="", exit_code=0)
BAD = RolloutFinished(end="reverted", reason="it was bad", exit_code=4)
LONG_AGO = "2020-01-01T00:00:00.000Z"


class StoreBench(Protocol):
    """One state, that can be opened again and again."""

    def open(self) -> Store:
        """Open it as another process would."""

    def doctor(self, rollout: str, seq: int, how: Literal["changed", "cut"]) -> None:
        """Change a byte of a record, or cut it and all that follow it off, past every rule."""

    def go_back(self, rollout: str, seq: int) -> None:
        """Have the state be as it was before a record: another server took over that never got what was newest."""

    def elsewhere(self, heartbeat: str) -> None:
        """Have the holder of every lease be on another machine, last heard of at this time."""

    def break_off(self) -> None:
        """Make the next writing fail, and none after it."""


def started(rollout: str, app: str = "shop", release: str = "2.0", number: int = 1) -> RolloutStarted:
    """Return the beginning of a small rollout."""
    host = HostPlan(
        host=H1, connection=Connection(address=H1), steps=(Step(do=Stage()),), staging=1, service=NoService()
    )
    made = Release(id=ReleaseId(release), artifact="a" * 64, manifest="b" * 64)
    play = PlayPlan(
        name=app,
        app=app,
        release=made,
        site=Site(root="/srv/shop", app=app, environment="default"),
        hosts={H1: host},
        batches=(Batch(waves=((H1,),)),),
    )
    return RolloutStarted(plan=Plan(id=rollout, environment="default", plays=(play,), digest="d" * 64, epoch=number))


def staged(op: int = 1) -> tuple[Event, ...]:
    """Return one step, begun and passed."""
    return StepStarted(host=H1, op=op, at=0, action=Stage()), StepFinished(host=H1, op=op, outcome=PASSED)


@dataclass(slots=True)
class Many:
    """Stores of one bench, closed at the end."""

    bench: StoreBench
    stack: ExitStack

    def __call__(self) -> Store:
        """Open another one."""
        return self.stack.enter_context(closing(self.bench.open()))

    def begun(self, rollout: str = "r1", app: str = "shop", release: str = "2.0") -> Store:
        """Open one that holds a rollout at work."""
        store = self()
        number = store.take("default", app, rollout, "ann")
        store.journal(rollout).append([started(rollout, app, release, number)])
        return store


def _refused(kind: type[RolloutError], said: str, act: Callable[[], object]) -> None:
    try:
        act()
    except kind as error:
        heard = str(error)
    else:
        heard = "nothing"
    assert said in heard, heard


def one_rollout_at_a_time(many: Many) -> None:
    """The second is told who the first is; another app, and the next after the end, are free."""
    one, two = many.begun(), many()
    _refused(Busy, "rollout r1 holds shop", lambda: two.take("default", "shop", "r2", "bob"))
    assert two.take("default", "blog", "r3", "bob") == 1
    one.journal("r1").append([GOOD])
    assert two.take("default", "shop", "r2", "bob") == 2
    two.release("r2")
    assert one.take("default", "shop", "r4", "ann") == 3, "numbers only grow"
    assert one.take("default", "shop2", "r5", "ann", above=70) == 71


def of_many_at_once_one_gets_it(many: Many) -> None:
    """And all others are told who."""
    stores = [many() for _ in range(6)]
    start = threading.Barrier(len(stores))

    def take(number: int) -> int:
        start.wait()
        try:
            return stores[number].take("default", "shop", f"r{number}", "ann")
        except Held:
            return 0

    with ThreadPoolExecutor(len(stores)) as threads:
        assert sorted(threads.map(take, range(len(stores)))) == [0] * 5 + [1]


def several_leases_or_none(many: Many) -> None:
    """A rollout of several apps takes all their leases, under one number, or none."""
    one, two = many.begun(), many()
    _refused(Held, "r1", lambda: two.take("default", ["blog", "shop"], "r2", "bob"))
    assert two.lease("default", "blog").rollout == ""
    one.journal("r1").append([GOOD])
    assert two.take("default", ["blog", "shop"], "r2", "bob") == 2
    assert {one.lease("default", a).number for a in ("blog", "shop")} == {2}


def who_is_silent_is_taken_over(many: Many) -> None:
    """A holder that cannot be seen counts as living until it was silent for a minute; then it can write nothing."""
    one, two = many.begun(), many()
    mine = one.journal("r1")
    many.bench.elsewhere(two.now())
    _refused(Busy, "cannot be seen from here", lambda: two.retake("r1", "bob"))
    many.bench.elsewhere(LONG_AGO)
    assert two.retake("r1", "bob") == 2
    assert not one.holds("r1")
    _refused(Fenced, "E_FENCED", lambda: mine.append(staged()))
    _refused(Fenced, "E_FENCED", lambda: one.heartbeat("r1"))
    two.heartbeat("r1")
    two.journal("r1").append([*staged(), BAD])
    assert [r.seq for r in one.journal("r1").read()] == [1, 2, 3, 4]
    _refused(StoreError, "E_FINISHED", lambda: many().retake("r1", "carl"))


def a_journal_is_read_as_it_was_written(many: Many) -> None:
    """By another process too, at once and in order; whoever does not hold the lease writes nothing."""
    one, two = many.begun(), many()
    journal = one.journal("r1")
    written = [*journal.append([StagingClosed()]), *journal.append([]), *journal.append(staged())]
    read = two.journal("r1").read()
    assert list(read[1:]) == written
    assert [r.previous_hash for r in read] == ["", *(r.hash for r in read[:-1])]
    assert two.find("r1").head == two.journal("r1").head == read[-1].hash
    assert two.journal("nobody").read() == ()
    _refused(Fenced, "E_FENCED", lambda: two.journal("r1").append([StagingClosed()]))


def a_changed_byte_is_found(many: Many) -> None:
    """With the number of its record."""
    many.begun().journal("r1").append([StagingClosed(), *staged()])
    many.bench.doctor("r1", 3, "changed")
    _refused(StoreError, "E_CHAIN: record 3", lambda: many().journal("r1").read())


def a_cut_tail_is_found(many: Many) -> None:
    """By the head that is kept beside the journal."""
    many.begun().journal("r1").append([StagingClosed(), *staged()])
    many.bench.doctor("r1", 4, "cut")
    _refused(StoreError, "E_C", lambda: many().journal("r1").read())


def after_a_failed_write_nothing_is_written(many: Many) -> None:
    """Nobody knows what is on the disk then; another process reads first, and goes on."""
    one = many.begun()
    journal = one.journal("r1")
    many.bench.break_off()
    _refused(StoreError, "E_", lambda: journal.append([StagingClosed()]))
    _refused(StoreError, "E_JOURNAL_POISONED", lambda: journal.append([StagingClosed()]))
    two = many()
    assert len(two.journal("r1").read()) in (1, 2), "it is there or it is not"
    many.bench.elsewhere(LONG_AGO)
    two.retake("r1", "bob")
    assert two.journal("r1").append([BAD])[-1].event == BAD


def what_lands_late_is_not_written_twice(many: Many) -> None:
    """A write whose answer was given up can land after somebody has read; nothing follows it unseen."""
    one = many.begun()
    late, journal = one.journal("r1"), one.journal("r1")
    journal.read()
    late.append([StagingClosed()])
    _refused(StoreError, "E_JOURNAL_BEHIND", lambda: journal.append([StagingClosed()]))
    again = one.journal("r1")
    assert len(again.read()) == 2
    assert again.append([GOOD])[0].seq == 3


def what_went_back_is_not_written_over(many: Many) -> None:
    """What follows would stand on records that are not there: nothing is added, and what is there can be read."""
    one = many.begun()
    journal = one.journal("r1")
    journal.append([StagingClosed()])
    journal.append(staged())
    many.bench.go_back("r1", 3)
    _refused(StoreError, "E_", lambda: journal.append(staged(2)))
    assert [r.seq for r in many().journal("r1").read()] == [1, 2]


def history_says_what_became_of_it(many: Many) -> None:
    """Rollouts, the newest first; releases with what was found of them; and which epoch hosts have seen."""
    one = many.begun("r1", release="1.0")
    one.journal("r1").append([*staged(), GOOD])
    one.take("default", "shop", "r2", "ann")
    one.journal("r2").append([started("r2", number=2), *staged()])
    two = many()
    assert [(r.id, r.end, r.unfinished) for r in two.rollouts()] == [("r2", "", True), ("r1", "succeeded", False)]
    assert two.rollouts(app="blog") == two.rollouts(environment="staging") == ()
    found = two.unfinished("default", "shop")
    assert found is not None
    assert found.id == "r2"
    assert two.standing("default", "shop") == ("1.0",)
    one.journal("r2").append([RevertStarted(hosts=(), condemned=True), BAD])
    assert two.condemned("default", "shop") == {"2.0"}
    assert two.manifest_of("default", "shop", "1.0") == "b" * 64
    assert two.ended("default", "shop") == ("r2", "r1")
    assert two.reached("default", "shop") == {"h1": 2}
    assert many().find("r2").exit_code == 4
    _refused(StoreError, "E_AMBIGUOUS", lambda: two.find("r"))
    _refused(StoreError, "E_NO_ROLLOUT", lambda: two.find("zebra"))


def words_that_are_no_text_are_kept_as_well_as_can_be(many: Many) -> None:
    """A byte that is no UTF-8, typed into a message or a reason, stops nobody."""
    one = many()
    number = one.take("default", "shop", "r1", "ann")
    said = replace(started("r1", number=number), provenance=Provenance(user="ann", message="sale\udcff"))
    one.journal("r1").append([said])
    many().order("r1", "pause", "bob", "look\udcff")
    assert many().find("r1").message == "sale?"
    assert [o.reason for o in one.orders("r1")] == ["look?"]
    assert len(many().journal("r1").read()) == 1


def orders_are_heard_in_their_order(many: Many) -> None:
    """By whoever holds the rollout, from whichever process they come; nobody orders what is over."""
    one, two = many.begun(), many()
    assert [two.order("r1", "pause", "bob", "look"), one.order("r1", "proceed", "ann")] == [1, 2]
    assert [(o.number, o.kind, o.by, o.reason) for o in one.orders("r1")] == [
        (1, "pause", "bob", "look"),
        (2, "proceed", "ann", ""),
    ]
    assert [o.number for o in two.orders("r1", 1)] == [2]
    one.journal("r1").append([GOOD])
    _refused(StoreError, "E_FINISHED", lambda: two.order("r1", "keep", "bob"))


def a_pin_holds_for_everybody(many: Many) -> None:
    """The newest of an environment, for who was there and who comes; also where nothing else was ever written."""
    one, two = many(), many()
    assert two.policy("default") == ("", "")
    one.pin("default", "d" * 64, "max_hosts: 3  # caf\u00e9", "ann\udcff")
    one.pin("staging", "e" * 64, "", "ann")
    assert two.policy("default") == many().policy("default") == ("d" * 64, "max_hosts: 3  # caf\u00e9")
    two.pin("default", "f" * 64, "max_hosts: 4", "bob")
    assert one.policy("default") == many().policy("default") == ("f" * 64, "max_hosts: 4")
    assert many().policy("staging") == ("e" * 64, "")


def a_state_has_one_key(many: Many) -> None:
    """Whoever asks first: what one process has sealed is what the next one finds."""
    one, two = many.begun(), many()
    key = one.key()
    assert len(key) == 32
    assert one.key() == two.key() == many().key() == key
    two.pin("default", "d" * 64, "", "ann")
    assert many().key() == key


CONTRACT: Mapping[str, Callable[[Many], None]] = {
    rule.__name__: rule
    for rule in (
        one_rollout_at_a_time,
        of_many_at_once_one_gets_it,
        several_leases_or_none,
        who_is_silent_is_taken_over,
        a_journal_is_read_as_it_was_written,
        a_changed_byte_is_found,
        a_cut_tail_is_found,
        after_a_failed_write_nothing_is_written,
        what_lands_late_is_not_written_twice,
        what_went_back_is_not_written_over,
        history_says_what_became_of_it,
        words_that_are_no_text_are_kept_as_well_as_can_be,
        orders_are_heard_in_their_order,
        a_pin_holds_for_everybody,
        a_state_has_one_key,
    )
}


@contextmanager
def many_of(bench: StoreBench) -> Iterator[Many]:
    """Give what a rule is tried on; everything is closed at its end."""
    with ExitStack() as stack:
        yield Many(bench, stack)
