"""Orders to a rollout that is at work: given from any terminal, heard by its process, journaled, and so they stick."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from rollout.app.healing import after_halt, going_back, healing_s
from rollout.app.provenance import user
from rollout.app.states import open_state
from rollout.engine.policy import PAUSABLE
from rollout.engine.rollout import Rollout, fold, initial
from rollout.errors import Busy, StoreError
from rollout.model.event import Event, HaltOrdered, PauseOrdered, ProceedOrdered, Record
from rollout.model.verdict import Cause
from rollout.report.text import inert
from rollout.store.leasing import lives
from rollout.store.place import state_url
from rollout.store.rows import OrderKind, StoredOrder, StoredRollout

if TYPE_CHECKING:
    from rollout.store.store import Store

LISTEN_S = 1.0
UNHEARD_S = 30.0  # after which whoever gave an order is told that nobody has heard it


def give(rollout: str, kind: OrderKind, reason: str, state: str, say: Callable[[str], None]) -> int:
    """Leave an order to a rollout, and wait until its process has heard it; raise StoreError where nobody can."""
    place, _ = state_url(state or None)
    with closing(open_state(place, create=False)) as store:
        found = store.find(rollout) if rollout else _only(store)
        _refuse_gone(store, found)
        number = store.order(found.id, kind, user(), reason)
        said = _heard(store, found.id, number, kind)
        say(f"rollout {found.id}: {said}")
        return 0


def halt(store: Store, rollout: str, reason: str, say: Callable[[str], None]) -> bool:
    """Halt a rollout that is at work, keep its done hosts, and wait; False where its process is gone before the end."""
    store.order(rollout, "keep", user(), reason)
    state = fold(initial(), (r.event for r in store.journal(rollout).read()))
    say(f"rollout {rollout} was told to halt: {after_halt(state, state.plan)}")
    by = time.monotonic() + LISTEN_S + healing_s(state, state.plan)
    while at_work(store, store.find(rollout)):
        if time.monotonic() > by:
            raise Busy(f"E_HELD: rollout {rollout} was told to halt, and has not ended. See: rollout status {rollout}")
        time.sleep(0.5)
    return bool(store.find(rollout).finished)


def at_work(store: Store, found: StoredRollout) -> bool:
    """Whether the process of a rollout holds its app and must be taken for alive: nobody may take it over then."""
    lease = store.lease(found.environment, found.app.split(",")[0])
    return lease.rollout == found.id and lives(lease, store.now())


def _only(store: Store) -> StoredRollout:
    """Return the one rollout that has no end; raise StoreError where there is none, or several."""
    found = [r for r in store.rollouts(limit=10_000) if not r.finished]
    if len(found) == 1:
        return found[0]
    if not found:
        raise StoreError("E_NO_ROLLOUT: no rollout is at work. See: rollout history")
    names = ", ".join(f"{r.id} ({r.app} in {r.environment})" for r in found[:20])
    raise StoreError(f"E_SEVERAL: these rollouts are unfinished: {names}. Name one.")


def _refuse_gone(store: Store, found: StoredRollout) -> None:
    """Refuse to order where the process is known to be gone."""
    if found.finished:
        raise StoreError(f"E_FINISHED: rollout {found.id} has ended ({found.end}): there is nothing to order.")
    if not at_work(store, found):
        ways = f"rollout resume {found.id}; rollout heal {found.id}; rollout revert {found.id}"
        raise StoreError(f"E_GONE: the process of rollout {found.id} is gone, and hears nothing. Type one of: {ways}")


def _heard(store: Store, rollout: str, number: int, kind: OrderKind) -> str:
    """Wait until the order is in the journal, or can have no effect any more; return what is so now."""
    by = time.monotonic() + UNHEARD_S
    while True:
        records = store.journal(rollout).read()
        if newest(records) >= number or store.find(rollout).finished or not _matters(records, kind):
            return _so_now(fold(initial(), (r.event for r in records)), rollout)
        if time.monotonic() > by:
            raise StoreError(
                f"E_UNHEARD: the process of rollout {rollout} has not heard the order within {UNHEARD_S:g} s. "
                "The order is kept, and obeyed when it comes back, or by who takes it over."
            )
        time.sleep(0.2)


def _matters(records: Iterable[Record], kind: OrderKind) -> bool:
    """Whether the order can still change something: a halt wins over a pause, and what goes on needs no word."""
    state = fold(initial(), (r.event for r in records))
    if kind == "pause":
        return any(play.phase in PAUSABLE and play.paused is None for play in state.plays)
    if kind == "proceed":
        return any(play.paused is not None for play in state.plays)
    return not state.finished


def _so_now(state: Rollout, rollout: str) -> str:
    """Say where the rollout is, and what can be typed."""
    if state.end is not None:
        return f"has ended: {state.end.end}"
    paused = next((play.paused for play in state.plays if play.paused), None)
    if paused is not None:
        ways = f"rollout proceed {rollout}; rollout halt {rollout} --keep or --revert"
        return f"paused by {inert(paused.by)}: no further host leaves. What can be typed: {ways}"
    halt = next((play.halt for play in state.plays if play.halt), None)
    if halt is None:
        return "goes on"
    follows = f"; {after_halt(state, state.plan)}" if going_back(state) else ""
    return f"halting: {inert(halt.reason)}{follows}"


def newest(records: Iterable[Record]) -> int:
    """Return the number of the last order that a journal has heard."""
    return max((getattr(r.event, "order", 0) for r in records), default=0)


def fact(order: StoredOrder) -> Event:
    """Return an order as the engine hears it."""
    why = f": {order.reason}" if order.reason else ""
    match order.kind:
        case "pause":
            return PauseOrdered(by=order.by, reason=order.reason, order=order.number)
        case "proceed":
            return ProceedOrdered(by=order.by, reason=order.reason, order=order.number)
    halted = f"halted by {order.by} (--{order.kind}){why}"
    return HaltOrdered(cause=Cause.PERSON, reason=halted, revert=order.kind == "revert", order=order.number)


@contextmanager
def listening(store: Store, rollout: str, put: Callable[[Event], None], state: Callable[[], Rollout]) -> Iterator[None]:
    """Pass on what is ordered while a rollout is at work; a pause that nobody ends becomes a halt."""
    stop = threading.Event()
    ears = _Ears(store=store, rollout=rollout, put=put, state=state, heard=newest(store.journal(rollout).read()))
    thread = threading.Thread(target=ears.listen, args=(stop,), name="orders", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(LISTEN_S)


class _Ears:
    """Asks the store again and again."""

    def __init__(
        self, *, store: Store, rollout: str, put: Callable[[Event], None], state: Callable[[], Rollout], heard: int
    ) -> None:
        self.store, self.rollout, self.put, self.state, self.heard = store, rollout, put, state, heard
        self.pause: PauseOrdered | None = None
        self.paused_at = 0.0

    def listen(self, stop: threading.Event) -> None:
        while not stop.wait(LISTEN_S):
            with suppress(Exception):  # the next append says what is wrong with the store, before any effect
                for order in self.store.orders(self.rollout, self.heard):
                    self.heard = order.number
                    self.put(fact(order))
            self._time_out(time.monotonic())

    def _time_out(self, now: float) -> None:
        """Halt where the play whose turn it is has been paused for longer than it allows; a takeover counts anew."""
        play = next((play for play in self.state().plays if play.paused), None)
        pause = play.paused if play else None
        if pause != self.pause:  # also one that was ended and ordered anew since the last look
            self.pause, self.paused_at = pause, now
        if play is not None and now - self.paused_at > play.play.pause_timeout_s:
            reason = f"paused for {play.play.pause_timeout_s:g} s, and nobody said proceed"
            self.put(HaltOrdered(cause=Cause.PERSON, reason=reason, revert=False))
