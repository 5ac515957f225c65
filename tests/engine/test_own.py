"""Releases that are not the same on every host: each host is staged, switched and brought back by its own manifest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.engine.planner import plan
from rollout.engine.question import Question
from rollout.errors import Refused
from rollout.model.host import HostName
from rollout.model.plan import HostPlan, Restart, Stage, Switch
from rollout.model.release import Own
from tests.engine.questions import KEPT, MANIFESTS, NEW, OLD, names, on, question

HOSTS = names(4)
OWN = {h: Own(manifest=f"{n + 3}" * 64, manifest_size=9) for n, h in enumerate(HOSTS)}
BEFORE = {h: f"{n}" * 63 + "f" for n, h in enumerate(HOSTS)}
SEEN = {h: on(OLD, h, releases={OLD: BEFORE[h]}) for h in HOSTS}


def asked(**more: object) -> Question:
    """All hosts serve the old release, each with a manifest of its own; the new one has one on each as well."""
    recorded_on = {h: {OLD: BEFORE[h]} for h in HOSTS}
    return replace(question(SEEN), **{"own": OWN, "recorded_on": recorded_on, **more})  # type: ignore[arg-type]


def planned(made: Question) -> dict[HostName, HostPlan]:
    return dict(plan(made).plays[0].hosts)


def switches(host: HostPlan) -> list[tuple[str, str]]:
    every = (a for step in host.steps for a in (step.do, *step.undo))
    return [(a.release, a.manifest) for a in every if isinstance(a, Switch | Restart)]


def test_each_host_goes_by_its_own_there_and_back() -> None:
    for host, made in planned(asked()).items():
        assert made.own == OWN[host]
        assert switches(made) == [(NEW, OWN[host].manifest), (OLD, BEFORE[host])]


def test_nobody_goes_back_to_what_is_on_record_for_another_host() -> None:
    swapped = {h: {OLD: BEFORE[HOSTS[n - 1]]} for n, h in enumerate(HOSTS)}
    with pytest.raises(Refused, match="E_NO_WAY_BACK"):
        plan(asked(recorded_on=swapped))


def test_nobody_goes_back_to_what_was_never_brought_there() -> None:
    with pytest.raises(Refused, match=f"E_NO_WAY_BACK.*{HOSTS[2]}"):
        plan(asked(recorded_on={**{h: {OLD: BEFORE[h]} for h in HOSTS}, HOSTS[2]: {}}))


def test_what_is_there_as_it_must_be_there_is_not_sent_again() -> None:
    first, second = HOSTS[:2]
    seen = {
        **SEEN,
        first: replace(SEEN[first], releases={OLD: BEFORE[first], NEW: OWN[first].manifest}),
        second: on(NEW, second, releases={NEW: OWN[second].manifest}, ledger={NEW: KEPT}),
    }
    hosts = planned(replace(asked(), seen=seen))
    assert hosts[first].steps[0].do == Stage(present=True)
    assert hosts[second].steps == ()
    assert hosts[second].own is None, "what is not brought is not recorded"


@pytest.mark.parametrize("manifest", [MANIFESTS[NEW], OWN[HOSTS[1]].manifest], ids=["artifact", "another host"])
def test_the_same_id_with_another_manifest_is_refused(manifest: str) -> None:
    """The manifest of the artifact alone is no better than any other."""
    first = HOSTS[0]
    seen = {**SEEN, first: replace(SEEN[first], releases={OLD: BEFORE[first], NEW: manifest})}
    with pytest.raises(Refused, match=f"E_RELEASE_CONFLICT.*{first}"):
        plan(replace(asked(), seen=seen))


def test_an_id_that_is_on_record_with_another_configuration_is_refused() -> None:
    """As with the number in a plan file that another rollout has taken meanwhile."""
    first = HOSTS[0]
    recorded_on = {h: {OLD: BEFORE[h], **({NEW: "e" * 64} if h == first else {})} for h in HOSTS}
    with pytest.raises(Refused, match=f"E_RELEASE_CONFLICT: .*another configuration for: {first}"):
        plan(asked(recorded_on=recorded_on))


def test_a_restart_starts_what_is_on_record_for_the_host() -> None:
    for host, made in planned(asked(purpose="restart")).items():
        assert {manifest for _, manifest in switches(made)} == {BEFORE[host]}
