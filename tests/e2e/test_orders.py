"""Orders to a rollout that is at work, from another terminal: they are heard, journaled, and they stick."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
GO = "until test -e {go}; do sleep 0.1; done"
AFTER = "min_in_service: 3\n  hooks: { after_service: { shell: '%s' } }"


def told(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    return lab.type(*words, "--state", str(lab.state))


def go(lab: Lab) -> None:
    """Let the hosts go on that are held between their start and their checks."""
    (lab.folder / "go").touch()


def going(
    lab: Lab, version: str = "v2", also: str = "", until: str = "until test -e {go}; do sleep 0.1; done"
) -> subprocess.Popen[str]:
    """Begin a rollout, one host at a time, and return when the first host is on its way: it goes on when told to."""
    lab.release(version)
    held = AFTER % until.format(go=lab.folder / "go")
    process = lab.begin(version, "-y", "--output", "plain", extra=held + also)
    lab.wait(lambda: lab.current(lab.hosts[0]) == version, "the first host switches")
    return process


def test_a_pause_holds_and_proceed_lets_go(served: Lab) -> None:
    process = going(served)
    rollout = served.last()["id"]
    paused = told(served, "pause", rollout[:15], "-m", "looking at the graphs")
    assert paused.returncode == 0, paused.stderr
    assert "no further host leaves" in paused.stdout
    assert f"rollout proceed {rollout}" in paused.stdout
    go(served)
    served.wait(lambda: all(in_ for _, _, in_ in served.truth().values()), "who was out is back")
    on = {h: served.current(h) for h in served.hosts}
    assert "v1" in on.values()
    assert "paused" in told(served, "status", rollout).stdout
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    assert {h: served.current(h) for h in served.hosts} == on, "nobody left meanwhile"
    assert told(served, "proceed").returncode == 0, "the one there is"
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert "PAUSED by" in printed
    assert "looking at the graphs" in printed
    assert served.all_on("v2")
    late = told(served, "pause", rollout)
    assert (late.returncode, "E_FINISHED" in late.stderr) == (8, True)


@pytest.mark.fault("F93")
@pytest.mark.parametrize(("scope", "code", "first"), [("--keep", 3, "v2"), ("--revert", 4, "v1")])
def test_a_halt_from_another_terminal(served: Lab, scope: str, code: int, first: str) -> None:
    process = going(served)
    assert told(served, "halt").returncode == 2, "what becomes of done hosts is to be said"
    assert told(served, "pause").returncode == 0
    go(served)
    served.wait(lambda: served.truth()[served.hosts[0]] == ("v2", "v2", True), "the first host is done")
    halted = told(served, "halt", scope, "-m", "not today")
    assert halted.returncode == 0, halted.stderr
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == code, printed
    assert f"({scope}): not today" in printed
    assert served.current(served.hosts[0]) == first
    assert all(in_ for _, _, in_ in served.truth().values())
    assert told(served, "audit", "verify", served.last()["id"]).returncode == 0


def test_a_pause_outlives_its_controller_and_nobody_orders_one_that_is_gone(served: Lab) -> None:
    process = going(served)
    assert told(served, "pause").returncode == 0
    process.kill()
    process.communicate(timeout=20)
    go(served)
    rollout = served.last()["id"]
    gone = told(served, "proceed", rollout)
    assert (gone.returncode, f"rollout resume {rollout}" in gone.stderr) == (8, True), gone.stderr
    resumed = subprocess.Popen(
        served.command("resume", rollout, "--state", str(served.state), "--output", "plain"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        resumed.wait(timeout=6)
    assert "v1" in {served.current(h) for h in served.hosts}, "it is paused still"
    served.wait(lambda: told(served, "proceed").returncode == 0, "it has taken it over, and is told")
    printed, _ = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, printed
    assert served.all_on("v2")


def test_a_pause_that_nobody_ends_is_a_halt(served: Lab) -> None:
    """Also where another process has taken the paused rollout over: what the play says is in the journal."""
    process = going(served, also="\n  gates: { pause_timeout: 2s }")
    assert told(served, "pause").returncode == 0
    process.kill()
    process.communicate(timeout=20)
    go(served)
    done = told(served, "resume", served.last()["id"], "--output", "plain")
    said = done.stdout + done.stderr
    assert (done.returncode, "paused for 2 s, and nobody said proceed" in said) == (3, True), said
    assert served.last()["end"] == "halted"
    assert [served.serves(h) for h in served.hosts] == ["v2", "v1", "v1", "v1"], "done hosts stay"
    assert all(there for _, _, there in served.truth().values())


def test_one_rollout_takes_the_place_of_another(served: Lab) -> None:
    process = going(served, until="sleep 5")
    rollout = served.last()["id"]
    done = served.apply("v3", "--supersede", rollout[:15])
    assert done.returncode == 0, done.stdout + done.stderr
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 3, printed
    assert "superseded by" in printed
    assert f"rollout {rollout} was superseded" in done.stderr
    assert served.all_on("v3")
    process = going(served, "v4")
    process.kill()
    process.communicate(timeout=20)
    left = served.last()["id"]
    done = served.apply("v5", "--supersede", left)
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v5")
    strange = served.apply("v6", "--supersede", "nosuch")
    assert strange.returncode == 8


def test_an_app_is_freed_without_asking_its_hosts(served: Lab) -> None:
    process = going(served)
    go(served)
    os.kill(process.pid, signal.SIGSTOP)  # it lives, and waits for us on a slow machine
    live = told(served, "unlock", served.last()["id"], "--reason", "I want to")
    assert (live.returncode, "E_HELD" in live.stderr) == (7, True), live.stderr
    process.kill()
    process.communicate(timeout=20)
    rollout = served.last()["id"]
    assert told(served, "unlock", rollout).returncode == 2, "a reason is wanted"
    freed = told(served, "unlock", rollout, "--reason", "its hosts are burning")
    assert freed.returncode == 5, freed.stdout + freed.stderr
    assert "perhaps half-way or out of rotation: lab1" in freed.stdout
    assert served.last()["end"] == "stranded"
    assert "its hosts are burning" in told(served, "show", rollout).stdout
    assert served.apply("v3").returncode == 0
    assert served.all_on("v3"), "the next one puts back who was left out"
