"""What is said while a rollout is at work: nobody who cannot hear it, or does not read, stops anything (I24)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rollout.app import lost, voice
from rollout.app.apply import Run, Showing, perform
from rollout.cli.request import said_aside, showing
from rollout.errors import StoreError
from rollout.store.store import Store, open_store
from tests.store.stories import started

pytestmark = [pytest.mark.fault("F7"), pytest.mark.fault("F8")]


@dataclass
class Signalled:
    """Hosts of which the first is told something while SIGINT comes; none of them does it."""

    closed: list[str] = field(default_factory=list)
    sessions: Any = None
    once: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.sessions = self

    def perform(self, effect: object) -> None:
        if not self.once.is_set():
            self.once.set()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)
        raise RuntimeError("nobody is there")

    def close(self) -> None:
        self.closed.append("closed")

    def leave(self) -> None:
        """Do nothing."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "s.db"))
    opened.take("default", ["shop"], "r1", "ann")
    yield opened
    opened.close()


def broken(_: str) -> None:
    raise BrokenPipeError


def closed(_: str) -> None:
    raise ValueError("I/O operation on closed file")


def stalled(_: str) -> None:
    threading.Event().wait()


@pytest.mark.parametrize("warn", [broken, closed, stalled])
def test_a_signal_halts_and_heals_whoever_listens(
    store: Store, warn: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "LAST_S", 0.2)
    outside: Any = Signalled()
    code = perform(Run(store=store, rollout="r1", outsides=(outside,), showing=Showing(warn=warn)), started(hosts=2))
    kinds = [r.event.kind for r in store.journal("r1").read()]
    assert (code, outside.closed) == (130, [])
    assert "halt_ordered" in kinds
    assert kinds[-1] == "rollout_finished"


def test_a_halt_is_ordered_before_anybody_is_told_that_the_state_is_lost() -> None:
    put = list[Any]()
    with pytest.raises(BrokenPipeError):
        lost.halted(put.append, broken, StoreError("E_JOURNAL_FULL: the disk is full"))
    assert [event.kind for event in put] == ["halt_ordered"]


@pytest.mark.parametrize("output", ["json", "quiet", "plain", "auto", "github"])
def test_whatever_the_output_is_what_a_signal_does_is_said(output: str, capfd: pytest.CaptureFixture[str]) -> None:
    showing(output).warn("SIGINT: no further host leaves")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "SIGINT: no further host leaves\n")


def test_a_line_that_nobody_can_hear_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, _: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    said_aside("looking at 3 hosts")
