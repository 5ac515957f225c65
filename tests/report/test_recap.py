"""Three lines for somebody who was woken up: what happened, why, what is so now, what to type."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.model.event import BatchClosed, BatchStarted, HostSickened
from rollout.model.host import Hop, HostName
from rollout.model.plan import Adopt, Discard, Step
from rollout.model.pool import LEFT_IN, PoolName
from rollout.model.verdict import FOUND, Cause, Outcome, Verdict
from rollout.report.recap import recap_text, telling_line
from rollout.report.recaps import recap
from rollout.report.show import story
from tests.report import journals
from tests.report.journals import Script, hosts_of
from tests.store.stories import started

REVERTED = """\
REVERTED: shop 2.0.0 to default, after 22s (rollout r1, exit 4: every touched host is back as it was)
  why      web2 failed at the health check (cause: the release): http :8080/healthz answered 500, 12 times in 20s
           web2 said: 03:12:09 shop[811]: sqlite3.OperationalError: no such table: orders
  now      2 hosts back on 1.0.0, in rotation: web1, web2
           4 hosts not touched: web3, web4, web5, web6
           2.0.0 is marked bad: apply refuses it without --allow-bad
  next     rollout show r1 has the evidence; fix the release, give it a new id, and apply that
  figures  6 hosts, 3 batches; out of rotation: median 7.0s, longest 8.0s
"""

GOOD = """\
DONE: shop 2.0.0 to default, after 36s (rollout r1, exit 0)
  now      6 hosts on 2.0.0, in rotation: web1, web2, web3, web4, web5, web6
  next     nothing
  figures  6 hosts, 3 batches; out of rotation: median 4.0s, longest 4.0s
"""

STRANDED = """\
STRANDED: shop 2.0.0 to default, after 19s (rollout r1, exit 5: a person is needed)
  why      web2 failed at the health check (cause: the release): http :8080/healthz answered 500, 12 times in 20s
           web2 said: 03:12:09 shop[811]: sqlite3.OperationalError: no such table: orders
  now      1 host back on 1.0.0, in rotation: web1
           4 hosts not touched: web3, web4, web5, web6
           STRANDED web2 (out of rotation, last known on 2.0.0, stuck at the switch of its way back): no route to \
host since 03:12:31
           OUT OF ROTATION: web2
           2.0.0 is marked bad: apply refuses it without --allow-bad
  next     look at web2 by hand; the evidence: rollout show r1
           when it is mended, apply again: hosts that are right already are left alone
  figures  6 hosts, 3 batches; out of rotation: median 8.0s, longest 8.0s
"""

ORPHANED = """\
UNFINISHED: shop 2.0.0 to default, rolling for 3.0s (rollout r1)
  now      1 host half-way: web1
           2 hosts not touched: web2, web3
           PERHAPS OUT OF ROTATION: web1
  next     rollout status r1, and when its process is gone: rollout resume, heal or revert r1
  figures  3 hosts, 2 batches
"""

INTERRUPTED = """\
HALTED: shop 2.0.0 to default, after 7.0s (rollout r1, exit 130: stopped by Ctrl-C; what was in flight is healed)
  why      stopped by Ctrl-C (SIGINT)
  now      1 host on 2.0.0, in rotation: web1
           2 hosts not touched: web2, web3
  next     rollout show r1 has the evidence; mend the cause and apply again: what is right already is left alone
  figures  3 hosts, 2 batches; out of rotation: median 4.0s, longest 4.0s
