"""Every single cut of three small rollouts: at each of the nine points of each effect, and whoever goes on then."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from rollout.engine.recovery import Aim
from rollout.testing.faults import Script
from tests.simulation.cut import APPENDS, DEATHS, HALF, POINTS, TEARS, TELLS, TORN, TORN_RESULT, UNSYNCED, Cut, Point
from tests.simulation.fleets import CUT, FLEETS
from tests.simulation.soup import Ran, Trial, go

AIMS: tuple[Aim, ...] = ("resume", "heal", "revert")
LOST = frozenset({*TELLS, HALF})
PAUSES_S = (0.0, 60.0)  # from a death to the next controller


@cache
def plain(fleet: str) -> Ran:
    """The rollout with nothing in its way."""
    return go(Trial(shape=FLEETS[fleet], script=Script()))


def places(ran: Ran, point: Point, *, dies: bool) -> Iterator[Cut]:
    """Each place of a rollout at which this point can be cut."""
    if (point, dies) in APPENDS:
        parts = TEARS if point in (TORN, TORN_RESULT) else (0.5,)
        kind = APPENDS[point, dies][0]
        at = [number for number, each in enumerate(ran.kinds) if each == kind]
        yield from (Cut(point=point, at=n, part=part, dies=dies) for n in at for part in parts)
    if point not in (DEATHS if dies else LOST):
        return
    for number, points in enumerate(ran.points):
        parts = range(1, points) if point == HALF else (0,)  # behind its last point it is done
        yield from (Cut(point=point, what="tell", at=number, part=part, dies=dies) for part in parts)
    for number, lines in enumerate(ran.lines):
        parts = range(1, lines) if point == HALF else (0,)
        yield from (Cut(point=point, what="write", at=number, part=part, dies=dies) for part in parts)


def trials(fleet: str, point: Point) -> Iterator[Trial]:
    """Each place of a point in a fleet, and whoever goes on: the same controller, or the next one by each aim."""
    ran, shape = plain(fleet), FLEETS[fleet]
    for number, cut in enumerate(places(ran, point, dies=True)):
        for place, aim in enumerate(AIMS):
            pause_s = PAUSES_S[(number + place) % 2]
            yield Trial(shape=shape, script=Script(), cuts=(cut,), aim=aim, pause_s=pause_s)
    for cut in places(ran, point, dies=False):
        yield Trial(shape=shape, script=Script(), cuts=(cut,))


# How a rollout ends whose one effect was cut, by who goes on; "on": the same controller.
ENDS: dict[str, frozenset[str]] = {
    "resume": frozenset({"succeeded 0"}),
    "heal": frozenset({"halted 3"}),
    "revert": frozenset({"reverted 4"}),
    "on, with a message lost": frozenset({"succeeded 0"}),
    "on, with a disk that failed": frozenset({"halted 3", "halted 6"}),
    "on, with a disk that lies": frozenset({"reverted 4"}),  # it says no, and it was written: the hosts are asked
}
OVER = frozenset({"succeeded 0"})  # nothing was on record yet, and the next apply began; or all of it had been done


def allowed(trial: Trial) -> frozenset[str]:
    """How a trial of one cut may end."""
    cut = trial.cuts[0]
    if not cut.dies and cut.what:
        return ENDS["on, with a message lost"]
    if not cut.dies:
        last = cut.at >= len(plain(_fleet(trial)).kinds) - 1
        disk = ENDS["on, with a disk that lies" if cut.point == UNSYNCED else "on, with a disk that failed"]
        return disk | OVER if last or not cut.at else disk
    return OVER if not (cut.what or cut.at) else ENDS[trial.aim]


def _fleet(trial: Trial) -> str:
    return next(name for name, shape in FLEETS.items() if shape == trial.shape)


@dataclass(slots=True)
class Swept:
    """What came of one point in one fleet."""

    fleet: str
    point: str
    places: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    unnamed: int = 0
    unknown: int = 0
    seconds: float = 0.0  # of a processor
    failed: list[str] = field(default_factory=list)

    @property
    def runs(self) -> int:
        return self.ends.total()


def tried(trial: Trial) -> Ran:
    """Carry a trial of the sweep out; one that fails says which it was."""
    try:
        ran = go(trial)
        torn = [cut for cut in trial.cuts if cut.point in (TORN, TORN_RESULT)]
        if len(trial.cuts) == 1:
            assert len(ran.dropped) == len(torn), "what is torn is dropped, and that is said"
        if len(trial.cuts) == 1 and trial.shape in CUT.values():
            assert f"{ran.end} {ran.code}" in allowed(trial), f"it ended {ran.end} {ran.code}"
        assert not ran.unnamed, f"left out of rotation, and nobody is told: {ran.unnamed}"
        assert not ran.unknown, f"nobody knows where they stand: {ran.unknown}"
    except BaseException as error:
        error.add_note(f"in {_fleet(trial)}, {trial.aim} after {trial.pause_s:g} s: {trial.cuts}")
        raise
    return ran


def sweep(fleet: str, point: Point) -> Swept:
    """Try every place of a point in a fleet."""
    found = swept(fleet, point, trials(fleet, point))
    found.places = sum(1 for dies in (True, False) for _ in places(plain(fleet), point, dies=dies))
    return found


def swept(fleet: str, point: str, trials: Iterable[Trial]) -> Swept:
    """Try all of these; what fails is kept, and the rest is tried too."""
    found, began = Swept(fleet, point), time.process_time()
    for trial in trials:
        found.places += 1
        try:
            ran = tried(trial)
        except Exception as error:
            found.ends["failed -"] += 1
            found.failed.append(f"{type(error).__name__}: {error}\n  {'; '.join(error.__notes__)}")
            continue
        found.ends[f"{ran.end} {ran.code}"] += 1
        found.unnamed += len(ran.unnamed)
        found.unknown += len(ran.unknown)
    found.seconds = time.process_time() - began
    return found


PAIRS = 20_000


def drawn_pair(seed: int) -> Trial:
    """Two cuts drawn by a seed, in one of the fleets: the second in the same life, or in the next one's."""
    dice = random.Random(seed * 104_729 + 3)
    fleet = dice.choice(tuple(CUT))
    cuts = tuple(_drawn(dice, plain(fleet)) for _ in range(2))
    aim, pause_s = dice.choice(AIMS), dice.choice(PAUSES_S)
    return Trial(shape=FLEETS[fleet], script=Script(), cuts=cuts, aim=aim, pause_s=pause_s)


def _drawn(dice: random.Random, ran: Ran) -> Cut:
    while True:
        found = list(places(ran, dice.choice(POINTS), dies=dice.random() < 0.6))
        if found:
            return dice.choice(found)
