"""Every single cut of three small rollouts, at nine points of each effect; and pairs of them, drawn by seeds."""

from __future__ import annotations

import pytest

from rollout.testing.faults import Script
from tests.simulation.cut import (
    BEFORE,
    HALF,
    POINTS,
    RECORDED,
    TORN,
    TORN_RESULT,
    UNDELIVERED,
    UNHEARD,
    UNSYNCED,
    UNWRITTEN,
    Cut,
    Point,
)
from tests.simulation.fleets import CUT, FLEETS, SWEPT
from tests.simulation.single import AIMS, PAIRS, drawn_pair, places, plain, sweep, tried
from tests.simulation.soup import Trial, go

FAULTS: dict[Point, tuple[str, ...]] = {
    BEFORE: ("F1",),
    TORN: ("F2",),
    UNSYNCED: ("F3", "F6"),
    RECORDED: ("F1",),
    UNDELIVERED: ("F30",),
    HALF: ("F28",),
    UNHEARD: ("F29",),
    UNWRITTEN: ("F1",),
    TORN_RESULT: ("F2",),
}
LARGEST = "2 balancers, 4 hosts"  # each time at the point that leaves most in doubt, at all of them with --all
LARGEST_EACH_TIME = (UNHEARD,)
SHARDS = 8
SOME = 300


def marks(fleet: str, point: Point) -> list[pytest.MarkDecorator]:
    """Return which faults that is, and whether it is tried each time."""
    long = fleet == LARGEST and point not in LARGEST_EACH_TIME
    return [pytest.mark.fault(*FAULTS[point])] + [pytest.mark.long] * long


@pytest.mark.parametrize(("fleet", "point"), [pytest.param(f, p, marks=marks(f, p)) for f in SWEPT for p in POINTS])
def test_every_single_cut(fleet: str, point: Point) -> None:
    found = sweep(fleet, point)
    assert not found.failed, "\n".join(found.failed[:5])
    assert found.runs > found.places > 0
    assert (found.unnamed, found.unknown) == (0, 0)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("fleet", [fleet for fleet in FLEETS if fleet not in SWEPT])
def test_every_single_cut_of_other_fleets(fleet: str, point: Point) -> None:
    """Of workers, of two plays, of a first release."""
    found = sweep(fleet, point)
    assert not found.failed, "\n".join(found.failed[:5])
    assert found.runs > 0


def test_every_effect_is_cut_at_every_point() -> None:
    """Installed, switched, noted twice, out, drained, in and checked: each of them is there to be cut."""
    ran = plain("1 balancer, 1 host")
    assert (len(ran.points), len(ran.lines), max(ran.lines)) == (4, 4, 2)
    assert all(points >= 3 for points in ran.points)
    for point in POINTS:
        for dies in (True, False):
            found = list(places(ran, point, dies=dies))
            assert len(found) == len(set(found)) >= 5, f"{point} is cut at {len(found)} places"


@pytest.mark.fault("F56", "F65")
@pytest.mark.parametrize("fleet", ["1 balancer, 3 hosts", "1 balancer, 1 host"])
def test_a_host_that_restarts_in_the_middle_of_each_of_its_steps(fleet: str) -> None:
    """Its files are as the step had left them, and its service is gone."""
    stops = [cut for cut in places(plain(fleet), HALF, dies=False) if cut.what == "tell"]
    for cut in stops:
        script = Script(tells={cut.at: "reboot"}, stops={cut.at: int(cut.part)})
        ran = go(Trial(shape=CUT[fleet], script=script))
        assert ran.code in (0, 3, 6), f"message {cut.at}, stopped at its point {cut.part}: {ran.end}"
        assert not ran.unnamed
        assert not ran.unknown
    assert len(stops) > 10


@pytest.mark.fault("F1")
@pytest.mark.parametrize("fleet", CUT)
def test_a_controller_that_dies_once_its_end_is_on_record(fleet: str) -> None:
    """All is as without that death, and whoever takes over by then is refused: after one life, and after two."""
    torn = list(places(plain(fleet), TORN_RESULT, dies=True))
    first = torn[len(torn) // 2]
    for aim in AIMS:
        alone = tried(Trial(shape=CUT[fleet], script=Script(), cuts=(first,), aim=aim))
        last = Cut(point=RECORDED, at=len(alone.kinds) - 1 - (first.at + 1))  # counted from the second life
        assert tried(Trial(shape=CUT[fleet], script=Script(), cuts=(first, last), aim=aim)) == alone
    last = Cut(point=RECORDED, at=len(plain(fleet).kinds) - 1)
    assert go(Trial(shape=CUT[fleet], script=Script(), cuts=(last,))) == plain(fleet)


def tried_in(seeds: range) -> None:
    for seed in seeds:
        try:
            tried(drawn_pair(seed))
        except BaseException as error:
            error.add_note(f"repeat it: from tests.simulation.single import *; tried(drawn_pair({seed}))")
            raise


@pytest.mark.parametrize("shard", range(2))
def test_pairs_of_cuts(shard: int) -> None:
    tried_in(range(shard, SOME, 2))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_many_more_pairs_of_cuts(shard: int) -> None:
    tried_in(range(SOME + shard, SOME + PAIRS, SHARDS))
