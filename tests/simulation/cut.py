"""One cut of a rollout: the nine places between an intention and what is known of its effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from rollout.testing.faults import Fault, Moment, What, WriteFault
from rollout.testing.journal import JournalCut, Kind, Place

if TYPE_CHECKING:
    from tests.simulation.world import World

Point = Literal[
    "before the intention is written",
    "the intention is torn",
    "the intention is written, not synced",
    "the intention is on record, nothing is sent",
    "sent, never delivered",
    "delivered, done by half",
    "done, the reply is lost",
    "answered, the result is not written",
    "the result is torn",
]
POINTS: tuple[Point, ...] = get_args(Point)
BEFORE, TORN, UNSYNCED, RECORDED, UNDELIVERED, HALF, UNHEARD, UNWRITTEN, TORN_RESULT = POINTS

# Where an append is cut: of which kind it is, and how. Without a controller that dies its disk fails.
APPENDS: dict[tuple[Point, bool], tuple[Kind, Place]] = {
    **{(BEFORE, dies): ("intention", "before") for dies in (True, False)},
    **{(TORN, dies): ("intention", "torn") for dies in (True, False)},
    **{(UNSYNCED, dies): ("intention", "unsynced") for dies in (True, False)},
    (RECORDED, True): ("intention", "after"),
    **{(UNWRITTEN, dies): ("result", "before") for dies in (True, False)},
    **{(TORN_RESULT, dies): ("result", "torn") for dies in (True, False)},
}
# Where a message is cut: when the controller dies, or what goes wrong with the message.
DEATHS: dict[Point, Moment] = {UNDELIVERED: "sending", HALF: "done", UNHEARD: "done", UNWRITTEN: "answered"}
TELLS: dict[Point, Fault] = {RECORDED: "unreachable", UNDELIVERED: "lose command", UNHEARD: "lose reply"}
WRITES: dict[Point, WriteFault] = {RECORDED: "refuse", UNDELIVERED: "lose command", UNHEARD: "lose reply"}
TEARS = (0.0, 0.5, 1.0)  # one byte of a frame is on the disk, a half of it, all but one


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """At a point of the message, or of the append (``what`` is empty), of this number.

    ``part``: how much of it was done. ``dies``: the controller; otherwise it goes on, with what it hears.
    """

    point: Point
    at: int
    what: What | Literal[""] = ""
    part: float = 0
    dies: bool = True

    def lay(self, world: World) -> None:
        """Have it happen, counted from now."""
        if not self.what:
            self._lay_on_append(world)
            return
        script = world.fleet.script
        at = self.at + (script.told if self.what == "tell" else script.written)
        if self.dies:
            script.crashes[self.what, at] = DEATHS[self.point]
        if self.point == HALF:
            (script.stops if self.what == "tell" else script.halves)[at] = int(self.part)
        elif not self.dies and self.what == "tell":
            script.tells[at] = TELLS[self.point]
        elif not self.dies:
            script.writes[at] = WRITES[self.point]

    def _lay_on_append(self, world: World) -> None:
        _, place = APPENDS[self.point, self.dies]
        at, cut = len(world.journal.kinds) + self.at, JournalCut(place=place, part=self.part, dies=self.dies)
        world.journal.cuts = {**world.journal.cuts, at: cut}
        world.patient = world.patient or not self.dies


def lay(world: World, cuts: tuple[Cut, ...]) -> tuple[Cut, ...]:
    """Lay what happens to this controller: all up to the one it dies of; return what is left for the next one."""
    for number, cut in enumerate(cuts):
        cut.lay(world)
        if cut.dies:
            return cuts[number + 1 :]
    return ()
