"""Guards beside the engine: fences and leases, what is on record before it is done, and what hosts and journals say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from rollout import runner
from rollout.engine import schedule
from rollout.engine.policy import Rule
from rollout.model.event import HaltOrdered, PauseOrdered
from rollout.model.share import Share
from rollout.model.verdict import Cause
from rollout.perform import steps
from rollout.posix import epoch, frame
from rollout.store import journal, leasing, projection
from rollout.store.patient import PatientJournal
from rollout.store.quick import Quick
from rollout.store.schema import records
from rollout.testing import host, replies
from rollout.testing.contracts import SCENARIOS, played
from rollout.testing.faults import Script
from rollout.testing.simulated import SimulatedContract
from rollout.testing.store_contract import CONTRACT, many_of
from tests.engine import pins
from tests.engine.hunting import Mutant, attribute
from tests.engine.stories import Story, plan_of
from tests.posix.conftest import fresh
from tests.posix.test_contract import Real
from tests.simulation.shapes import Shape
from tests.simulation.soup import Trial, go
from tests.store.benches import SqliteBench

Pin = Callable[[tuple[Rule, ...]], None]


def _pin(name: str, act: Callable[[], None]) -> Pin:
    def pin(_: tuple[Rule, ...]) -> None:
        act()

    pin.__name__ = name
    return pin


def _alike(scenario: str) -> Pin:
    """A real shell and the simulated host answer a scenario alike."""

    def act() -> None:
        with tempfile.TemporaryDirectory() as folder, fresh("dash", Path(folder)) as host:
            real = Real(host)
            for ours, theirs in zip(
                played(SimulatedContract.fresh(), SCENARIOS[scenario]), played(real, SCENARIOS[scenario]), strict=True
            ):
                assert (ours.status, ours.code) == (theirs.status, theirs.code), f"{ours.line}: {theirs.code or 'done'}"

    return _pin(scenario.replace(" ", "_"), act)


def _kept(rule: str) -> Pin:
    """A store keeps a rule of its contract."""

    def act() -> None:
        with tempfile.TemporaryDirectory() as folder, many_of(SqliteBench(Path(folder))) as many:
            CONTRACT[rule](many)

    return _pin(rule, act)


def nobody_leaves_in_a_pause(_: tuple[Rule, ...]) -> None:
    story = Story(plan_of(4, serial=(Share(ppm=1_000_000),))).begin()
    story.until("verify")
    story.fact(PauseOrdered(by="ann"))
    began = {h for h, now in story.state.hosts.items() if now.begun > 1}
    while story.start() or story.pending:
        story.finish(story.pending[0])
    assert {h for h, now in story.state.hosts.items() if now.begun > 1} == began, "somebody left in a pause"


def who_was_taken_out_by_a_dead_controller_is_put_back(_: tuple[Rule, ...]) -> None:
    halt = HaltOrdered(cause=Cause.PERSON, reason="enough", revert=False, order=1)
    trial = Trial(shape=Shape(hosts=4, serial=(Share(count=2),)), script=Script(), pause_s=500.0, aim="resume")
    for crash in range(8, 40):
        go(replace(trial, crashes=(crash,), orders=((400.0, halt),)))


def nothing_is_done_that_is_not_on_record(_: tuple[Rule, ...]) -> None:
    for at in range(4, 24):
        go(Trial(shape=Shape(hosts=3), script=Script(), lost=(at, 1e9), aim="heal"))


def no_trailer_can_be_guessed(_: tuple[Rule, ...]) -> None:
    said = b"n0nce0n0nce0n0nce0 begin\nguess end done -\nn0nce0n0nce0n0nce0 end failed E_TASK\n"
    found = frame.parse("n0nce0n0nce0n0nce0", said)
    assert found is not None
    assert found.status == "failed", "a line without the nonce is believed"


def _anything_ends(nonce: str, stdout: bytes) -> Any:
    return frame._between(line.partition(" ")[2] for line in stdout.decode().splitlines()[1:])


def _leaving(state: Any) -> Any:
    return _REAL_LEAVING(replace(state, paused=None))


_REAL_LEAVING = schedule._leaving
_COMPARED = replies.compared


async def _as_said(job: Any) -> Any:
    return await steps._DO[type(job.step.action)](job)


def _forgets_openness(stored: Any, op: Any) -> Any:
    return _COMPARED(replace(stored, open=False), op)


BEYOND = (
    Mutant(
        "fence: a host compares no epochs",
        patches=(attribute(epoch, "TEXT", epoch.TEXT.replace("then fence; fi", "then R= O=; fi")),),
        pin=_alike("a newer rollout"),
    ),
    Mutant(
        "shell: an open pair is anybody's",
        patches=(attribute(epoch, "TEXT", epoch.TEXT.replace("*:open:)", "*:never:)")),),
        pin=_alike("a rollout that is not over keeps others away"),
    ),
    Mutant(
        "host: an open pair is anybody's",
        patches=(attribute(host, "compared", _forgets_openness),),
        pin=pins.a_host_refuses_an_older_word,
    ),
    Mutant(
        "nonce: any line may be the trailer",
        patches=(attribute(frame, "parse", _anything_ends),),
        pin=no_trailer_can_be_guessed,
    ),
    Mutant(
        "schedule: who waits leaves in a pause",
        patches=(attribute(schedule, "_leaving", _leaving),),
        pin=nobody_leaves_in_a_pause,
    ),
    Mutant(
        "steps: what a dead controller began is untouched",
        patches=(attribute(steps, "carry_out", _as_said), attribute(runner, "carry_out", _as_said)),
        pin=who_was_taken_out_by_a_dead_controller_is_put_back,
    ),
    Mutant(
        "journal: intentions need not be on record",
        patches=(attribute(PatientJournal, "_refuse", lambda self, failure: None),),
        pin=nothing_is_done_that_is_not_on_record,
    ),
    Mutant(
        "journal: the lease is not looked at",
        patches=(attribute(journal, "_ADD", Quick(insert(records))),),
        pin=_kept("who_is_silent_is_taken_over"),
    ),
    Mutant(
        "journal: hashes are not compared",
        patches=(attribute(journal, "chained", lambda *_: ""),),
        pin=_kept("a_changed_byte_is_found"),
    ),
    Mutant(
        "journal: written to after a failure",
        patches=(attribute(journal.StoredJournal, "append", lambda self, events: self._append(events)),),
        pin=_kept("after_a_failed_write_nothing_is_written"),
    ),
    Mutant(
        "journal: what is followed need not be there",
        patches=(attribute(projection, "_NEXT", Quick(projection.HEAD)),),
        pin=_kept("what_went_back_is_not_written_over"),
    ),
    Mutant(
        "lease: whoever is silent for a moment is gone",
        patches=(attribute(leasing, "SILENT_S", -1e9),),
        pin=_kept("who_is_silent_is_taken_over"),
    ),
)
