"""The programs of what is no deploy, and when they are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.engine.planner import plan
from rollout.errors import Refused
from rollout.model.check import Probed
from rollout.model.plan import Adopt, Discard, PlayPlan
from rollout.model.pool import Rotation
from rollout.model.release import Release, ReleaseId
from rollout.model.share import Share
from tests.engine.questions import NEW, OLD, POOL, bare, member, names, on, question

H = names(4)


def planned(purpose: Any, *hosts: int, fleet: Any = None, floor: int = 2, **more: Any) -> PlayPlan:
    seen = fleet or {h: on(OLD, h) for h in H}
    asked = question(seen, purpose=purpose, **more)
    chosen = tuple(H[n] for n in hosts) or H
    asked = replace(asked, play=replace(asked.play, hosts=chosen, min_in_service=Share(count=floor)))
    return plan(asked).plays[0]


def kinds(made: PlayPlan, host: int) -> list[tuple[str, list[str]]]:
    return [(s.do.kind, [u.kind for u in s.undo]) for s in made.hosts[H[host]].steps]


def test_a_restart_moves_no_link_and_its_way_back_is_to_start_once_more() -> None:
    made = planned("restart")
    assert kinds(made, 0) == [
        ("deregister", ["register"]),
        ("restart", ["restart", "verify"]),
        ("verify", []),
        ("register", ["deregister"]),
    ]
    assert made.on_failure.revert == "host", "who was restarted well has nothing to go back to"


def test_each_host_keeps_its_own_release_through_a_restart() -> None:
    fleet = {h: on(OLD if n else NEW, h) for n, h in enumerate(H)}
    made = planned("restart", fleet=fleet, recorded={OLD: "1" * 64, NEW: "2" * 64})
    assert [made.release_of(h) for h in H] == [NEW, OLD, OLD, OLD]


def test_a_drain_ends_out_and_takes_all_of_its_hosts_back_when_it_fails() -> None:
    made = planned("drain", 1)
    assert kinds(made, 1) == [("deregister", ["register"])]
    assert (made.on_failure.revert, made.on_failure.before_switch) == ("fleet", "revert")


def test_a_host_that_cannot_be_reached_can_be_drained() -> None:
    fleet = {h: on(OLD, h) for h in H}
    fleet[H[1]] = replace(fleet[H[1]], reachable=False, why="timed out")
    assert kinds(planned("drain", 1, fleet=fleet), 1) == [("deregister", ["register"])]


def test_a_register_proves_first_and_puts_back_what_is_out() -> None:
    fleet = {h: on(OLD, h) for h in H}
    fleet[H[2]] = on(OLD, H[2], members={POOL: member(Rotation.MAINT, up=False)})
    made = planned("register", 2, 3, fleet=fleet)
    assert kinds(made, 2) == [("verify", []), ("register", ["deregister"])]
    assert made.hosts[H[2]].staging == 1, "it is proven before anything is touched"
    assert kinds(made, 3) == [], "who is in has nothing to do"


def test_what_a_person_drained_is_named_in_the_plan() -> None:
    fleet = {h: on(OLD, h) for h in H}
    fleet[H[2]] = on(OLD, H[2], members={POOL: member(Rotation.MAINT, up=False)})
    made = planned("apply", fleet=fleet, drained={H[2]: "drained by alice on 2026-11-23: new kernel"})
    assert made.hosts[H[2]].note == "left as found in shop: drained by alice on 2026-11-23: new kernel"


def shelved(host: str, **more: Any) -> Any:
    """A host with releases that it need not keep."""
    ledger = {"v0": frozenset({"installed"}), OLD: on(OLD, host).ledger[OLD]}
    return on(OLD, host, **{"releases": {"v0": "0" * 64, OLD: "1" * 64}, "ledger": ledger, **more})


def test_a_prune_moves_nobody_and_says_what_can_go() -> None:
    fleet = {h: shelved(h) if n else on(OLD, h) for n, h in enumerate(H)}
    asked = question(fleet, purpose="prune")
    made = plan(replace(asked, play=replace(asked.play, keep=5))).plays[0]
    assert [kinds(made, n) for n in range(4)] == [[], *[[("prune", ["prune"])]] * 3]
    assert [made.hosts[h].note for h in H[:2]] == ["nothing can go", "can go: v0"]
    assert [len(batch.hosts) for batch in made.batches] == [3], "nobody waits for anybody"
    assert not any(made.hosts[h].members or made.hosts[h].serving for h in H)
    spared = plan(replace(asked, play=replace(asked.play, keep=5), spare=("v0",))).plays[0]
    assert not any(spared.hosts[h].steps for h in H), "what the store has a use for stays"
    assert not any(h.steps for h in plan(asked).plays[0].hosts.values()), "without a number nothing goes"


def test_a_deploy_carries_what_is_kept() -> None:
    asked = question({h: on(OLD, h) for h in H})
    made = plan(replace(asked, play=replace(asked.play, keep=3, keep_for_s=60.0), spare=("v0",))).plays[0]
    assert (made.keep, made.keep_for_s, made.spare) == (3, 60.0, ("v0",))


def untouched(**more: Any) -> Any:
    """A fleet that something else brought to its release."""
    return {h: on(OLD, h, **{"ledger": {}, "releases": {}, **more}) for h in H}


def adopted(fleet: Any, **more: Any) -> PlayPlan:
    release = Release(id=ReleaseId(OLD), artifact="", manifest="1" * 64)
    return planned("adopt", fleet=fleet, release=release, **{"recorded": {}, "floor": 4, **more})


def test_an_adoption_moves_nobody_whatever_the_floor() -> None:
    made = adopted(untouched(), leave_out=("config",))
    assert [kinds(made, n) for n in range(4)] == [[("adopt", ["discard"])]] * 4
    assert [len(batch.hosts) for batch in made.batches] == [4], "nobody waits for anybody"
    assert not any(made.hosts[h].members or made.hosts[h].serving for h in H)
    assert made.hosts[H[0]].steps[0].do == Adopt(release=ReleaseId(OLD), manifest="1" * 64, leave_out=("config",))


def test_who_is_out_of_rotation_when_it_is_adopted_is_named() -> None:
    out = {POOL: member(Rotation.MAINT, up=False)}
    fleet = {**untouched(), H[2]: on(OLD, H[2], ledger={}, releases={}, members=out)}
    made = adopted(fleet)
    assert [made.hosts[h].found_out for h in H] == [(), (), (POOL,), ()]
    assert [made.hosts[h].note for h in H[1:3]] == ["", "out of rotation in shop"]
    assert not made.hosts[H[2]].members, "and stays so"
    drained = adopted(fleet, drained={H[2]: "drained by alice"}).hosts[H[2]]
    assert (drained.found_out, drained.note) == ((), "drained by alice"), "that is on record"
    again = adopted(
        {**untouched(ledger={OLD: frozenset({"kept"})}), H[2]: on(OLD, H[2], members=out)}, recorded={OLD: "1" * 64}
    )
    assert again.hosts[H[2]].note == "on record already; out of rotation in shop"


@pytest.mark.parametrize("mark", ["adopted", "kept"])
def test_what_is_on_record_is_not_adopted_again(mark: str) -> None:
    marked = untouched(ledger={OLD: frozenset({mark})})
    assert kinds(adopted(marked, recorded={OLD: "1" * 64}), 0) == []
    assert kinds(adopted(marked), 0) != [], "the store must know it too"
    left_open = untouched(ledger={OLD: frozenset({mark})}, epoch_open=True)
    again = adopted(left_open, recorded={OLD: "1" * 64})
    assert kinds(again, 0) != [], "only a rollout closes what another left open"
    assert again.hosts[H[0]].steps[0].undo == (Discard(trusted=True),), "and it stays a way back, whatever comes"
    assert adopted(left_open).hosts[H[0]].steps[0].undo == (Discard(trusted=True),), "by the host's own word"
    assert adopted(untouched()).hosts[H[0]].steps[0].undo == (Discard(),)


def test_an_adopted_release_is_a_way_back_and_needs_no_converge() -> None:
    fleet = untouched(ledger={OLD: frozenset({"adopted"})}, releases={OLD: "1" * 64})
    assert {p.previous for p in planned("apply", fleet=fleet).hosts.values()} == {OLD}
    release = Release(id=ReleaseId(OLD), artifact="", manifest="1" * 64)
    assert kinds(planned("converge", fleet=fleet, release=release), 0) == []


SICK = Probed(ok=False, summary="503")
OUT = {POOL: member(Rotation.MAINT, up=False)}


@pytest.mark.parametrize(
    ("code", "purpose", "more"),
    [
        ("E_FLOOR", "drain", {"floor": 4}),
        ("E_UNKNOWN_RELEASE", "restart", {"recorded": {}}),
        ("E_NO_ARTIFACT", "rollback", {"artifact_at_hand": False}),
        ("E_UNHEALTHY", "adopt", {"fleet": {**{h: on(OLD, h) for h in H}, H[1]: on(OLD, H[1], checks=(SICK,))}}),
        ("E_STALE_PROCESS", "adopt", {"fleet": {**{h: on(OLD, h) for h in H}, H[1]: on(OLD, H[1], running=NEW)}}),
        ("E_FOREIGN_PROCESS", "adopt", {"fleet": {**{h: on(OLD, h) for h in H}, H[1]: on(OLD, H[1], running="")}}),
        ("E_BEHIND", "register", {"fleet": {**{h: on(OLD, h) for h in H}, H[1]: on(OLD, H[1], members=OUT)}}),
        ("E_BARE", "register", {"fleet": {**{h: on(OLD, h) for h in H}, H[1]: bare(H[1], members=OUT)}}),
        ("E_UNREACHABLE", "register", {"fleet": {**{h: on(OLD, h) for h in H}, H[1]: on(OLD, H[1], reachable=False)}}),
    ],
)
def test_what_is_refused(code: str, purpose: str, more: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        planned(purpose, 1, fleet_release=NEW, **more)
    assert code in {r.code for r in refused.value.reasons}
