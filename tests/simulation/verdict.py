"""What must be so when a rollout has ended: I7, I20, I23, and the words and the code of each end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rollout.engine.lint import violations
from rollout.engine.rollout import Rollout
from rollout.engine.state import At, HostState, State
from rollout.errors import StoreError
from rollout.model.event import StepStarted
from rollout.model.host import HostName
from rollout.model.pool import Member, Rotation
from rollout.model.verdict import Cause
from rollout.testing.faults import Script
from tests.simulation.bounds import takeover_bound
from tests.simulation.oracle import Oracle
from tests.simulation.truth import OF_THE_APP
from tests.simulation.world import World

FOR_GOOD_S = 1e6
SIGNALS = {"SIGINT": 130, "SIGTERM": 143}


def ended(oracle: Oracle, rollout: Rollout) -> None:
    """What is believed is so."""
    world = oracle.world
    assert rollout.end is not None, "never stuck"
    assert rollout == world.folded(), "fold(journal) = live state"
    assert rollout.in_flight == 0 or oracle.fenced
    for state in rollout.plays:
        _tallied(state, oracle.together)
        _one_cause(oracle, state)
        if not oracle.fenced:
            for host, now in state.hosts.items():
                _believed(oracle, state, host, now)
    if len(rollout.plays) == 1:
        _coded(rollout.plays[0], oracle)
    else:
        _coded_together(rollout, oracle)
        _taken_along(rollout, oracle)
    _all_back(rollout, oracle)
    _untouched(oracle)
    _left_to_others(oracle)


def _all_back(rollout: Rollout, oracle: Oracle) -> None:
    """Where a person said that all goes back, nobody stays on what this rollout brought: a restart brings nothing."""
    bringing = [s for s in rollout.plays if s.play.purpose != "restart"]
    on_it = [h for s in bringing for h, now in s.hosts.items() if now.phase is At.DONE]
    assert oracle.fenced or not oracle.ordered or not on_it, f"a person said all, and {on_it} stayed"


def _tallied(state: State, together: Mapping[HostName, Cause]) -> None:
    """The tallies are what counting the hosts gives."""
    phases = [s.phase for s in state.hosts.values()]
    assert state.done == phases.count(At.DONE)
    assert state.stranded == phases.count(At.STRANDED)
    assert state.reverted == phases.count(At.REVERTED)
    assert state.working == sum(s.working for s in state.hosts.values())
    assert state.drifted == sum(s.found is not None for s in state.hosts.values())
    charged = sum(s.failed and together.get(h) is not Cause.CONNECTION for h, s in state.hosts.items())
    assert state.failures == state.play.failures_at_start + charged


def _one_cause(oracle: Oracle, state: State) -> None:
    """When a jump host dies for good, whoever rolls on to the end counted one host behind it at most."""
    world = oracle.world
    gone = {i.host for i in world.fleet.script.incidents if i.kind == "partition" and i.for_s >= FOR_GOOD_S}
    if not gone or gone != world.shape.behind or state.end is None or state.end.end != "succeeded":
        return
    counted = [h for n, h in enumerate(world.names) if n in gone and state.hosts[h].failed]
    assert len(counted) < 2, f"{counted} vanished at once behind one jump host, and the rollout went on"


def _coded(state: State, oracle: Oracle) -> None:
    """The first of 7, 5, 130/143, 4, 3, 6, 9, 0 that applies (playbook.md)."""
    end = state.end
    assert end is not None
    phases = {s.phase for s in state.hosts.values()}
    touched = [h for h, s in state.hosts.items() if s.begun > state.program(h).staging]
    signal = state.halt.signal if state.halt else ""
    if oracle.fenced:
        assert end.exit_code == 7
    elif At.STRANDED in phases:
        assert (end.end, end.exit_code) == ("stranded", 5)
    elif signal:
        assert end.exit_code == SIGNALS[signal]
    elif end.end == "succeeded":
        assert state.halt is None
        assert end.exit_code == (9 if state.failures else 0)
        assert phases <= {At.DONE, At.REVERTED, At.FAILED}
        assert At.FAILED not in phases or state.failures <= max(1, state.play.max_failures)
    elif not touched and state.halt and state.halt.cause is not Cause.PERSON:
        assert end.exit_code == 6, f"nothing was touched, and the code is {end.exit_code}"
    elif state.play.purpose == "restart" and end.end == "reverted":
        assert end.exit_code == (3 if _moved(state) else 4), "who was restarted is on its release, as is who was healed"
    elif {state.hosts[h].phase for h in touched} <= {At.REVERTED}:
        assert end.exit_code in (3, 4)
        assert (end.exit_code == 4) == (end.end == "reverted" and not _moved(state))
    else:
        assert (end.end, end.exit_code) == ("halted", 3)
    if end.exit_code == 4:
        back = {At.REVERTED, At.DONE} if state.play.purpose == "restart" else {At.REVERTED}
        assert {state.hosts[h].phase for h in touched} <= back, "4 says that every touched host is back"


def _moved(state: State) -> bool:
    """Whether a host is known to be on what somebody else put there: that one is not back as it was."""
    return any(now.found is not None for now in state.hosts.values())


def _coded_together(rollout: Rollout, oracle: Oracle) -> None:
    """The same for several plays: 4 only when every touched host of every play is back, 3 when one stays."""
    end, plays = rollout.end, rollout.plays
    assert end is not None
    assert len(end.plays) == len(plays)
    phases = {(play.index, h): s.phase for play in plays for h, s in play.hosts.items()}
    touched = {(play.index, h) for play in plays for h, s in play.hosts.items() if s.begun > play.program(h).staging}
    signal = {play.halt.signal for play in plays if play.halt} - {""}
    person = any(play.halt and play.halt.cause is Cause.PERSON for play in plays)
    if oracle.fenced:
        assert end.exit_code == 7
    elif At.STRANDED in phases.values():
        assert (end.end, end.exit_code) == ("stranded", 5)
    elif signal:
        assert end.exit_code == SIGNALS[signal.pop()]
    elif not any(play.halt for play in plays):
        assert (end.end, end.exit_code) == ("succeeded", 9 if any(play.failures for play in plays) else 0)
    elif not touched and not person:
        assert end.exit_code == 6, f"nothing was touched, and the code is {end.exit_code}"
    elif {phases[key] for key in touched} <= {At.REVERTED}:
        assert end.exit_code in (3, 4)
        assert (end.exit_code == 4) == (end.end == "reverted" and not any(map(_moved, plays)))
    else:
        assert (end.end, end.exit_code) == ("halted", 3)


def _taken_along(rollout: Rollout, oracle: Oracle) -> None:
    """Who is named in `also`, and who came later, does not stay when the play that failed has gone back."""
    for own in rollout.plays if not oracle.fenced else ():
        if own.halt is None or not own.halt.revert or own.halt.cause is Cause.PLAY:
            continue
        fleet = own.play.on_failure.revert == "fleet" or own.halt.cause is Cause.PERSON
        named = {p.app for p in rollout.plan.plays[: own.index]} & set(own.play.on_failure.also)
        later = {p.app for p in rollout.plan.plays[own.index + 1 :]} if fleet else set()
        stay = [s.play.app for s in rollout.plays if s.play.app in named | later and s.done]
        assert not stay, f"{own.play.app} went back, and {stay} stayed"


def _believed(oracle: Oracle, state: State, host: HostName, now: HostState) -> None:
    """I23: done is done, reverted is reverted, in the true world."""
    world, plan = oracle.world, state.program(host)
    simulated = world.fleet.hosts[host]
    if now.phase not in (At.DONE, At.REVERTED) or now.begun <= plan.staging:
        return
    if now.found is not None or host in oracle.drifted:
        assert now.found == simulated.current, f"I23: {host} is on {simulated.current}, and is called {now.found}"
    elif not oracle.truth.befell(host, frozenset({"drift"})):
        wanted = state.play.release.id if now.phase is At.DONE else plan.previous
        assert simulated.current == wanted, f"I23: {host} is called {now.phase} and is on {simulated.current}"
    since = oracle.verified_at.get(host, 0.0)
    hurt = oracle.truth.befell(host, OF_THE_APP, since=since) or (now.phase is At.DONE and not world.shape.good)
    if not hurt and (plan.serving or now.phase is At.DONE):
        wanted = state.play.release.id if now.phase is At.DONE else plan.previous
        assert simulated.running == wanted, f"I23: {host} is called {now.phase} and runs {simulated.running}"
        assert simulated.healthy or not plan.checks_back, f"I23: {host} is called {now.phase} and does not answer"
    for pool, member in plan.members.items():
        if pool not in world.fleet.balancers or oracle.truth.meddled(pool):
            continue
        seen = world.fleet.balancers[pool].read().members[member]
        assert seen.admin is Rotation.READY, f"I7/I23: {host} is called {now.phase} and is in {seen.admin} of {pool}"
        if plan.serving and not hurt:
            assert seen.up, f"I23: {host} is called {now.phase} and is down in {pool}"


def _left_to_others(oracle: Oracle) -> None:
    """I7: whom somebody else has put out stays out."""
    for pool, host in oracle.others.theirs:
        seen = oracle.world.fleet.balancers[pool].read().members[Member(host)]
        assert seen.admin is Rotation.MAINT, f"I7: somebody else put {host} out of {pool}, and it is in {seen.admin}"


def _untouched(oracle: Oracle) -> None:
    """Who was not touched is as before: its link, its process, its membership. So is what was left as found."""
    truth = oracle.truth
    admins = truth.admins()
    for host, (current, running) in truth.before.items():
        state = oracle.state_of(host) if any(host in s.play.hosts for s in _plays(oracle)) else _plays(oracle)[0]
        now = state.hosts.get(host)
        touched = now is not None and now.begun > state.program(host).staging
        simulated = oracle.world.fleet.hosts[host]
        if not touched and not truth.befell(host, OF_THE_APP):
            assert (simulated.current, simulated.running) == (current, running), f"untouched {host} was changed"
        for (pool, member), admin in admins.items():
            was = truth.admin[pool, member]
            moved = touched and was is Rotation.READY and pool in state.program(host).members
            if member == host and not moved and not truth.meddled(pool):
                assert admin == was, f"I7: {host} was {was} in {pool} and is {admin}"


def _plays(oracle: Oracle) -> tuple[State, ...]:
    assert oracle.rollout is not None
    return oracle.rollout.plays


def harmless(world: World, script: Script) -> bool:
    """Whether nothing was drawn that a rollout must not get over by itself: lost messages, and few of them."""
    tells = [f for f in script.tells.values() if f != "reboot"]
    few = len(tells) == len(script.tells) and len(tells) + len(script.writes) + len(script.unreadable) <= 2
    ill = world.shape.sick or world.shape.drained or (world.shape.unchecked and script.reloads)
    alive = not script.deaths and not script.last_words
    return few and alive and not script.incidents and world.shape.good and not ill


def clean(world: World, state: Rollout) -> None:
    """Little faults are got over: nobody is stranded, and a good release arrives."""
    end = state.end
    assert end is not None
    assert end.exit_code == 0, f"only messages were lost, and it ended {end.exit_code}: {end.reason}"


def repeated(world: World) -> None:
    """I20: the same apply once more finds nothing to do."""
    world.heal()
    for again in world.plan("r2").plays:
        assert not again.batches, f"done, and there is still something to do for {again.batches}"


def excused(oracle: Oracle, rollout: Rollout) -> None:
    """Only what was injected strands a host after everything was healed."""
    for state in rollout.plays:
        for host, now in state.hosts.items():
            if now.phase is At.STRANDED:
                why = oracle.world.fleet.happened
                pools = state.program(host).members
                near: set[str] = {host, *pools, *(h for p in pools for h in oracle.world.in_pool(p))}
                assert any(h.where in near for h in why), f"{host} is stranded for no reason: {now.reason}"


def not_half_out(world: World, rollout: Rollout) -> None:
    """Where one balancer died, the others have all their hosts again; whom the dead one keeps is named."""
    shape, script = world.shape, world.fleet.script
    more = script.tells or script.writes or script.reloads or script.unreadable or script.incidents
    if more or shape.drained or shape.revert == "none":
        return
    ended_at = {h: now for state in rollout.plays for h, now in state.hosts.items()}
    ill = {h for h, now in ended_at.items() if now.phase is At.STRANDED and not shape.good}  # nobody puts these in
    for pool in world.fleet.balancers:
        if pool in world.fleet.silent:
            continue
        for member, seen in world.fleet.balancers[pool].read().members.items():
            if HostName(member) in ill:
                continue
            assert seen.admin is Rotation.READY, f"{member} is left in {seen.admin} of {pool}, which answers"
    for pool in world.fleet.silent:
        for member, seen in world.fleet.balancers[pool].read().members.items():
            now = ended_at.get(HostName(member))
            if now is None:
                continue  # outside --limit: it is as it was
            named = now.phase is At.STRANDED or "stranded" in (now.reason or "")
            assert seen.admin is Rotation.READY or named, f"{member} is left in {seen.admin} of {pool} and not named"


def kept(world: World) -> None:
    """Whoever comes next finds what was on the disk when the machine was lost, all of it, and nothing that was torn."""
    known, torn = world.journal.durable, len(world.journal.dropped)
    world.journal.opened(machine_lost=True)
    found = len(world.journal.records)
    assert found == known, f"{known} records were on the disk, and {found} are read"
    assert len(world.journal.dropped) <= torn + 1


def believed(world: World, rollout: Rollout) -> None:
    """Whoever died with an end on record had come to no other one."""
    assert rollout.end in (None, world.folded().end), f"{world.folded().end} is on record, and {rollout.end} was said"


def over(world: World) -> None:
    """I22: what has ended is not taken over a second time, and nothing is done for whoever tries."""
    before, records = snapshot(world), len(world.journal.records)
    with pytest.raises(StoreError, match="E_FINISHED"):
        world.taken_over("resume")
    assert (before, records) == (snapshot(world), len(world.journal.records))


def bounded(world: World, rollout: Rollout) -> None:
    """I13, I22: whoever took over, with all faults healed, ends within what the steps declare that it began."""
    if world.taken_at is None:
        return
    since_s, seq = world.taken_at
    steps = [r.event for r in world.journal.records[seq:] if isinstance(r.event, StepStarted)]
    took, bound = world.time.at - since_s, takeover_bound(rollout, steps)
    assert took <= bound, f"I22: whoever took over needed {took:g} s, at most {bound:g} were declared"


def unnamed(oracle: Oracle, rollout: Rollout) -> tuple[str, ...]:
    """Members that were in and are left out, of hosts that are neither stranded nor said to be."""
    ends = {h: now for state in rollout.plays for h, now in state.hosts.items()}
    named = {h for h, now in ends.items() if now.phase is At.STRANDED or "stranded" in (now.reason or "")}
    was = oracle.truth.admin
    return tuple(
        f"{member} of {pool}"
        for (pool, member), admin in oracle.truth.admins().items()
        if admin is not Rotation.READY and was[pool, member] is Rotation.READY and HostName(member) not in named
    )


def unknown(rollout: Rollout) -> tuple[str, ...]:
    """Hosts that began to leave and stand nowhere, or have a step in flight."""
    known = (At.DONE, At.REVERTED, At.STRANDED)
    return tuple(
        host
        for state in rollout.plays
        for host, now in state.hosts.items()
        if now.op or (now.begun > state.program(host).staging and now.phase not in known)
    )


def refused(world: World, before: dict[Any, Any]) -> None:
    """Whoever refuses has changed nothing."""
    assert before == snapshot(world), "refused, and something was changed"


def snapshot(world: World) -> dict[Any, Any]:
    """All of the true world."""
    hosts = {h: replace(s, clock=float) for h, s in world.fleet.hosts.items()}
    pools = {p: {m: (s.admin, s.up) for m, s in b.read().members.items()} for p, b in world.fleet.balancers.items()}
    return {"hosts": hosts, "pools": pools}


def in_order(world: World) -> None:
    """The journal alone tells of no step out of turn (oracle C): what ``audit verify`` checks for anybody."""
    wrong = violations(r.event for r in world.journal.records)
    assert not wrong, wrong
