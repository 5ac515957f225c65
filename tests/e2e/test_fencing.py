"""Who may change a host: two controllers, two states, a host that went back in time, a state that was lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.e2e.fronts import fronts_of
from tests.e2e.lab import Lab
from tests.e2e.test_fronts import fronts_inventory

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
SLOW = "min_in_service: 2\n  hooks: { after_service: { shell: 'sleep 2' } }"


def pair(lab: Lab, host: str) -> list[str]:
    """Return what a host keeps of who changed it last: number, rollout, sequence, open or closed."""
    return (lab.fleet.host(host).root / ".rollout" / "epoch").read_text().split()


def stands(lab: Lab) -> set[str]:
    return {pair(lab, h)[3] for h in lab.hosts}


def elsewhere(state: Path) -> None:
    """Have the holder of every lease be on another machine, and silent for long: what a takeover needs."""
    with contextlib.closing(sqlite3.connect(state)) as database, database:
        database.execute("UPDATE leases SET machine = 'elsewhere', heartbeat = '2020-01-01T00:00:00.000Z'")


def copied(lab: Lab, name: str) -> Path:
    """Return a copy of the state, as it is now."""
    path = lab.state.with_name(name)
    with contextlib.closing(sqlite3.connect(lab.state)) as here, contextlib.closing(sqlite3.connect(path)) as there:
        here.backup(there)
    path.chmod(0o600)
    return path


@pytest.mark.fault("F9", "F18")
def test_a_paused_controller_that_wakes_is_refused_by_the_hosts(lab: Lab) -> None:
    """Its store still says that the lease is its own: hosts, and the hosts of balancers, know better."""
    with fronts_of(lab, lb1=("lab1", "lab2", "lab3", "lab4")) as fronts:
        play = {**fronts.play(), "extra": SLOW}
        assert lab.apply("v1", *fronts_inventory(fronts), play=play).returncode == 0
        lab.release("v2")
        process = lab.begin("v2", "-y", "--output", "plain", *fronts.inventory, **play)
        lab.wait(lambda: lab.current("lab2") == "v2", "the second batch is on its way")
        os.kill(process.pid, signal.SIGSTOP)
        rollout = lab.last()["id"]
        other = copied(lab, "other.db")
        held = lab.type("heal", rollout, "--state", str(other))
        assert (held.returncode, "E_HELD" in held.stderr) == (7, True), "it lives, as far as anybody can see"
        elsewhere(other)
        taken = lab.type("heal", rollout, "--state", str(other), "--output", "plain")
        assert taken.returncode == 0, taken.stdout + taken.stderr
        assert fronts["lb1"].all_in()
        before = {h: (lab.current(h), lab.serves(h)) for h in lab.hosts}
        os.kill(process.pid, signal.SIGCONT)
        printed, _ = process.communicate(timeout=60)
        assert (process.returncode, "E_FENCED" in printed) == (7, True), printed
        assert fronts["lb1"].all_in(), "who is fenced takes nobody out"
        assert {h: (lab.current(h), lab.serves(h)) for h in lab.hosts} == before, "and changes no host"
        kept = Path(fronts["lb1"].sshd.home, ".rollout", "default", "shop", ".rollout", "epoch").read_text().split()
        assert (kept[1], kept[3]) == (rollout, "closed")


@pytest.mark.usefixtures("referee")
@pytest.mark.fault("F9", "F18")
def test_a_paused_controller_that_wakes_is_refused_by_its_store(served: Lab) -> None:
    served.release("v2")
    process = served.begin("v2", "-y", "--output", "plain", extra=SLOW)
    served.wait(lambda: served.current("lab2") == "v2", "the second batch is on its way")
    os.kill(process.pid, signal.SIGSTOP)
    elsewhere(served.state)
    taken = served.type("resume", served.last()["id"], "--state", str(served.state), "--output", "plain")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    os.kill(process.pid, signal.SIGCONT)
    printed, _ = process.communicate(timeout=60)
    assert (process.returncode, "E_FENCED" in printed) == (7, True), printed
    assert served.all_on("v2")
    assert stands(served) == {"closed"}


def test_a_rollout_that_is_over_leaves_no_host_open(served: Lab) -> None:
    assert stands(served) == {"closed"}
    assert served.apply("v2", broken="unhealthy").returncode == 4
    assert stands(served) == {"closed"}
    served.release("v3")
    process = served.begin("v3", "-y", extra=SLOW)
    served.wait(lambda: served.current("lab1") == "v3", "the first host is on it")
    assert {pair(served, h)[3] for h in ("lab1", "lab4")} == {"open"}
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert stands(served) == {"closed"}


@pytest.mark.fault("F21")
def test_two_states_for_one_fleet_are_found_out(served: Lab) -> None:
    other = copied(served, "other.db")
    assert served.apply("v2").returncode == 0
    newer = served.type(*served.words_of("apply", "v2", "--state", str(other)))
    assert (newer.returncode, "E_OPEN" in newer.stderr) == (7, True), "it knows less than the hosts do"
    assert served.last()["id"] in newer.stderr
    served.release("v3")
    process = served.begin("v3", "-y", extra=SLOW)
    served.wait(lambda: served.current("lab1") == "v3", "the first host is on it")
    process.kill()
    process.communicate(timeout=20)
    with contextlib.closing(sqlite3.connect(other)) as state, state:
        state.execute("UPDATE leases SET number = 50")
    done = served.type(*served.words_of("apply", "v3", "--state", str(other)))
    assert (done.returncode, "E_OPEN" in done.stderr) == (7, True), "whatever the numbers"
    ended = served.type("heal", "--state", str(served.state))
    assert ended.returncode == 0, ended.stderr
    assert served.apply("v3").returncode == 0
    assert served.all_on("v3")


@pytest.mark.fault("F22")
def test_a_host_that_went_back_in_time_is_not_believed(served: Lab) -> None:
    kept = served.fleet.host("lab3").root / ".rollout" / "epoch"
    old = kept.read_text()
    assert served.apply("v2").returncode == 0
    kept.write_text(old)
    done = served.apply("v3")
    assert (done.returncode, "E_RESTORED: lab3 went back" in done.stderr) == (6, True), done.stderr
    assert served.all_on("v2")
    taken = served.type(*served.words_of("adopt", "v3", "--limit", "lab3", "-y"))
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert served.apply("v3").returncode == 0
    assert served.all_on("v3")


def test_a_lost_state_is_begun_anew_from_what_is_there(served: Lab) -> None:
    assert served.apply("v2").returncode == 0
    number = int(pair(served, "lab1")[0])
    served.release("v3")
    process = served.begin("v3", "-y", extra=SLOW)  # and so hosts are open, of a rollout that nobody knows
    served.wait(lambda: pair(served, "lab4")[3] == "open", "the last host is staged")
    process.kill()
    process.communicate(timeout=20)
    assert served.type("heal", "--state", str(served.state)).returncode == 0
    for host in served.hosts:
        path = served.fleet.host(host).root / ".rollout" / "epoch"
        path.write_text(path.read_text().replace("closed", "open"))
    shutil.rmtree(served.state.parent)
    lost = served.apply("v2")
    assert (lost.returncode, "adopt PLAYBOOK --state-lost" in lost.stderr) == (8, True), lost.stderr
    assert served.type(*served.words_of("adopt", "v2", "-y")).returncode == 8, "nobody said that it is lost"
    for more in (("--limit", "lab1"), ()):  # whoever could not be reached the first time is taken over later
        begun = served.type(*served.words_of("adopt", "v2", "-y", "--state-lost", *more))
        assert begun.returncode == 0, begun.stdout + begun.stderr
    assert stands(served) == {"closed"}
    assert {int(pair(served, h)[0]) > number for h in served.hosts} == {True}
    bad = served.apply("v4", broken="unhealthy")
    assert bad.returncode == 4, bad.stdout + bad.stderr
    assert served.apply("v5").returncode == 0
    assert served.all_on("v5")
