"""A journal that waits for its store: what is heard, what is tried again, and when that is given up."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rollout.errors import StoreError, Unwritten
from rollout.model.event import HaltOrdered
from rollout.model.verdict import Cause
from rollout.ports import Journal
from rollout.store.patient import EVERY_S, PatientJournal
from rollout.testing.journal import SimulatedJournal
from tests.store.stories import started, step

HALT = HaltOrdered(cause=Cause.CONTROLLER, reason="the state could not be written", revert=False)


@dataclass(slots=True)
class Seat:
    """A store that can be another one at every look, and a clock that somebody turns."""

    there: Journal = field(default_factory=SimulatedJournal)
    at: float = 0.0

    def patient(self) -> PatientJournal:
        made = PatientJournal(lambda: self.there, lambda _: None, clock=lambda: self.at)
        made.append([started(), *step(1)])
        return made


def refused(patient: PatientJournal, op: int = 2) -> type[StoreError]:
    """Return how the next step is refused."""
    with pytest.raises(StoreError) as caught:
        patient.append(step(op)[:1])
    return caught.type


@pytest.mark.parametrize("away_s", [0.0, EVERY_S])
def test_a_halt_is_heard_whether_it_is_kept_or_written_at_once(away_s: float) -> None:
    """Who is half-way goes back: a store that is back within one append leaves nobody waiting for ever."""
    there = SimulatedJournal()
    seat = Seat(there)
    patient, there.fails_after = seat.patient(), 3
    assert refused(patient) is Unwritten
    there.fails_after, seat.at = None, away_s
    patient.append([HALT])
    assert patient.behind is (away_s < EVERY_S)
    seat.at += EVERY_S
    assert [r.seq for r in patient.append(step(2))] == [5, 6]
