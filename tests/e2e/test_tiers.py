"""Two tiers in one rollout: an api on two hosts before a web on two others, both behind a real HAProxy."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.e2e.lab import HAPROXY, Lab
from tests.referee.watching import refereed

TIERS = """\
- defaults:
    connection: {{ known_hosts: ["{{{{ known_hosts }}}}"] }}
    serial: [1, "100%"]
    min_in_service: 1
    release:
      root: "{{{{ app_root }}}}"
      shared: {{ files: [{{ path: config/port, content: "{{{{ app_port }}}}\\n", mode: "0644" }}] }}
    service: {{ process: {{ command: [./bin/serve], stop_timeout: 3s }} }}
    load_balancers: {balancers}
    drain: {{ deadline: 10s }}
    health:
      checks:
        - http: {{ port: "{{{{ app_port }}}}", path: /healthz, json: {{ version: "{{{{ release.id }}}}" }} }}
      interval: 200ms
      healthy_for: 500ms
      deadline: 5s
      watch_interval: 300ms
- app: api
  hosts: "{api}"
  release: {{ id: "{{{{ api }}}}", artifact: "dist/shop-{{{{ api }}}}.tar.gz" }}
- app: web
  hosts: "{web}"
  needs: {{ api: "== {{{{ api }}}}" }}
  release: {{ id: "{{{{ web }}}}", artifact: "dist/shop-{{{{ web }}}}.tar.gz" }}
  on_failure: {{ also: {also} }}
"""


class Tiers:
    """The two plays of one playbook; the first two hosts are the api's."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.api, self.web = lab.hosts[:2], lab.hosts[2:]

    def type(self, verb: str, api: str, web: str, *more: str, also: str = "[]") -> subprocess.CompletedProcess[str]:
        path = self.lab.folder / "tiers.yml"
        path.write_text(TIERS.format(balancers=HAPROXY, api=":".join(self.api), web=":".join(self.web), also=also))
        words = ["-i", str(self.lab.fleet.inventory), "--state", str(self.lab.state)]
        return self.lab.type(verb, str(path), *words, "-e", f"api={api}", "-e", f"web={web}", *more)

    def apply(self, api: str, web: str, *more: str, bad: str = "", **words: Any) -> subprocess.CompletedProcess[str]:
        for version in (api, web):
            if not (self.lab.folder / "dist" / f"shop-{version}.tar.gz").exists():
                self.lab.release(version, "unhealthy" if version == bad else "")
        return self.type("apply", api, web, *more, **words)

    def truth(self) -> tuple[set[tuple[str, str, bool]], set[tuple[str, str, bool]]]:
        """What the two tiers are on, and whether they are in rotation."""
        seen = self.lab.truth()
        return {seen[h] for h in self.api}, {seen[h] for h in self.web}


