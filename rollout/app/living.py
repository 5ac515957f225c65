"""Whoever holds a lease says all the time that it lives, whatever it waits for; others watch whether it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rollout.errors import Fenced
from rollout.store.leasing import SILENT_S

if TYPE_CHECKING:
    from rollout.store.store import Store

HEARTBEAT_S = 10.0
JOIN_S = 0.3


@contextmanager
def beating(store: Store, rollout: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say every few seconds that this process lives; tell once of a lease that is another's by now."""
    over = threading.Event()

    def beat() -> None:
        with suppress(Exception):  # the next append says what is wrong, before any effect
            try:
                if not over.is_set():
                    store.heartbeat(rollout)
            except Fenced as fenced:
                if not (over.is_set() or _ended(store, rollout)):
                    say(str(fenced))
                over.set()

    with every(HEARTBEAT_S, beat):
        try:
            yield
        finally:
            over.set()  # before the lease is given back: that is no news


def _ended(store: Store, rollout: str) -> bool:
    """Whether a rollout came to its end, which gives its lease back."""
    return store.knows(rollout) and bool(store.find(rollout).finished)


def watched(store: Store, rollout: str, say: Callable[[str], None]) -> str:
    """Return a heartbeat from a clock that was ahead, once it did not move for as long as a holder may be silent."""
    heartbeat = store.ahead(rollout)
    if not heartbeat:
        return ""
    say(f"rollout {rollout} was last heard of at {heartbeat}: by the state's clock it is {store.now()}")
    say(f"whether its process is gone is seen by whether it says more within {SILENT_S:g} s")
    by = time.monotonic() + SILENT_S
    while time.monotonic() < by:
        time.sleep(1.0)
        if store.ahead(rollout) != heartbeat:
            return ""
    return heartbeat


@contextmanager
def every(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    """Do something every so often beside what is done meanwhile."""
    stop = threading.Event()

    def go() -> None:
        while not stop.wait(seconds):
            do()

    thread = threading.Thread(target=go, name="beside the loop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(JOIN_S)
