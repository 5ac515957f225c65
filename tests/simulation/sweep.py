"""Every single cut of a small rollout: a crash at each prefix of its journal, each fault at each message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollout.testing.behaviour import Build
from rollout.testing.faults import FAULTS, KINDS, OF_MEMBERS, OF_POOLS, WRITE_FAULTS, Incident, Script
from tests.simulation.shapes import SERIALS, Shape
from tests.simulation.soup import Ran, Trial, go

THREE = Shape(hosts=3, serial=SERIALS[0], load=2, session_s=1.0)
FLEETS = {
    "3 behind 1": THREE,
    "1 behind 1": Shape(hosts=1, allow_outage=True),
    "3 behind 1, a bad release": replace(THREE, build=Build(healthy=False), max_failures=0),
    "3 behind 2": replace(THREE, pools=2),
    "4 in 2 zones": replace(THREE, hosts=4, pools=2, first=frozenset({0, 1, 2}), second=frozenset({1, 2, 3})),
    "3 workers": replace(THREE, pools=0, load=0),
    "an api before a web": Shape(hosts=4, api=2, also=True),
    "an api before a bad web, also": Shape(hosts=4, api=2, also=True, build=Build(healthy=False)),
    "an api before a bad web": Shape(hosts=4, api=2, build=Build(healthy=False)),
    "2 behind 1, the first release": Shape(hosts=2, fresh=True, floor=None),
}
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
    """Each fault at each message to a host, and to a balancer."""
    ran = plain(shape)
    for at in range(ran.told):
        for fault in FAULTS:
            yield Trial(shape=shape, script=Script(tells={at: fault}))
    for at in range(ran.written):
        for wrong in WRITE_FAULTS:
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
