"""Signals that come to this very process: what becomes of them, and what is said."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from rollout.app import lost
from rollout.app.signals import Signals, heeded
from rollout.errors import StoreError
from rollout.model.event import Event, HaltOrdered, Record
from rollout.runner import Abort
from rollout.store.patient import PATIENCE_S, PatientJournal
from tests.store.stories import started, step

pytestmark = pytest.mark.fault("F7")
FOLLOWS = "no further host leaves"


@dataclass
class Heard:
    """What was put, and what was said."""

    put: list[Any] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def signals(heard: Heard) -> Iterator[Signals]:
    with heeded(heard.put.append, heard.said.append, lambda: FOLLOWS) as made:
        yield made


def send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.usefixtures("signals")
def test_the_first_halts_one_of_another_kind_too_and_the_second_of_a_kind_stops(heard: Heard) -> None:
    send(signal.SIGINT, signal.SIGTERM)
    assert [type(one) for one in heard.put] == [HaltOrdered, HaltOrdered]
    assert heard.said == [f"SIGINT: {FOLLOWS} (again: stop now)", f"SIGTERM: {FOLLOWS} (again: stop now)"]
    send(signal.SIGINT)
    assert heard.put[2:] == [Abort("SIGINT")]


def test_when_it_is_over_nobody_is_told_to_halt_and_nobody_waits(heard: Heard, signals: Signals) -> None:
    signals.over()
    assert not signals.again(0.0)
    send(signal.SIGINT)
    began = time.monotonic()
    assert signals.again(60.0)
    assert time.monotonic() - began < 30
    assert not heard.put
    assert "the rollout is over already" in heard.said[0]


class Failing:
    """A journal whose first record is written; later ones never."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, events: Sequence[Event]) -> Sequence[Record]:
        if self.records:
            raise StoreError("E_JOURNAL_FULL: the disk is full")
        self.records = [Record(rollout="r", seq=1, at="", event=events[0], previous_hash="", hash="h")]
        return self.records

    def read(self) -> Sequence[Record]:
        return self.records


@pytest.fixture
def behind() -> PatientJournal:
    """A journal that keeps something in memory."""
    failing = Failing()
    journal = PatientJournal(lambda: failing, lambda _: None)
    journal.append([started()])
    assert lost.wait_s(journal) == 0.0
    journal.append([step(1)[-1]])
    assert journal.behind
    return journal


def test_what_waits_for_the_state_is_counted_into_the_time_that_is_said(behind: PatientJournal) -> None:
    assert lost.wait_s(behind) == PATIENCE_S


def test_writing_down_what_is_left_is_given_up_when_somebody_does_not_want_to_wait(
    behind: PatientJournal, signals: Signals
) -> None:
    signals.over()
    send(signal.SIGINT)
    began = time.monotonic()
    assert not behind.settle(60.0, signals.again)
    assert time.monotonic() - began < 30
