"""What every plan keeps, whatever the fleet (promises.md, pure planner properties); and what some must say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.app.preflight import digest
from rollout.engine import batching
from rollout.engine.planner import plan, previous_of
from rollout.engine.question import Question
from rollout.errors import Refused
from rollout.model.check import HttpCheck, Probed
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.plan import Deregister, Discard, HostPlan, Keep, PlayPlan, Register, Stage, Switch, Verify, Withdraw
from rollout.model.pool import Rotation
from rollout.model.share import Share
from tests.engine.questions import KEPT, MANIFESTS, NEW, OLD, POOL, bare, member, names, on, question

KINDS = ("old", "old", "old", "new", "sick", "drained", "bare")
SHARES = st.one_of(
    st.integers(1, 7).map(lambda n: Share(count=n)), st.integers(10_000, 1_000_000).map(lambda n: Share(ppm=n))
)


def host(kind: str, name: HostName) -> Observation:
    match kind:
        case "old":
            return on(OLD, name)
        case "new":
            return on(NEW, name)
        case "sick":
            return on(OLD, name, running="", members={POOL: member(up=False)}, checks=(Probed(ok=False),))
        case "drained":
            return on(OLD, name, members={POOL: member(Rotation.MAINT, up=False)})
        case _:
            return bare(name)


@st.composite
def fleets(draw: Any) -> dict[HostName, Observation]:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=24))
    return {name: host(kind, name) for name, kind in zip(names(len(kinds)), kinds, strict=True)}


def planned(seen: dict[HostName, Observation] | int, **more: Any) -> PlayPlan:
    return plan(question(seen, **more)).plays[0]


def kinds(host: HostPlan) -> list[str]:
    return [step.do.kind for step in host.steps]


def refusals_of(asked: Question) -> set[str]:
    """The codes of a refusal; none when it is planned."""
    try:
        plan(asked)
    except Refused as refused:
        return {r.code for r in refused.reasons}
    return set()


@settings(max_examples=150, deadline=None, database=None)
@given(seen=fleets(), serial=st.lists(SHARES, min_size=1, max_size=3), written=st.none() | SHARES)
def test_what_every_plan_keeps(seen: dict[HostName, Observation], serial: list[Share], written: Share | None) -> None:
    asked = question(seen, of={"serial": tuple(serial), "min_in_service": written})
    reasons = refusals_of(asked)
    assert reasons <= {"E_FLOOR"}
    if reasons:
        return
    made = plan(asked).plays[0]
    moving = {h for h, p in made.hosts.items() if p.steps}
    batched = [h for batch in made.batches for h in batch.hosts]
    assert sorted(batched) == sorted(moving), "each host that has something to do stands in one batch"
    assert len(set(batched)) == len(batched)
    sizes = batching.sizes(serial, len(seen))
    assert all(len(b.hosts) <= most for b, most in zip(made.batches, sizes, strict=False)), "no batch above its share"
    assert made == plan(asked).plays[0], "the same question, the same plan"
    _canary(made, seen)
    _waves(made)
    for name, program in made.hosts.items():
        _way_back(program, seen[name])


def _canary(made: PlayPlan, seen: dict[HostName, Observation]) -> None:
    """The first batch is of hosts that serve, as long as more than the floor do."""
    (pool,) = made.pools
    serving = [h for h, p in made.hosts.items() if p.steps and p.serving and p.members]
    if made.batches and serving and pool.serving > pool.floor:
        first = made.batches[0].hosts
        assert all(h in serving for h in first[: len(serving)])


def _waves(made: PlayPlan) -> None:
    """No wave takes out more than the floor leaves room for."""
    (pool,) = made.pools
    room = max(1, pool.serving - pool.floor)
    for batch in made.batches:
        assert all(sum(made.hosts[h].serving for h in wave) <= room for wave in batch.waves)
    assert made.width == room


def _way_back(program: HostPlan, seen: Observation) -> None:
    """Each step carries its undo; only who serves nobody is withdrawn."""
    if not program.steps:
        return
    said = kinds(program)
    assert program.staging == 1
    assert said[0] == "stage"
    assert said[-1] == "keep"
    assert ("deregister" in said) == ("register" in said) == bool(program.members)
    assert said.index("switch") + 1 == said.index("verify")
    switch = next(s for s in program.steps if isinstance(s.do, Switch))
    assert isinstance(switch.do, Switch)
    assert switch.do.expect == seen.current
    if program.previous:
        back, proof = switch.undo
        assert isinstance(back, Switch)
        assert (back.release, back.manifest, back.expect) == (program.previous, MANIFESTS[program.previous], NEW)
        assert isinstance(proof, Verify)
        assert proof.way_back
    else:
        assert [type(a) for a in switch.undo] == [Withdraw]
        assert not program.serving


def test_the_program_of_a_host_and_its_way_back() -> None:
    program = planned(3).hosts[names(3)[0]]
    assert [type(s.do) for s in program.steps] == [Stage, Deregister, Switch, Verify, Register, Keep]
    assert [[a.kind for a in s.undo] for s in program.steps] == [
        ["discard"],
        ["register"],
        ["switch", "verify"],
        [],
        ["deregister"],
        [],
    ]


def test_a_host_on_target_has_nothing_to_do() -> None:
    a, b, c = names(3)
    made = planned({a: on(NEW, a), b: on(OLD, b), c: on(OLD, c)})
    assert made.hosts[a].steps == ()
    assert made.hosts[a].note == "already on the release"
    assert [b.hosts for b in made.batches] == [(names(3)[1],), (names(3)[2],)]


def test_on_target_means_running_kept_healthy_and_in_rotation() -> None:
    a, b, c = names(3)
    for less in (
        {"running": OLD},
        {"ledger": {NEW: frozenset({"installed"})}},
        {"releases": {}},
        {"checks": (Probed(ok=False),)},
        {"members": {POOL: member(up=False)}},
    ):
        seen = {a: on(OLD, a), b: on(OLD, b), c: on(NEW, c, **less)}  # type: ignore[arg-type]
        made = question(seen)
        if not refusals_of(made):
            assert plan(made).plays[0].hosts[c].steps, less
        else:
            assert refusals_of(made) == {"E_NO_WAY_BACK"}, "it serves, and nothing good was recorded"


def test_what_an_operator_drained_is_updated_and_left_out() -> None:
    a, b = names(2)
    made = planned({a: on(OLD, a), b: host("drained", b)})
    assert kinds(made.hosts[b]) == ["stage", "switch", "verify", "keep"]
    assert made.hosts[b].note == f"left as found in {POOL}"
    assert made.pools[0].others == {b: b}


def test_what_an_earlier_rollout_left_out_is_put_back() -> None:
    a, b = names(2)
    left = on(OLD, b, members={POOL: member(Rotation.MAINT, up=False)})
    program = planned({a: on(OLD, a), b: left}, left_out=frozenset({b})).hosts[b]
    assert kinds(program) == ["stage", "deregister", "switch", "verify", "register", "keep"]
    mended = on(NEW, b, members={POOL: member(Rotation.MAINT, up=False)})
    assert "register" in kinds(planned({a: on(OLD, a), b: mended}, left_out=frozenset({b})).hosts[b])
    assert not planned({a: on(OLD, a), b: mended}).hosts[b].steps, "an operator's own stays where it is"
    by_hand = planned({a: on(OLD, a), b: mended}, left_out=frozenset({b}), drained={b: "drained by alice"}).hosts[b]
    assert not by_hand.steps, "what was drained since is a person's"


def test_outside_the_limit_nothing_is_done() -> None:
    hosts = names(3)
    seen = {h: on(OLD, h) for h in hosts[:2]}
    made = planned(seen, of={"matched": hosts}, in_service={POOL: frozenset(hosts)})
    assert made.pools[0].size == 3, "the floor counts those outside --limit"
    assert [h for b in made.batches for h in b.hosts] == list(hosts[:2])
    assert made.pools[0].others == {hosts[2]: hosts[2]}


def test_the_first_deploy_is_withdrawn() -> None:
    made = planned({h: bare(h) for h in names(3)})
    for program in made.hosts.values():
        switch = next(s for s in program.steps if isinstance(s.do, Switch))
        assert [type(a) for a in switch.undo] == [Withdraw]
        assert isinstance(switch.do, Switch)
        assert switch.do.expect == ""
        assert not program.serving


def test_the_way_back_is_what_the_store_recorded_and_a_rollout_kept() -> None:
    releases = {"v0": "0" * 64, OLD: MANIFESTS[OLD]}
    seen = on(OLD, "h", releases=releases, ledger={"v0": KEPT, OLD: frozenset({"installed", "activated"})})
    recorded = {**MANIFESTS, "v0": "0" * 64}
    assert previous_of(recorded, seen, NEW) == "v0", "never the second newest: the last that was kept"
    assert previous_of(MANIFESTS, seen, NEW) == "", "what the store does not know is no way back"
    assert previous_of(recorded, replace(seen, ledger={"v0": KEPT | {"bad"}}), NEW) == "", "nor is a condemned one"
    assert previous_of({**recorded, "v0": "f" * 64}, seen, NEW) == "", "nor one with other content"
    assert previous_of(recorded, replace(seen, releases={}), NEW) == "", "nor one that is not there"
    assert previous_of(recorded, replace(seen, ledger={"v0": frozenset({"adopted"})}), NEW) == "v0"
    assert previous_of(recorded, replace(seen, ledger={OLD: KEPT, "v0": KEPT}), NEW) == OLD, "what runs now, if good"
    assert previous_of(recorded, replace(seen, current=NEW, ledger={OLD: KEPT, "v0": KEPT, NEW: KEPT}), NEW) == "v0"


def test_what_a_halted_rollout_proved_is_a_way_back_where_there_is_no_better_one() -> None:
    verified = {OLD: frozenset({"installed", "activated", "verified"})}
    seen = on(OLD, "h", ledger=verified)
    assert previous_of(MANIFESTS, seen, NEW) == OLD, "a first deploy that was stopped half-way can be gone on with"
    assert previous_of(MANIFESTS, seen, OLD) == OLD, "and be finished"
    assert previous_of(MANIFESTS, on(OLD, "h", ledger={OLD: KEPT}), OLD) == OLD, "what runs can be started anew"
    back = on(NEW, "h", releases=MANIFESTS, ledger={OLD: KEPT, NEW: frozenset({"verified"})})
    assert previous_of(MANIFESTS, back, OLD) == NEW, "nor is the way to the last good release barred"
    assert previous_of(MANIFESTS, back, "third") == OLD, "but a release whose rollout succeeded comes first"
    bad = {OLD: frozenset({"verified", "bad"})}
    for no in (on(OLD, "h", ledger=bad), on(OLD, "h", ledger={OLD: frozenset({"activated"})}), bare("h")):
        assert previous_of(MANIFESTS, no, NEW) == ""
    assert previous_of({}, seen, NEW) == "", "what the store does not know is no way back"


PROVEN = frozenset({"installed", "activated", "verified"})
DOUBTED = [  # what a host is on, how it notes the new release, and whether that is trusted as before
    (NEW, KEPT, True),
    (NEW, PROVEN, True),
    (NEW, frozenset({"adopted"}), True),
    (NEW, frozenset({"installed", "activated"}), False),
    (NEW, KEPT | {"bad"}, False),
    (NEW, frozenset(), False),
    (OLD, KEPT, True),
    (OLD, PROVEN, False),
]


@pytest.mark.parametrize(("current", "marks", "trusted"), DOUBTED)
def test_what_is_given_once_more_stays_trusted_as_it_was(current: str, marks: frozenset[str], trusted: bool) -> None:
    """Else a host that has no other release would have no way back after a halt."""
    name = names(1)[0]
    seen = on(current, name, releases=MANIFESTS, ledger={OLD: KEPT, NEW: marks}, checks=(Probed(ok=False),))
    program = planned({name: seen, **{h: on(OLD, h) for h in names(4)[1:]}}, allow_bad=True).hosts[name]
    assert program.steps[0].undo == (Discard(trusted=trusted),)


def test_the_way_back_demands_only_what_passes_now() -> None:
    a, b, c = names(3)
    seen = {a: on(OLD, a), b: on(OLD, b), c: host("sick", c)}
    made = planned(seen)
    assert made.hosts[a].checks_back == (HttpCheck(port=80),)
    assert made.hosts[c].checks_back == ()
    assert made.hosts[c].checks == (HttpCheck(port=80),)
    assert not planned({**seen, a: on(OLD, a, identity_proof=False)}).hosts[a].identity_back


def test_a_starved_fleet_begins_with_those_that_are_out() -> None:
    a, b, c, d = names(4)
    made = planned({a: on(OLD, a), b: host("sick", b), c: host("sick", c), d: on(OLD, d)})
    assert made.pools[0].floor == 3
    assert made.batches[0].hosts == (b,)
    assert made.width == 1


def test_skipped_hosts_count_as_failures() -> None:
    a, b, c = names(3)
    seen = {a: Observation(host=a, reachable=False), b: on(OLD, b), c: on(OLD, c)}
    made = planned(seen, of={"unreachable": "skip", "max_failures": Share(count=1)})
    assert made.off_target == (a,)
    assert made.failures_at_start == 1
    assert a not in made.hosts


def test_the_digest_is_of_what_was_decided() -> None:
    made = plan(question(3))
    assert digest(made) == digest(plan(question(3)))
    assert digest(made) == digest(replace(made, id="another", epoch=9, digest="x"))
    assert digest(made) != digest(plan(question(4)))
    assert digest(made) != digest(plan(question(3, of={"min_in_service": Share(count=1)})))
    other = {h: on(OLD, h) for h in names(3)}
    other[names(3)[0]] = on(NEW, names(3)[0])
    assert digest(made) != digest(plan(question(other)))
