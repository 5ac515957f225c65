"""Where a rollback leads: by what the newest rollouts did to the hosts, and not by how they ended alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rollout.app import remembered
from rollout.app.operate import earlier
from rollout.cli import main
from rollout.errors import Refused, StoreError
from rollout.model.event import Event, Recovered, RolloutFinished, RolloutStarted, StepFinished, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Batch, PlayPlan, Purpose
from rollout.model.release import ReleaseId
from rollout.model.verdict import Outcome
from rollout.store.rows import StoredRollout
from rollout.store.standing import standing
from rollout.store.store import Store, open_store
from tests.store.stories import program, started

WEB1, WEB2 = FLEET = (HostName("web1"), HostName("web2"))
ENDS = {0: "succeeded", 9: "succeeded", 3: "halted", 4: "reverted", 5: "stranded", 6: "halted", 130: "halted"}


@dataclass(frozen=True, slots=True)
class Did:
    """One rollout. ``of``: what --limit left; ``moved``: who is on the release in the end, None for all of these."""

    release: str
    of: Sequence[HostName] = FLEET
    code: int = 0
    moved: Sequence[HostName] | None = None
    purpose: Purpose = "apply"
    stuck: Sequence[HostName] = ()
    again: bool = False  # also hosts that are on the release have something to do


@dataclass(slots=True)
class History:
    """What is written down of the apps, each rollout by what the one before it left on the hosts."""

    store: Store
    on: dict[str, dict[HostName, str]] = field(default_factory=dict)
    number: int = 0
    op: int = 0

    def adds(self, **plays: Did) -> None:
        self.number += 1
        name = f"r{self.number}"
        self.store.take("default", plays, name, "alice")
        begun = started(id=name, hosts=2)
        made = tuple(self.play(begun.plan.plays[0], app, did) for app, did in plays.items())
        events: list[Event] = [RolloutStarted(plan=replace(begun.plan, plays=made), provenance=begun.provenance)]
        for index, (app, did) in enumerate(plays.items()):
            events += self.moves(index, app, did)
        code = max(did.code for did in plays.values())
        self.store.journal(name).append([*events, RolloutFinished(end=ENDS[code], reason="", exit_code=code)])  # type: ignore[arg-type]

    def play(self, like: PlayPlan, app: str, did: Did) -> PlayPlan:
        on: Mapping[HostName, str] = self.on.setdefault(app, {})
        hosts = {h: replace(like.hosts[h], previous=ReleaseId(on.get(h, "")), steps=()) for h in did.of}
        todo = tuple(h for h in did.of if did.again or on.get(h) != did.release)
        new = ReleaseId(did.release)
        hosts |= {h: replace(hosts[h], steps=program(new, hosts[h].previous)) for h in todo}
        return replace(
            like,
            app=app,
            purpose=did.purpose,
            release=replace(like.release, id=new, manifest=did.release[-1] * 64),
            hosts=hosts,
            batches=(Batch(waves=(todo,)),) if todo else (),
            limited=len(did.of) < len(FLEET),
        )

    def moves(self, play: int, app: str, did: Did) -> Iterator[Event]:
        moved = did.moved if did.moved is not None else did.of if did.code == 0 else ()
        for host in (h for h in moved if did.again or self.on[app].get(h) != did.release):
            steps = program(ReleaseId(did.release), ReleaseId(self.on[app].get(host, "")))
            for at, step in enumerate(steps[:-1]):
                self.op += 1
                yield StepStarted(play=play, host=host, op=self.op, at=at, action=step.do)
                yield StepFinished(play=play, host=host, op=self.op, outcome=Outcome())
        self.on[app] |= dict.fromkeys(moved, did.release)
        if did.stuck:
            yield Recovered(play=play, epoch=2, stranded=dict.fromkeys(did.stuck, "no route to host"))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = open_store(str(tmp_path / "state.db"))
    yield History(opened)
    opened.close()


def leads_to(history: History, app: str = "shop") -> str:
    try:
        return earlier(history.store, app, "default")
    except Refused as refused:
        return str(refused.reasons[0].code)


V1, V2, V3 = Did("v1"), Did("v2"), Did("v3")
CANARY = Did("v3", of=[WEB1])
BACK = Did("v2", of=[WEB1], purpose="rollback")
V1A, V2A, V2B = Did("v1", of=[WEB1]), Did("v2", of=[WEB1]), Did("v2", of=[WEB2])
ADOPTED_A, ADOPTED_B = (Did("v1", of=[host], purpose="adopt") for host in FLEET)
BACK_B = Did("v1", of=[WEB2], purpose="rollback")
BACK_A = replace(BACK_B, of=[WEB1])
OFF = Did("v2", code=9, moved=[WEB1])  # the other one failed, and is back
STORIES: dict[str, tuple[list[Did], str]] = {
    "the one before": ([V1, V2], "v1"),
    "nothing before": ([V1], "E_NO_EARLIER"),
    "a canary": ([V1, V2, CANARY], "v2"),
    "a canary of the fleet's own": ([V1, V2, Did("v2", of=[WEB1])], "v1"),
    "a canary that went back": ([V1, V2, CANARY, BACK], "v1"),
    "one of two canaries that went back": ([V1, V2, CANARY, Did("v3", of=[WEB2]), BACK], "v2"),
    "a canary that all followed": ([V1, V2, CANARY, V3], "v2"),
    "a canary, and a failure after it": ([V1, V2, CANARY, Did("v4", code=4)], "v2"),
    "stopped before anybody left": ([V1, V2, Did("v3", code=130)], "v1"),
    "refused by the hosts": ([V1, V2, Did("v3", code=6)], "v1"),
    "stopped half-way": ([V1, V2, Did("v3", code=130, moved=[WEB1])], "v2"),
    "stopped half-way, and one that touched nobody": (
        [V1, V2, Did("v3", code=3, moved=[WEB1]), Did("v4", code=130)],
        "v2",
    ),
    "stopped half-way, and finished": ([V1, V2, Did("v3", code=3, moved=[WEB1]), V3], "v2"),
    "all went back": ([V1, V2, Did("v3", code=4)], "v1"),
    "one is stranded where it was": ([V1, V2, Did("v3", code=5, stuck=[WEB1])], "v2"),
    "a rollback that stopped half-way": ([V1, V2, Did("v1", code=3, moved=[WEB1], purpose="rollback")], "v2"),
    "group by group": ([V1, V2A, V2B, V3], "v2"),
    "some go back first, and the others follow": ([V1, V2, BACK_A], "v1"),
    "some go back further than the others would": ([V1, V2, V3, BACK_A], "v3"),
    "some go back to what the fleet left": ([V1, V2, V3, V1, Did("v2", of=[WEB1], purpose="rollback")], "v1"),
    "one was stranded, and put in order where it was": (
        [V1, V2, Did("v3", code=5, stuck=[WEB1]), Did("v2", of=[WEB1], purpose="converge", again=True)],
        "v1",
    ),
    "back group by group": ([V1, V2, BACK_A, BACK_B, V3], "v1"),
    "one was left off target": ([V1, OFF], "v1"),
    "one was left off target, and what came then went back": ([V1, OFF, Did("v3", code=4)], "v1"),
    "one was left off target, and what came then moved nobody": ([V1, OFF, Did("v3", code=130)], "v1"),
    "two groups that were never on the same": ([V1, V2A, CANARY, V2B, Did("v4")], "v1"),
    "one of two groups twice": ([V1, V2A, V1A, V2A, V3], "v1"),
    "adopted group by group": ([ADOPTED_A, ADOPTED_B, V2], "v1"),
    "adopted group by group, and gone back": (
        [ADOPTED_A, ADOPTED_B, V2, Did("v1", purpose="rollback")],
        "E_NO_EARLIER",
    ),
    "adopted on two releases": ([ADOPTED_A, Did("v2", of=[WEB2], purpose="adopt"), V3], "E_NO_EARLIER"),
    "a first one that stopped half-way": ([Did("v1", code=3, moved=[WEB1])], "E_NO_EARLIER"),
}


@pytest.mark.parametrize(("rollouts", "expected"), STORIES.values(), ids=STORIES)
def test_a_rollback_leads_to_where_the_fleet_was(rollouts: list[Did], expected: str, history: History) -> None:
    for did in rollouts:
        history.adds(shop=did)
    assert leads_to(history) == expected


def test_plays_of_one_rollout_go_back_together(history: History) -> None:
    """Where one of them stayed on its release, the other is back already: the rollback is that of the first."""
    history.adds(api=V1, web=V1)
    history.adds(api=V2, web=V2)
    history.adds(api=Did("v3", code=3, moved=FLEET), web=Did("v3", code=3))
    assert [leads_to(history, app) for app in ("api", "web")] == ["v2", "v2"]
    history.adds(api=V2)
    assert [leads_to(history, app) for app in ("api", "web")] == ["v1", "v1"]


def test_what_another_app_does_later_holds_up_nobody(history: History) -> None:
    """They went back together, and then one of them had a canary of its own."""
    for did in (V1, V2, Did("v3", code=4)):
        history.adds(api=did, web=did)
    history.adds(web=Did("v4", of=[WEB1]))
    assert [leads_to(history, app) for app in ("api", "web")] == ["v1", "v2"]


def test_what_is_done_by_hand_moves_nothing_out_of_sight(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "LOOKED_BACK", 2)
    for did in (V1, V2, Did("v3", code=3, moved=[WEB1]), *[Did("v2", of=[WEB2], purpose="drain", moved=[])] * 4):
        history.adds(shop=did)
    assert leads_to(history) == "v2"


def test_a_journal_that_cannot_be_read_takes_nobody_further_back(
    history: History, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreadable(*_: object) -> None:
        raise StoreError("E_CHAIN: record 2 is not what was written")

    for did in (V1, V2, CANARY, Did("v4", code=4)):
        history.adds(shop=did)
    monkeypatch.setattr(remembered, "seen_all", unreadable)
    assert leads_to(history) == "v2"
    assert main(["status", "--state", history.store.place]) == 0
    assert "shop in default is on more than one release" in capsys.readouterr().out


def test_plans_are_read_only_where_they_can_tell_anything(history: History) -> None:
    """Hosts that are brought to the fleet's own release one by one, as new machines are, change nothing."""
    read = list[str]()

    def hosts_of(rollout: StoredRollout) -> frozenset[HostName]:
        read.append(rollout.id)
        return frozenset(FLEET)

    for did in (V1, *[replace(V1A, purpose="converge")] * 3, V2, V2A, V2A, V3):
        history.adds(shop=did)
    found = reversed(history.store.rollouts("default", "shop"))
    assert standing(found, "shop", hosts_of) == ("v1", "v2", "v3")
    assert read == []


SAID = {
    "some went back": ([V1, V2, BACK_A, Did("v4", code=4)], "is on more than one release, host by host"),
    "all went back": ([V1, V2, Did("v3", code=4)], "is on v2, as before."),
    "nobody left": ([V1, V2, Did("v3", code=130)], "is on v2, as before."),
    "one by one to another": (
        [V1, CANARY, Did("v3", of=[WEB2]), Did("v4", code=4)],
        "is on v3; its rollout was reverted",
    ),
    "a canary": ([V1, CANARY, Did("v4", code=4)], "is on more than one release, host by host"),
    "half-way": ([V1, Did("v2", code=3, moved=[WEB1])], "is on more than one release, host by host"),
}


@pytest.mark.parametrize(("rollouts", "said"), SAID.values(), ids=SAID)
def test_status_says_what_an_app_is_on(
    rollouts: list[Did], said: str, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    for did in rollouts:
        history.adds(shop=did)
    assert main(["status", "--state", history.store.place]) == 0
    assert f"shop in default {said}" in capsys.readouterr().out