"""


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (journals.good(), GOOD),
        (journals.reverted(), REVERTED),
        (journals.stranded(), STRANDED),
        (journals.orphaned(), ORPHANED),
        (journals.interrupted(), INTERRUPTED),
    ],
    ids=["good", "reverted", "stranded", "orphaned", "interrupted"],
)
def test_the_recap(records: list[journals.Record], said: str) -> None:
    *lines, last = recap_text(recap(records))
    assert "\n".join(lines) + "\n" == said
    assert last == f"  journal  {len(records)} records, head {records[-1].hash}"


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ((), ""),
        (("", "  "), ""),
        (("starting", "ready"), "ready"),
        (("KeyError: 'port'", "listening: 22"), "KeyError: 'port'"),
        (("\x1b[31mpanic: boom\x1b[0m",), r"\x1b[31mpanic: boom\x1b[0m"),
    ],
)
def test_the_line_that_says_most(tail: tuple[str, ...], said: str) -> None:
    assert telling_line(tail) == said


def test_a_failure_before_anything_was_touched_says_so() -> None:
    script = Script()
    of = script.begin(hosts=2)
    full = Outcome(verdict=Verdict.FAILED, cause=Cause.HOST, summary="no room on /srv")
    script.step(HostName("web1"), 0, of.plays[0].hosts[HostName("web1")].steps[0].do, outcome=full)
    script.finish("halted", "1 failed, 0 allowed", 6)
    text = "\n".join(recap_text(recap(script.records)))
    assert "web1 failed at staging (cause: the host): no room on /srv" in text
    assert "2 hosts not touched: web1, web2" in text
    assert "no host left rotation" in text


def test_a_host_whose_switch_was_refused_untouched_is_back_and_not_half_way() -> None:
    script = Script()
    of = script.begin(hosts=2, batches=(1, 1))
    script.stage(of)
    script.add(BatchStarted(batch=0))
    moved = Outcome(verdict=Verdict.FAILED, cause=Cause.HOST, summary="E_DRIFT: somebody moved it", untouched=True)
    script.forward(of, HostName("web1"), upto=2, outcome=moved)
    script.back(of, HostName("web1"), begun=2)
    script.finish("halted", "1 failed, 0 allowed", 3)
    text = "\n".join(recap_text(recap(script.records)))
    assert "1 host back on 1.0.0, in rotation: web1" in text
    assert "half-way" not in text


def adopting(*out: str, exit_code: int = 0, fleet: tuple[str, ...] = (), apps: tuple[str, ...] = ("shop",)) -> str:
    """Return the recap of an adoption of three hosts of each app, where these were out of rotation."""
    script = Script()
    begun = started(hosts=3)
    (play,) = begun.plan.plays
    take = (Step(do=Adopt(release=play.release.id, manifest="a" * 64), undo=(Discard(),)),)
    plays = []
    for app in apps:
        hosts = {HostName(f"{app}{n}"): replace(p, host=HostName(f"{app}{n}"), steps=take, staging=0, members={},
                 found_out=(PoolName(app),) if f"{app}{n}" in out else ())
                 for n, p in enumerate(play.hosts.values(), 1)}  # fmt: skip
        plays.append(replace(play, app=app, purpose="adopt", hosts=hosts, batches=()))
    by = replace(begun.provenance, playbook="my books/shop.yml", fleet=fleet)
    script.add(replace(begun, plan=replace(begun.plan, plays=tuple(plays)), provenance=by))
    script.finish("succeeded", "every batch is settled", exit_code)
    return "\n".join(recap_text(recap(script.records)))


def test_who_was_out_when_it_was_adopted_is_named_with_how_it_comes_back() -> None:
    text = adopting("shop2", fleet=("-i", "a b.ini", "--state", "new.db"))
    assert "out of rotation as found, by whom is not on record: shop2\n" in text
    command = "rollout register shop2 -p 'my books/shop.yml' -i 'a b.ini' --state new.db"
    assert f"who is out stays out, unless put back with: {command}\n" in text
    assert "apply as usual: a release that fails comes back to 2.0.0\n" in text
    assert "out of rotation as found" not in adopting()
    off_target = adopting("shop2", exit_code=9)
    assert "unless put back with: rollout register shop2" in off_target
    assert "mend what is off target and type the same again" in off_target
    several = adopting("blog3", apps=("shop", "blog"))
    assert "blog: out of rotation as found, by whom is not on record: blog3\n" in several
    assert "unless put back with: rollout register blog3" in several


def test_who_somebody_else_has_put_out_is_not_said_to_be_in_rotation() -> None:
    script = Script()
    of = script.begin(hosts=3, batches=(1, 2))
    script.stage(of)
    left = Outcome(summary="somebody else has put it out", data={f"{LEFT_IN}shop": "maint"})
    for host in map(HostName, ("web1", "web2", "web3")):
        script.forward(of, host, upto=4, outcome=left if host == "web2" else None)
    script.finish("succeeded", "every host is on 2.0.0", 0)
    text = "\n".join(recap_text(recap(script.records)))
    assert "2 hosts on 2.0.0, in rotation: web1, web3" in text
    assert "1 host on 2.0.0, left out of rotation, as it was found: web2" in text


@pytest.mark.fault("F25")
@pytest.mark.parametrize(("found", "said"), [("byhand", "on byhand"), ("", "on no release of this app")])
def test_a_host_is_said_to_be_on_what_its_link_names(found: str, said: str) -> None:
    """Somebody else moved it, so that it was left alone: what was before is not what is."""
    script = Script()
    of = script.begin(hosts=2, batches=(1, 1))
    script.stage(of)
    script.add(BatchStarted(batch=0))
    moved = Outcome(verdict=Verdict.FAILED, cause=Cause.HOST, summary="E_DRIFT", untouched=True, data={FOUND: found})
    script.forward(of, HostName("web1"), upto=2, outcome=moved)
    script.back(of, HostName("web1"), begun=2)
    script.finish("halted", "1 failed, 0 allowed", 3)
    text = "\n".join(recap_text(recap(script.records)))
    assert f"1 host {said}, which somebody else put there, in rotation: web1" in text
    assert "back on" not in text


def test_who_was_fenced_is_not_told_to_apply_again() -> None:
    script = Script()
    of = script.begin(hosts=1)
    other = Outcome(verdict=Verdict.FAILED, cause=Cause.CONTROLLER, summary="E_FENCED: rollout r9", untouched=True)
    script.step(HostName("web1"), 0, of.plays[0].hosts[HostName("web1")].steps[0].do, outcome=other)
    script.finish("halted", "a host has seen another rollout", 7)
    text = "\n".join(recap_text(recap(script.records)))
    assert "exit 7: another rollout of this app was met" in text
    assert "another process has taken over" in text
    assert "apply again" not in text


def test_the_story_holds_who_why_when_and_the_evidence() -> None:
    lines = story(journals.reverted())
    text = "\n".join(lines)
    for part in (
        "Begun      2026-11-23 03:12:00Z by alice on bastion",
        "Message    summer sale",
        "artifact " + "c" * 64,
    ):
        assert part in text
    assert sum(" web2 " in line and "FAILED" in line for line in lines) == 1
    at = lines.index(next(line for line in lines if line.startswith("Evidence of web2")))
    assert [line[4:] for line in lines[at + 1 :]] == list(journals.SICK.tail)
    assert "Evidence" not in "\n".join(story(journals.reverted(), evidence=False))


def test_of_long_evidence_the_end_is_shown() -> None:
    script = Script()
    of = script.begin(hosts=1)
    script.stage(of)
    long = Outcome(verdict=Verdict.FAILED, cause=Cause.RELEASE, tail=tuple(f"line {n}" for n in range(1_000)))
    script.forward(of, HostName("web1"), upto=3, outcome=long)
    lines = story(script.records)
    assert lines[-1] == "  | line 999"
    assert "  (600 lines before these are left out)" in lines


def gone_together(*ways: tuple[str, ...]) -> str:
    """Return the recap of three hosts that are lost, each behind these jump hosts."""
    script = Script()
    of = script.begin(hosts=3, batches=(3,))
    (play,) = of.plays
    hops = [tuple(Hop(name=name, address="192.0.2.1") for name in way) for way in ways]
    behind = {
        host: replace(plan, connection=replace(plan.connection, jump=way))
        for (host, plan), way in zip(play.hosts.items(), hops, strict=True)
    }
    first = script.records[0]
    told = replace(of, plays=(replace(play, hosts=behind),))
    script.records[0] = replace(first, event=replace(first.event, plan=told))  # type: ignore[call-arg]
    script.stage(of)
    script.add(BatchStarted(batch=0))
    for host in hosts_of(of):
        script.forward(of, host, upto=2, outcome=journals.LOST)
    script.finish("halted", "3 failed, 0 allowed", 3)
    return "\n".join(recap_text(recap(script.records)))


@pytest.mark.fault("F41")
def test_a_jump_host_that_all_who_vanished_are_behind_is_named() -> None:
    said = "3 hosts could not be reached any more (web1, web2, web3), all through the jump host"
    assert f"{said} bastion: look first at that one" in gone_together(*[("bastion",)] * 3)
    assert f"{said} inner: look first" in gone_together(*[("outer", "inner")] * 3)
    assert f"{said} outer: look first" in gone_together(("outer", "inner"), ("outer",), ("outer", "inner"))
    assert "look first at what they have in common" in gone_together(("one",), ("two",), ("one",))
    assert "look first at what they have in common" in gone_together(("one",), (), ("one",))


@pytest.mark.fault("F41")
def test_hosts_that_vanish_together_are_told_as_one_cause_and_done_ones_are_not_called_failed() -> None:
    script = Script()
    of = script.begin(hosts=3, batches=(1, 2))
    script.stage(of)
    script.add(BatchStarted(batch=0))
    script.forward(of, HostName("web1"))
    script.add(BatchClosed(batch=0), BatchStarted(batch=1))
    script.add(HostSickened(host=HostName("web1"), outcome=journals.LOST))
    for host in ("web2", "web3"):
        script.forward(of, HostName(host), upto=2, outcome=journals.LOST)
        script.back(of, HostName(host), begun=3)
    script.finish("halted", "1 failed, 0 allowed", 3)
    text = "\n".join(recap_text(recap(script.records)))
    assert "3 hosts could not be reached any more (web1, web2, web3): look first at what they have in common" in text
    assert "1 host on 2.0.0, in rotation when last seen, and then out of reach: web1" in text
    assert "2 hosts back on 1.0.0, in rotation: web2, web3" in text