def ok(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def tiers(lab: Lab) -> Tiers:
    """Both tiers on their first releases."""
    both = Tiers(lab)
    ok(both.apply("a1", "w1"), 0)
    return both


def order_of(tiers: Tiers) -> list[int]:
    """The plays in the order in which their links moved."""
    switched = [e["event"] for e in tiers.lab.events(tiers.lab.last()["id"])]
    return [e.get("play", 0) for e in switched if e["kind"] == "step_started" and e["action"]["kind"] == "switch"]


def test_the_api_goes_before_the_web_and_all_is_staged_before_either(tiers: Tiers, lab: Lab) -> None:
    with refereed(lab):
        said = ok(tiers.apply("a2", "w2"), 0)
    assert tiers.truth() == ({("a2", "a2", True)}, {("w2", "w2", True)})
    assert order_of(tiers) == [0, 0, 1, 1]
    events = [e["event"] for e in lab.events(lab.last()["id"])]
    kinds = [(e["kind"], e.get("action", {}).get("kind", "")) for e in events]
    assert max(n for n, k in enumerate(kinds) if k[1] == "stage") < min(
        n for n, k in enumerate(kinds) if k[1] == "deregister"
    )
    assert "DONE: api a2 and web w2 to default" in said
    assert "api: 2 hosts on a2, in rotation" in said
    assert "web: 2 hosts on w2, in rotation" in said
    assert "nothing to do: every host is on api a2 and web w2 already" in ok(tiers.apply("a2", "w2"), 0)


def test_a_web_that_fails_brings_the_api_back_too_where_it_says_so(tiers: Tiers) -> None:
    with refereed(tiers.lab):
        said = ok(tiers.apply("a2", "w2", bad="w2", also="[api]"), 4)
    assert tiers.truth() == ({("a1", "a1", True)}, {("w1", "w1", True)})
    assert "REVERTED: api a2 and web w2 to default" in said
    assert "api: 2 hosts back on a1, in rotation" in said
    assert "w2 is marked bad" in said
    assert "a2 is marked bad" not in said, "nothing was wrong with the api"
    again = ok(tiers.apply("a2", "w1"), 0)
    assert "api: 2 hosts on a2" in again, "a release that was only taken along may be rolled out again"


@pytest.mark.long
def test_a_web_that_fails_leaves_the_api_where_nothing_is_said(tiers: Tiers, lab: Lab) -> None:
    said = ok(tiers.apply("a2", "w2", bad="w2"), 3)
    assert tiers.truth() == ({("a2", "a2", True)}, {("w1", "w1", True)})
    assert "HALTED: api a2 and web w2 to default" in said
    assert "api: 2 hosts on a2, in rotation" in said
    assert "web: 1 host back on w1, in rotation" in said
    status = ok(lab.type("status", "--state", str(lab.state)), 0)
    assert "api in default is on a2; its rollout was halted" in status
    assert "web in default is on w1; its rollout was halted" in status
    ok(tiers.apply("a2", "w3"), 0)
    assert tiers.truth() == ({("a2", "a2", True)}, {("w3", "w3", True)})


@pytest.mark.long
def test_a_rollback_of_both_begins_with_the_last_one(tiers: Tiers, lab: Lab) -> None:
    ok(tiers.apply("a2", "w2"), 0)
    ok(tiers.type("rollback", "a2", "w2"), 0)
    assert tiers.truth() == ({("a1", "a1", True)}, {("w1", "w1", True)})
    assert lab.last()["app"] == "web,api"
    status = ok(lab.type("status", "--state", str(lab.state)), 0)
    assert "api,web" not in status, "the newest rollout of either is the rollback of both"


def test_a_bad_api_stops_the_web_before_it_begins(tiers: Tiers) -> None:
    said = ok(tiers.apply("a2", "w2", bad="a2"), 4)
    assert tiers.truth() == ({("a1", "a1", True)}, {("w1", "w1", True)})
    assert "web: 2 hosts not touched" in said


def test_plans_show_both_and_a_filed_plan_of_both_is_carried_out(tiers: Tiers, lab: Lab) -> None:
    lab.release("a2")
    lab.release("w2")
    file = str(lab.folder / "plan.json")
    said = ok(tiers.type("plan", "a2", "w2", "--out", file), 0)
    assert "api: api a2 to default, 2 hosts" in said
    assert "web: web w2 to default, 2 hosts" in said
    ok(tiers.apply("a2", "w2", "--plan", file), 0)
    assert tiers.truth() == ({("a2", "a2", True)}, {("w2", "w2", True)})


def test_what_is_read_afterwards_names_both(tiers: Tiers, lab: Lab) -> None:
    shown = lab.read("history")[0]
    assert shown["app"] == "api,web"
    status = lab.type("status", shown["id"], "--state", str(lab.state))
    assert "api:" in status.stdout
    assert "web:" in status.stdout
    ok(lab.type("show", shown["id"], "--state", str(lab.state)), 0)


ASSETS = """\
- app: assets
  hosts: "{hosts}"
  needs: {{ web: "== w1" }}
  connection: {{ known_hosts: ["{{{{ known_hosts }}}}"] }}
  serial: [1, "100%"]
  release: {{ id: "{{{{ web }}}}", artifact: "dist/shop-{{{{ web }}}}.tar.gz", root: "{{{{ app_root }}}}-assets" }}
  service: none
  load_balancers: none
  health: {{ checks: [{{ http: {{ port: "{{{{ app_port }}}}", path: /healthz }} }}], healthy_for: 0s }}
"""


def test_a_host_may_stand_in_two_plays(tiers: Tiers, lab: Lab) -> None:
    path = lab.folder / "assets.yml"
    path.write_text(ASSETS.format(hosts=":".join(tiers.web)))
    words = ["-i", str(lab.fleet.inventory), "--state", str(lab.state), "-e", "web=w1"]
    refused = ok(lab.type("apply", str(path), *words), 6)
    assert refused.count("E_ROOT") == 2
    assert "E_DISK" not in refused, "where no folder is there is no disk to measure"
    roots = [lab.fleet.host(h).root for h in tiers.web]
    for root in roots:
        root.with_name(f"{root.name}-assets").mkdir()
    ok(lab.type("apply", str(path), *words), 0)
    both = lab.folder / "both.yml"
    tiers.type("validate", "a1", "w1")
    both.write_text((lab.folder / "tiers.yml").read_text() + path.read_text().replace("needs:", "# needs:"))
    lab.release("w2")
    said = ok(lab.type("apply", str(both), *words[:-1], "web=w2", "-e", "api=a1"), 0)
    assert "web: 2 hosts on w2, in rotation" in said
    assert "assets: 2 hosts on w2" in said
    for root in roots:
        assert (root / "current").resolve().name == "w2"
        assert (root.with_name(f"{root.name}-assets") / "current").resolve().name == "w2"
