"""Whoever holds a lease says so all the time, whatever it waits for: a person, a host, or a step's end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rollout.errors import Fenced

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
