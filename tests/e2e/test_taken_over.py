"""A controller that is killed: what its successor makes of the fleet, by each of the three words."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from threading import Timer

import pytest

from tests.e2e.lab import Lab

pytestmark = pytest.mark.lab
SLOW = "min_in_service: 2\n  hooks: { after_service: { shell: 'sleep 3' } }"


def killed(lab: Lab, when: Callable[[], bool], version: str = "v2", broken: str = "") -> str:
    """Begin a rollout, kill its process when something is so, and return its id."""
    lab.release(version, broken)
    process = lab.begin(version, "-y", extra=SLOW)
    lab.wait(when, "the moment to be killed at")
    process.kill()
    process.communicate(timeout=20)
    last = lab.last()
    assert last["end"] == ""
    return str(last["id"])


def taken_over(lab: Lab, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    return lab.type(verb, *words, "--state", str(lab.state), "--output", "plain")


def audited(lab: Lab, rollout: str) -> None:
    """The journal of both controllers holds; a byte of it that is changed, or a record that is cut off, does not."""
    audit = ("audit", "verify", rollout, "--state", str(lab.state))
    sound = lab.type(*audit)
    assert sound.returncode == 0, sound.stderr
    last = lab.events(rollout)[-1]
    assert f"{last['seq']} records, chain and order hold\nhead {last['hash']}" in sound.stdout
    exported = lab.type("audit", "export", rollout, "--state", str(lab.state)).stdout.splitlines()
    assert [json.loads(line) for line in exported] == lab.events(rollout)
    kept = lab.state.read_bytes()
    for doctored, said in (
        ("UPDATE records SET body = replace(body, 'passed', 'Passed') WHERE rollout = ? AND seq = 9", "record 9"),
        (f"DELETE FROM records WHERE rollout = ? AND seq = {last['seq']}", "the journal was longer"),
    ):
        with contextlib.closing(sqlite3.connect(lab.state)) as state, state:
            assert state.execute(doctored, (rollout,)).rowcount == 1
        broken = lab.type(*audit)
        assert (broken.returncode, "E_CHAIN" in broken.stderr, said in broken.stderr) == (8, True, True), broken.stderr
        with contextlib.closing(sqlite3.connect(lab.state)) as state:
            state.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        lab.state.write_bytes(kept)


def second(lab: Lab) -> Callable[[], bool]:
    """The first host is done, and one of the next batch has switched."""
    first, *others = lab.hosts
    return lambda: lab.serves(first) == "v2" and any(lab.current(h) == "v2" for h in others)


@pytest.mark.fault("F14", "F16")
def test_resume_goes_on_where_the_other_stopped(served: Lab) -> None:
    rollout = killed(served, second(served))
    held = served.apply("v3")
    assert held.returncode == 7
    assert f"rollout resume {rollout}" in held.stderr
    served.playbook(extra=SLOW)
    done = taken_over(served, "resume", rollout[:15])
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")
    kinds = [r["event"]["kind"] for r in served.events(rollout)]
    assert (kinds.count("recovered"), kinds.count("rollout_started"), kinds[-1]) == (1, 1, "rollout_finished")
    audited(served, rollout)
    printed = done.stdout.rpartition(" records, head ")[2].split()[0]
    audit = ("audit", "verify", rollout, "--state", str(served.state), "--head")
    assert served.type(*audit, printed).returncode == 0, "the recap printed where the chain ends"
    other = served.type(*audit, printed[::-1])
    assert (other.returncode, "E_HEAD" in other.stderr) == (8, True), other.stderr
    again = taken_over(served, "resume", rollout)
    assert again.returncode == 8
    assert "E_FINISHED" in again.stderr


def test_resume_of_a_bad_release_finds_out_and_brings_it_back(served: Lab) -> None:
    rollout = killed(served, lambda: served.current(served.hosts[0]) == "v2", broken="unhealthy")
    done = taken_over(served, "resume", rollout)
    assert done.returncode == 4, done.stdout + done.stderr
    assert served.all_on("v1")


def test_resume_stages_who_was_not_staged(served: Lab) -> None:
    """Killed while the release is on its way: the artifact is needed, and must be the one that was decided."""
    served.release("v2", size_mb=30)
    process = served.begin("v2", "-y", "--forks", "1", extra=SLOW)
    staged = served.fleet.host(served.hosts[0]).root / "releases/v2"
    served.wait(staged.exists, "the first host's staging")
    process.kill()
    process.communicate(timeout=20)
    rollout = str(served.last()["id"])
    artifact = next(served.folder.glob("**/shop-v2.tar.gz"))
    kept = artifact.with_name("kept")
    artifact.rename(kept)
    missing = taken_over(served, "resume", rollout)
    assert (missing.returncode, "E_ARTIFACT" in missing.stderr) == (6, True), missing.stderr
    served.release("v2", size_mb=1)
    other = taken_over(served, "resume", rollout)
    assert (other.returncode, "E_DIGEST" in other.stderr) == (2, True), other.stderr
    kept.rename(artifact)
    done = taken_over(served, "resume", rollout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")


@pytest.mark.long
@pytest.mark.fault("F93")
def test_resume_does_not_go_on_with_what_is_written_differently_by_now(served: Lab) -> None:
    rollout = killed(served, second(served))
    served.playbook(extra=SLOW + "\n  forks: 2")
    refused = taken_over(served, "resume", rollout)
    assert refused.returncode == 6
    assert "shop.yml was changed since rollout" in refused.stderr
    assert served.last()["end"] == "", "nothing was taken over"
    served.playbook(extra=SLOW)
    assert taken_over(served, "resume", rollout).returncode == 0
    assert served.all_on("v2")


def test_heal_leaves_nobody_half_way_and_what_is_done_as_it_is(served: Lab) -> None:
    rollout = killed(served, second(served))
    done = taken_over(served, "heal")
    assert done.returncode == 0, done.stdout + done.stderr
    first, *others = served.hosts
    assert served.serves(first) == "v2"
    assert {served.serves(h) for h in others} <= {"v1", "v2"}
    assert all(there for _, _, there in served.truth().values()), "nobody is left out of rotation"
    assert served.last()["end"] == "halted"
    nothing = taken_over(served, "heal")
    assert (nothing.returncode, "no rollout is unfinished" in nothing.stderr) == (0, True)
    assert taken_over(served, "heal", rollout).returncode == 8
    assert served.apply("v3").returncode == 0
    assert served.all_on("v3")


@pytest.mark.usefixtures("referee")
@pytest.mark.fault("F7", "F16")
def test_the_next_job_of_a_pipeline_puts_back_first_what_a_cancelled_one_left(served: Lab) -> None:
    """INT, then TERM, which is no second signal, then KILL before it could heal: as CI cancels a job."""
    served.release("v2")
    process = served.begin("v2", "-y", extra=SLOW)
    served.wait(second(served), "the moment to be cancelled at")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process.send_signal(number)
        time.sleep(0.2)
    said, _ = process.communicate(timeout=20)
    assert "SIGINT: no further host leaves" in said
    assert process.returncode == -signal.SIGKILL
    old = str(served.last()["id"])
    done = served.apply("v3", "--recover")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rollout {old} was unfinished, and was ended first" in done.stderr
    assert served.all_on("v3")
    new, before = served.read("history")[:2]
    assert (before["id"], before["end"], new["release"], new["end"]) == (old, "halted", "v3", "succeeded")
    again = served.apply("v3", "--recover")
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True)


def test_nobody_is_taken_over_who_lives(served: Lab) -> None:
    served.release("v2")
    go = served.folder / "go"
    process = served.begin("v2", "-y", extra=SLOW.replace("sleep 3", f"until test -e {go}; do sleep 0.1; done"))
    served.wait(lambda: served.current(served.hosts[0]) == "v2", "the first switch")
    rollout = json.loads(served.type("history", "--state", str(served.state), "--json").stdout)[0]["id"]
    for verb in ("resume", "heal", "revert"):
        refused = taken_over(served, verb, rollout)
        assert refused.returncode == 7, refused.stderr
        assert "still at work" in refused.stderr
    assert served.type(*served.words_of("apply", "v2", "--recover")).returncode == 7
    short = served.apply("v3", "--lock-wait", "100ms")
    assert (short.returncode, "waiting up to 0.1 s: E_HELD" in short.stderr) == (7, True), short.stderr
    Timer(15, go.touch).start()
    waiting = served.apply("v3", "--recover", "--lock-wait", "90s")
    assert waiting.returncode == 0, waiting.stdout + waiting.stderr
    assert waiting.stderr.count("waiting up to") == 1
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert served.all_on("v3")
    assert [r["end"] for r in served.read("history")[:2]] == ["succeeded", "succeeded"]
