"""An upload that the network cuts off has been refused by its host, and is begun again; it is not begun for ever."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.errors import OutcomeUnknown
from rollout.model.event import Note
from rollout.model.host import HostName
from rollout.perform import ensure
from rollout.perform.desk import Desk
from rollout.perform.effects import Sleep, Tell
from rollout.posix.op import Install, Op, Reply, Settle
from rollout.testing.contracts import RELEASES
from tests.simulation.shapes import Shape
from tests.simulation.world import World

H0 = HostName("h0")

CUT = {"recorded": "1", "was.status": "refused", "was.code": "E_SHORT", "was.summary": "9 of 100 bytes came"}
WHOLE = {"recorded": "1", "was.status": "done", "was.installed": "new"}
UPLOAD_S = 60.0  # longer than the step may take by itself
STEP_S = 40.0


class Clock:
    """What an upload takes, and a sleep."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def through(*records: dict[str, str]) -> tuple[Any, list[Op]]:
    """Say an Install whose reply is always lost, over a host that has this on record each time; return how it ends."""
    clock, said, answers = Clock(), [], iter(records)
    notes: list[Note] = []
    desk = Desk(plan=World(Shape()).plan(), now=clock, post=lambda _: None, note=notes.append)
    work: Any = ensure.ensure(
        ensure.Wording(desk=desk, host=H0, step=1), Install(release=RELEASES["v1"].release), STEP_S
    )
    try:
        effect = work.send(None)
        while True:
            match effect:
                case Tell(op=Op(do=Settle())):
                    assert effect.op.timeout_s == pytest.approx(desk.pace.settle_s), (
                        "the lock is waited for as long as ever"
                    )
                    effect = work.send(Reply(status="done", fields=next(answers)))
                case Tell(op=op):
                    said.append(op)
                    clock.at += UPLOAD_S
                    effect = work.throw(OutcomeUnknown("cut off"))
                case Sleep(seconds=seconds):
                    clock.at += seconds
                    effect = work.send(None)
    except StopIteration as end:
        return end.value, said


@pytest.mark.fault("F52")
def test_an_upload_that_was_cut_off_is_begun_again_with_all_its_time() -> None:
    reply, said = through(CUT, CUT, WHOLE)
    assert reply.status == "done"
    assert [op.epoch.sequence for op in said] == sorted({op.epoch.sequence for op in said}), "each under its own number"
    assert len(said) == 3
    assert min(op.timeout_s for op in said) > STEP_S - 1, "what it had used up was its own"


@pytest.mark.fault("F52")
def test_an_upload_that_is_always_cut_off_fails_with_what_came() -> None:
    reply, said = through(*[CUT] * 9)
    assert (reply.code, reply.summary, len(said)) == ("E_SHORT", "9 of 100 bytes came", ensure.UPLOADS)
