"""The small fleets that everything is tried on."""

from __future__ import annotations

from dataclasses import replace

from rollout.testing.behaviour import Build
from tests.simulation.shapes import SERIALS, Shape

# h0 is behind the balancer of its own zone, h3 behind that of the other, and h1 and h2 behind both.
ZONES = (frozenset({0, 1, 2}), frozenset({1, 2, 3}))
THREE = Shape(hosts=3, serial=SERIALS[0], load=2, session_s=1.0)
# Cut at every point of every effect (single.py).
CUT = {
    "1 balancer, 3 hosts": THREE,
    "2 balancers, 4 hosts": replace(THREE, hosts=4, pools=2, first=ZONES[0], second=ZONES[1]),
    "1 balancer, 1 host": Shape(hosts=1, allow_outage=True),
}
MORE = {
    "3 behind 1, a bad release": replace(THREE, build=Build(healthy=False), max_failures=0),
    "3 behind 2": replace(THREE, pools=2),
    "3 workers": replace(THREE, pools=0, load=0),
    "an api before a web": Shape(hosts=4, api=2, also=True),
    "an api before a bad web, also": Shape(hosts=4, api=2, also=True, build=Build(healthy=False)),
    "an api before a bad web": Shape(hosts=4, api=2, build=Build(healthy=False)),
    "2 behind 1, the first release": Shape(hosts=2, fresh=True, floor=None),
}
FLEETS = CUT | MORE
BRIEF = ("1 balancer, 3 hosts", "3 behind 1, a bad release", "an api before a bad web")  # for what is tried by default
SWEPT = (*CUT, "3 behind 1, a bad release")  # by default; all of them with --all
