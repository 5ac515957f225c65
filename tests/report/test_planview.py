"""The plan as people read it: batches, waves, capacity, each program and its way back."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import Reason
from rollout.model.plan import Batch, Plan
from rollout.report.curve import COLUMNS, LEVELS, capacity, chart
from rollout.report.planview import plan_lines, refusal_lines
from tests.store.stories import plan

SMALL = """\
Roll out shop: shop 2.0.0 to default, 6 hosts in 3 batches
  release   2.0.0, 20 MB, 0 files, artifact cccccccccccccccc
  health    for 20s, within 5m 00s of the switch
  failure   the first host that fails halts; when the release is at fault, every touched host goes back

Batches (hosts leave together up to the bar; a gate stands after each batch):
     1  web1
     2  web2, web3
     3  web4, web5 | web6

Capacity of pool shop: 6 of 6 in service now, 4 at the lowest, floor 4 (by default)
     6 │██  ██  ██  ██  ██
     5 │██████  ██  ██████
     4 ┤██████████████████╌ floor
     3 │██████████████████

6 hosts: web1, web2, web3, web4, web5, web6
      DOES                           WAY BACK (from the last step begun, upwards)
  1.  staging (while it serves)      noting the release as unverified
  2.  leaving rotation               going back into rotation
  3.  switching to 2.0.0 from 1.0.0  switching to 1.0.0 from 2.0.0, then checking the health of 1.0.0
  4.  checking the health of 2.0.0   -
  5.  going back into rotation       leaving rotation
  6.  noting the release as kept     -

Weaker than it could be:
  - shop has no check of its own

Plan r1, digest dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"""


def in_waves(of: Plan, width: int) -> Plan:
    """Return the plan with its batches cut into waves."""
    play = of.plays[0]
    cut = [tuple(b.hosts[n : n + width] for n in range(0, len(b.hosts), width)) for b in play.batches]
    return replace(of, plays=(replace(play, batches=tuple(Batch(waves=waves) for waves in cut)),))


def test_a_small_plan() -> None:
    shown = plan_lines(in_waves(plan(6, batches=(1, 2, 3), floor=4), 2), weaker=["shop has no check of its own"])
    assert "\n".join(shown) == SMALL


def test_a_large_plan_stays_readable() -> None:
    lines = plan_lines(in_waves(plan(5000, batches=(1, 50), floor=3750), 20))
    assert len(lines) < 60
    assert max(map(len, lines)) < 130
    assert "   ...  90 more batches like these" in lines
    assert "     2  50 hosts in 3 waves of up to 20: web2, web3, web4 and 47 more" in lines


def test_refusals_show_the_arithmetic_and_what_would_work() -> None:
    reason = Reason(
        code="E_FLOOR", what="6 in service, floor 6: 6 - 1 < 6.", instead="At most 5 works.", hosts=("web1",)
    )
    assert refusal_lines([reason]) == [
        "This is refused; nothing was changed:",
        "  E_FLOOR: 6 in service, floor 6: 6 - 1 < 6. [web1]",
        "      At most 5 works.",
    ]
    assert refusal_lines([reason]) == plan_lines(plan(1), refusals=[reason])[-5:-2]


def test_hosts_that_are_right_already_are_named_and_left_alone() -> None:
    made = plan(3, batches=(2, 1))
    play = made.plays[0]
    right = replace(play.hosts["web3"], steps=(), note="on 2.0.0 already")  # type: ignore[index]
    changed = replace(play, hosts={**play.hosts, "web3": right}, batches=play.batches[:1])  # type: ignore[dict-item]
    lines = plan_lines(replace(made, plays=(changed,)))
    assert lines[0] == "Roll out shop: shop 2.0.0 to default, 2 hosts in 1 batch"
    assert "1 host left alone (on 2.0.0 already): web3" in lines
    idle = replace(changed, hosts={"web3": right}, batches=())  # type: ignore[dict-item]
    lines = plan_lines(replace(made, plays=(idle,)))
    assert lines[0] == "Roll out shop: nothing to do: every host is on 2.0.0 already, in default"


def test_a_host_that_served_nobody_goes_back_to_nothing() -> None:
    made = plan(1)
    play = made.plays[0]
    first = replace(play.hosts["web1"], previous="", serving=False)  # type: ignore[index]
    play = replace(play, hosts={"web1": first}, pools=(replace(play.pools[0], serving=0),))  # type: ignore[dict-item]
    lines = plan_lines(replace(made, plays=(play,)))
    assert "  nothing ran here before: its way back is to nothing" in lines
    assert capacity(play, play.pools[0]) == [0, 0, 1]


@given(
    curve=st.lists(st.integers(0, 6000), min_size=1, max_size=400),
    floor=st.integers(0, 6000),
    size=st.integers(1, 6000),
)
def test_every_chart_is_small_and_shows_the_floor(curve: list[int], floor: int, size: int) -> None:
    lines = chart(curve, floor, size)
    assert len(lines) <= LEVELS + 2
    assert all(len(line) <= COLUMNS + 30 for line in lines)
    assert sum("floor" in line for line in lines) == 1


def test_a_dip_below_the_floor_is_a_gap_in_its_line() -> None:
    assert chart([3, 1, 3], 2, 3) == ["     3 │██  ██", "     2 ┤██╌╌██╌ floor", "     1 │██████"]
