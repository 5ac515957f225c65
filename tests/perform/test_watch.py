"""Who is done is watched: what answers badly is ill, and what cannot be asked is only out of sight."""

from __future__ import annotations

from typing import Any

from rollout.model.host import HostName
from rollout.model.verdict import Cause
from rollout.perform.desk import Desk
from rollout.perform.drive import drive
from rollout.perform.effects import Mailbox
from rollout.perform.health import Seen
from rollout.perform.requests import Well
from rollout.perform.watch import Done, Watch
from tests.simulation.shapes import Shape
from tests.simulation.world import POOLS, World

H0 = HostName("h0")
WELL, SILENT, ILL = Seen(ok=True), Seen(ok=False, reachable=False), Seen(ok=False)


def watching() -> tuple[Watch, list[Any]]:
    posted: list[Any] = []
    pools = {name: Mailbox(name=name) for name in POOLS}
    desk = Desk(plan=World(Shape()).plan(), now=lambda: 0.0, post=posted.append, note=lambda _: None, pools=pools)
    watch = Watch(desk=desk, mailbox=Mailbox(name="watch"))
    watch.take(Done(host=H0))
    return watch, posted


def told(watch: Watch, *seen: Seen) -> None:
    for one in seen:
        drive(watch.count(H0, one), lambda effect: None)


def test_silence_is_reported_once_and_the_host_is_looked_at_further() -> None:
    watch, posted = watching()
    told(watch, *[SILENT] * 30)
    assert [event.outcome.cause for event in posted] == [Cause.CONNECTION]


def test_who_answers_again_counts_in_its_pools_again() -> None:
    watch, posted = watching()
    told(watch, *[SILENT] * 3, WELL)
    assert list(watch.desk.pools[POOLS[0]].waiting) == [Well(member=watch.desk.host(H0).members[POOLS[0]])]
    told(watch, WELL)
    assert len(watch.desk.pools[POOLS[0]].waiting) == 1
    told(watch, *[SILENT] * 3)
    assert len(posted) == 2, "and is reported again when it is lost again"


def test_who_could_not_be_asked_by_a_controller_that_is_gone_counts_once_it_answers() -> None:
    watch, posted = watching()
    watch.take(Done(host=H0, lost=True))
    told(watch, *[SILENT] * 9, WELL)
    assert list(watch.desk.pools[POOLS[0]].waiting) == [Well(member=watch.desk.host(H0).members[POOLS[0]])]
    assert not posted, "that it is lost is on record"


def test_one_bad_answer_after_a_long_silence_is_noise() -> None:
    watch, posted = watching()
    told(watch, *[SILENT] * 9, ILL, ILL)
    assert [event.outcome.cause for event in posted] == [Cause.CONNECTION]
    told(watch, ILL)
    assert [event.outcome.cause for event in posted] == [Cause.CONNECTION, Cause.RELEASE]
