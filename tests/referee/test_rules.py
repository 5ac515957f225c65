"""Every rule can fail: a good log holds, and each way of doctoring it breaks the rule that it should break."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.referee.check import main
from tests.referee.log import read
from tests.referee.rules import LATE_S, RULES, WATCH_S, broken, figures

HOSTS = ("h1", "h2", "h3")
OLD, NEW = "a" * 64, "b" * 64
IN, DRAIN, MAINT = [0, 2, 0, 1], [8, 2, 0, 1], [1, 0, 0, 1]
PROC = {"v1": (100, "1000"), "v2": (200, "2000")}
Line = dict[str, Any]


def plan(floor: int = 2, *, written: bool = True) -> Line:
    """A rollout of v2 to h1; the others stay as they are."""
    switch = {"kind": "switch", "release": "v2", "manifest": NEW, "expect": "v1"}
    back = {"kind": "switch", "release": "v1", "manifest": OLD, "expect": "v2"}
    hosts = {h: {"members": {"shop": h}, "steps": []} for h in HOSTS}
    hosts["h1"]["steps"] = [{"do": switch, "undo": [back]}]
    pool = {"spec": {"name": "shop"}, "floor": floor, "written": written, "others": {}}
    release = {"id": "v2", "manifest": NEW}
    return {"plays": [{"hosts": hosts, "pools": [pool], "release": release}]}


class Written:
    """A log of one host that is brought to v2, and what users got meanwhile."""

    def __init__(self) -> None:
        self.lines: list[Line] = [{"k": "begin", "t": 0.0, "wall": 0.0, "hosts": list(HOSTS), "pools": ["shop"]}]
        self.members: dict[str, list[int]] = dict.fromkeys(HOSTS, IN)
        self.last: dict[str, float] = {}
        self.seq = 0
        self.hap = 7
        self.pool(0.0)
        for host in HOSTS:
            self.host(0.0, host, "v1" if host == "h1" else "v2")
        self.record(1.0, "rollout_started", plan=plan())
        self.step(1.1, 1.4, 1, "deregister")
        self.pool(1.2, h1=DRAIN)
        self.pool(1.3, h1=MAINT)
        self.step(1.5, 1.8, 2, "switch", release="v2")
        self.host(1.6, "h1", "v2", runs="v1")
        self.host(1.7, "h1", "v2")
        self.step(1.8, 2.5, 3, "verify", release="v2")
        self.step(2.5, 3.1, 4, "register")
        self.pool(3.0, h1=IN)
        self.record(4.0, "rollout_finished", end="succeeded", exit_code=0)
        for number in range(100):
            self.ask(number, number * 0.05)
        self.lines += [
            {"k": "tick", "t": 4.9, "looked": 240, "longest": 0.03},
            {"k": "status", "t": 4.95, "hosts": {h: {"release": "v2", "out": False, "state": "done"} for h in HOSTS}},
            {"k": "end", "t": 5.0},
        ]

    def pool(self, time: float, **members: list[int]) -> None:
        self.members = self.members | members
        said = {"of": "shop", "pid": self.hap, "start": "1", "m": self.members}
        self.lines.append({"k": "pool", "t": time, "since": max(0.0, time - 0.02), **said})

    def host(self, time: float, host: str, link: str, runs: str = "", whole: str = "?") -> None:
        digest = {"v1": OLD, "v2": NEW, "": ""}[link] if whole == "?" else whole
        proc = [[*PROC[runs or link], runs or link]] if runs or link else []
        said = {"of": host, "link": link, "whole": digest, "proc": proc}
        self.lines.append({"k": "host", "t": time, "since": max(0.0, time - 0.02), **said})

    def record(self, at: float, kind: str, **said: Any) -> None:
        self.seq += 1
        event = {"kind": kind, **said}
        self.lines.append({"k": "journal", "t": 6.0, "at": at, "rollout": "r1", "seq": self.seq, "event": event})

    def step(self, begin: float, end: float, op: int, kind: str, summary: str = "", **action: Any) -> None:
        place = {"host": "h1", "op": op, "play": 0}
        self.record(begin, "step_started", **place, undo=False, action={"kind": kind, **action})
        outcome = {"verdict": "passed", "summary": summary, "untouched": False}
        self.record(end, "step_finished", **place, outcome=outcome)

    def ask(self, number: int, time: float, host: str = "", release: str = "", **more: Any) -> None:
        there = [h for h in HOSTS if h != "h1" or time < 1.15 or time > 3.0]
        host = host or there[number % len(there)]
        release = release or ("v1" if host == "h1" and time < 2 else "v2")
        said = {"id": number, "sent": time, "done": time + 0.004, "host": host, "release": release, "status": 200}
        self.lines.append(
            {"k": "asked", "t": time + 0.01, **said, "from": time + 0.001, "to": time + 0.003, "failure": "", **more}
        )

    def fault(self, begin: float, end: float, *hosts: str) -> None:
        self.lines.append({"k": "fault", "t": begin, "until": end, "hosts": list(hosts), "what": "a test did it"})

    def status(self, host: str, **said: Any) -> None:
        next(line for line in self.lines if line["k"] == "status")["hosts"][host].update(said)

    def found(self) -> dict[str, list[str]]:
        return {name: lines for name, lines in broken(read(map(json.dumps, self.lines))).items() if lines}


def test_a_good_log_holds() -> None:
    log = Written()
    assert log.found() == {}
    assert figures(read(map(json.dumps, log.lines)))["requests"] == 100


def without_end(log: Written) -> None:
    log.lines = [line for line in log.lines if line["k"] != "end"]


def asleep(log: Written) -> None:
    log.lines.append({"k": "tick", "t": 4.0, "looked": 1, "longest": 30.0})


def two_out(log: Written) -> None:
    log.pool(2.0, h1=MAINT, h2=MAINT)
    log.pool(2.1, h1=MAINT, h2=IN)


def down_by_its_checks(log: Written) -> None:
    log.pool(2.0, h1=MAINT, h2=[0, 0, 0, 1])
    log.pool(2.1, h1=MAINT, h2=IN)


def silent_in_rotation(log: Written) -> None:
    log.lines = [line for line in log.lines if not (line["k"] == "asked" and line["host"] == "h2" and line["t"] < 2.5)]
    for number in range(200, 260):
        log.ask(number, 1.2 + (number - 200) * 0.02, "h3")


def served_while_changed(log: Written) -> None:
    log.ask(300, 1.65, "h1", "v1")


def served_after_the_switch_and_unproven(log: Written) -> None:
    log.ask(300, 2.3, "h1", "v2")


def answered_late(log: Written) -> None:
    log.ask(300, 1.13, "h1", "v1", to=1.6)


def in_rotation_while_changed(log: Written) -> None:
    log.pool(1.75, h1=IN)
    log.pool(1.85, h1=MAINT)


def sessions_while_changed(log: Written) -> None:
    log.pool(1.45, h1=[1, 0, 2, 1])
    log.pool(1.7, h1=MAINT)


def believed_on_another(log: Written) -> None:
    log.status("h2", release="v1")


def believed_to_be_out(log: Written) -> None:
    log.status("h2", out=True)


def runs_another(log: Written) -> None:
    log.host(4.5, "h1", "v2", runs="v1")


def two_processes(log: Written) -> None:
    log.host(4.5, "h1", "v2")
    log.lines[-1]["proc"].append([300, "9", "v1"])


def incomplete(log: Written) -> None:
    log.host(1.65, "h1", "v2", whole="")


def of_another_manifest(log: Written) -> None:
    log.host(1.65, "h1", "v2", whole="c" * 64)


def gone(log: Written) -> None:
    log.host(1.65, "h1", "", runs="v1")


def left_in_drain(log: Written) -> None:
    log.pool(4.2, h1=DRAIN)


def lighter(log: Written) -> None:
    log.pool(4.2, h3=[0, 2, 0, 0])


def put_back_against_a_person(log: Written) -> None:
    for line in log.lines:
        if line["k"] == "pool":
            line["m"] = {**line["m"], "h3": MAINT}
    log.members["h3"] = MAINT
    log.pool(2.2, h1=MAINT, h3=IN)
    log.pool(2.3, h1=MAINT, h3=MAINT)
    log.pool(3.0, h1=IN)


def answers_with_the_old(log: Written) -> None:
    log.ask(300, 3.5, "h1", "v1")


def in_rotation_with_the_old(log: Written) -> None:
    log.host(3.2, "h1", "v2", runs="v1")
    log.host(3.6, "h1", "v2")


def in_rotation_with_nothing(log: Written) -> None:
    log.host(3.2, "h2", "v2")
    log.lines[-1]["proc"] = []
    log.host(3.6, "h2", "v2")


def reloaded(log: Written, until: float) -> None:
    """A new HAProxy that forgot; h1, which is out, takes requests again until somebody sees it."""
    log.lines = [line for line in log.lines if not (line["k"] == "pool" and line["t"] > 1.3)]
    log.hap = 8
    log.pool(1.6, h1=IN)
    log.ask(300, 1.9, "h1", "v2")
    log.pool(until, h1=MAINT)
    log.pool(until + 0.6, h1=IN)


def reloaded_and_never_seen(log: Written) -> None:
    """The change lasts longer than the watch interval, and nobody looked."""
    for line in log.lines:
        if line["k"] == "journal" and line["at"] >= 2.5:
            line["at"] += 4.0
        if line["k"] in ("end", "status", "tick"):
            line["t"] += 4.0
    reloaded(log, 1.6 + WATCH_S + LATE_S + 0.5)


def refused(log: Written) -> None:
    log.ask(300, 2.2, "h2", failure="status", status=503)


WAYS: list[tuple[str, Callable[[Written], None], str]] = [
    ("SEEN", without_end, "to its end"),
    ("SEEN", asleep, "30.0 s"),
    ("I1", two_out, "1 in service in shop"),
    ("I1", down_by_its_checks, "1 in service in shop"),
    ("I1", silent_in_rotation, "1 in service in shop"),
    ("I2", served_while_changed, "request 300 was served by h1"),
    ("I2", served_after_the_switch_and_unproven, "request 300 was served by h1"),
    ("I2", answered_late, "request 300 was served by h1"),
    ("I2", in_rotation_while_changed, "h1 is in rotation in shop"),
    ("I2", sessions_while_changed, "h1 has 2 sessions"),
    ("I3", believed_on_another, "h2 is believed to be on 'v1'"),
    ("I3", believed_to_be_out, "h2 is believed to be out"),
    ("I3", runs_another, "h1 is believed to be on 'v2'"),
    ("I3", two_processes, "h1 is believed to be on 'v2'"),
    ("I4", incomplete, "not complete"),
    ("I4", of_another_manifest, "another manifest"),
    ("I4", gone, "current is gone"),
    ("I7", left_in_drain, "admin 0, weight 1 became 8, 1"),
    ("I7", lighter, "admin 0, weight 1 became 0, 0"),
    ("I7", put_back_against_a_person, "put out by a person"),
    ("I8", answers_with_the_old, "request 300 got v1 from h1"),
    ("I8", in_rotation_with_the_old, "h1 is in rotation"),
    ("I8", in_rotation_with_nothing, "nothing runs there"),
    ("I21", reloaded_and_never_seen, "stayed in for"),
    ("USERS", refused, "request 300 at 2.20 failed: status 503"),
]


@pytest.mark.parametrize(("rule", "doctor", "said"), WAYS, ids=[way.__name__ for _, way, _ in WAYS])
def test_a_doctored_log_breaks_the_rule(rule: str, doctor: Callable[[Written], None], said: str) -> None:
    log = Written()
    doctor(log)
    found = log.found()
    assert any(said in line for line in found.get(rule, ())), found


def test_every_rule_is_broken_by_some_log() -> None:
    assert {rule for rule, _, _ in WAYS} == set(RULES)


# --- what must not break a rule


def test_what_a_fault_explains_is_no_dip_and_no_failure() -> None:
    log = Written()
    down_by_its_checks(log)
    log.ask(300, 2.05, "h2", failure="reset")
    assert set(log.found()) == {"I1", "USERS"}
    log.fault(1.95, 2.15, "h2")
    assert log.found() == {}


def test_a_reload_is_given_the_watch_interval() -> None:
    log = Written()
    reloaded(log, 2.2)
    assert "I2" not in log.found()
    assert "I21" not in log.found()
    log.pool(1.7, h1=[0, 0, 0, 1])  # its checks fail meanwhile, and pass again: nobody has put it out
    log.pool(2.0, h1=IN)
    log.ask(301, 2.1, "h1", "v2")
    assert "I2" not in log.found()
    log.ask(302, 2.3, "h1", "v2")
    assert "I2" in log.found(), "after that it is out, or it is wrong"


def test_a_drain_that_went_on_explains_old_sessions_and_no_new_ones() -> None:
    log = Written()
    for line in log.lines:
        if line["k"] == "journal" and line["event"]["kind"] == "step_finished" and line["event"]["op"] == 1:
            line["event"]["outcome"]["summary"] = "2 sessions left after 10 s: went on"
    sessions_while_changed(log)
    log.ask(300, 1.13, "h1", "v1", to=1.6)
    assert log.found() == {}
    served_while_changed(log)
    assert set(log.found()) == {"I2"}


def test_who_is_named_as_out_is_out_and_who_withdraws_has_no_link() -> None:
    log = Written()
    log.pool(4.2, h1=MAINT)
    assert set(log.found()) == {"I3", "I7"}
    log.status("h1", out=True)
    assert log.found() == {}


def test_a_floor_that_nobody_wrote_is_lower_on_the_way_back() -> None:
    log = Written()
    two_out(log)
    assert "I1" in log.found()
    for line in log.lines:
        if line["k"] == "journal":
            if line["event"]["kind"] == "rollout_started":
                line["event"]["plan"] = plan(written=False)
            if line["event"].get("op") == 2:
                line["event"]["undo"] = True
    assert "I1" not in log.found()


def test_the_command_says_which_rule_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Written()
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in log.lines))
    assert main([str(path)]) == 0
    two_out(log)
    path.write_text("".join(json.dumps(line) + "\n" for line in log.lines))
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert "I1    broken" in said
    assert "USERS holds" in said
