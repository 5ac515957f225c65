"""Each thing that can go wrong at each moment of a small rollout.

What is no more than a cut between an intention and its effect is tried in three fleets at nine points (single.py), and
here in the others: a crash at each prefix of the journal, a message that is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.testing.faults import FAULTS, KINDS, OF_MEMBERS, OF_POOLS, WRITE_FAULTS, Incident, Script
from tests.simulation.cut import TELLS, WRITES
from tests.simulation.fleets import FLEETS, SWEPT
from tests.simulation.shapes import Shape
from tests.simulation.soup import Ran, Trial, go

MOMENTS = 30  # of a rollout, at which something befalls it


def plain(shape: Shape) -> Ran:
    """The rollout with nothing in its way: so long are its journal and its conversations."""
    return go(Trial(shape=shape, script=Script()))


def crashes(shape: Shape) -> Iterator[Trial]:
    """A controller that dies at each prefix of the journal; the next comes at once, or after the late replies."""
    for at in range(1, plain(shape).events):
        for pause_s in (0.0, 60.0):
            yield Trial(shape=shape, script=Script(), crashes=(at,), pause_s=pause_s)


def messages(shape: Shape) -> Iterator[Trial]:
    """Each fault at each message to a host, and to a balancer; in fleets that are cut those that are no cuts."""
    ran, cut = plain(shape), any(shape == FLEETS[name] for name in SWEPT)
    for at in range(ran.told):
        for fault in (f for f in FAULTS if not (cut and f in TELLS.values())):
            yield Trial(shape=shape, script=Script(tells={at: fault}))
    for at in range(ran.written):
        for wrong in (w for w in WRITE_FAULTS if not (cut and w in WRITES.values())):
            yield Trial(shape=shape, script=Script(writes={at: wrong}))
        yield Trial(shape=shape, script=Script(reloads=frozenset({at})))
    for at in range(ran.read):
        yield Trial(shape=shape, script=Script(unreadable=frozenset({at})))


def incidents(shape: Shape) -> Iterator[Trial]:
    """Each thing that can befall the first host or the first pool, at each moment."""
    kinds = [k for k in KINDS if shape.pools or k not in OF_POOLS | OF_MEMBERS]
    lasted_s = plain(shape).lasted_s
    for number in range(MOMENTS):
        for kind in kinds:
            incident = Incident(kind=kind, at_s=number * lasted_s / MOMENTS, for_s=30.0)
            yield Trial(shape=shape, script=Script(incidents=(incident,)))


def deaths(shape: Shape) -> Iterator[Trial]:
    """A balancer that dies for good before, in or after each call of it."""
    ran = plain(shape)
    for at in range(ran.written):
        yield Trial(shape=shape, script=Script(deaths={at: "before"}))
        yield Trial(shape=shape, script=Script(deaths={at: "after"}))
    for at in range(ran.read):
        yield Trial(shape=shape, script=Script(last_words=frozenset({at})))


def pairs(shape: Shape) -> Iterator[Trial]:
    """A second death, at each prefix of what the second controller writes."""
    for first in range(1, plain(shape).events):
        for second in range(1, 30):
            yield Trial(shape=shape, script=Script(), crashes=(first, second), pause_s=5.0)


def both(shape: Shape) -> Iterator[Trial]:
    """A fault at each message, and a death at every third prefix."""
    ran = plain(shape)
    for at in range(ran.told):
        for fault in FAULTS:
            for crash in range(1, ran.events, 3):
                yield Trial(shape=shape, script=Script(tells={at: fault}), crashes=(crash,), healed=False)


CUTS = {"crashes": crashes, "messages": messages, "incidents": incidents, "deaths": deaths}
LONG_CUTS = {"pairs": pairs, "both": both}
