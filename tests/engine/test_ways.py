"""How a release comes to each host is part of the plan, and people read it there."""

from __future__ import annotations

from dataclasses import replace

from rollout.app.planfile import Filed, drift
from rollout.app.preflight import digest
from rollout.engine.planner import plan
from rollout.model.plan import Stage
from rollout.model.release import Delta, Push, ReleaseId
from rollout.report.planview import plan_lines
from tests.engine.questions import MANIFESTS, NEW, OLD, names, on, question

DELTA = Delta(base=ReleaseId(OLD), manifest=MANIFESTS[OLD], artifact="3" * 64, size=2_000_000)


def test_each_host_has_its_way_and_who_has_the_release_needs_none() -> None:
    hosts = names(4)
    seen = {h: on(OLD, h) for h in hosts}
    seen[hosts[3]] = on(OLD, hosts[3], releases=MANIFESTS)
    asked = question(seen, ways={hosts[0]: DELTA, hosts[1]: Push(why="no reason"), hosts[3]: DELTA})
    made = plan(asked)
    stages = [made.plays[0].hosts[h].steps[0].do for h in hosts]
    ways = (Stage(way=DELTA), Stage(way=Push(why="no reason")), Stage(), Stage(present=True))
    assert stages == list(ways)
    assert made.plays[0].release.id == NEW
    lines = "\n".join(plan_lines(made))
    assert f"transfer  what differs from {OLD} to {hosts[0]}, 2.0 MB" in lines
    patched = plan(question(seen, ways=dict.fromkeys(hosts, replace(DELTA, patches=2))))
    assert f"transfer  what differs from {OLD} (2 files patched) to {hosts[0]}, " in "\n".join(plan_lines(patched))
    assert f"transfer  all of it to {hosts[1]}" in lines
    assert ": no reason" in lines
    pushed = plan(question(seen))
    assert digest(made) != digest(pushed)
    assert drift(Filed(plan=made, tool=""), pushed)[0].what.startswith("tool: "), "it decides nothing"
