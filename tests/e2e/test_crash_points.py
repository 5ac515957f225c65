"""A real SIGKILL at each place of a journal, then one of the three words: what is believed is so, and nobody is out.

Each time a few of the places; with ``--all`` every one of them, before and after it is durable.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
CHECKOUT = Path(__file__).parents[2]
QUICK = {"healthy_for": "100ms", "serial": "[1, '100%']"}
RECORDS = 64  # of a rollout on four hosts, and a few more than that
AIMS = ("resume", "heal", "revert")


def crashed(lab: Lab, when: str, number: int) -> int:
    """Roll v2 out until it is killed; return how the process ended."""
    lab.release("v2")
    lab.playbook(**QUICK)
    words = lab.words_of("apply", "v2", "-y", "--output", "plain")
    argv = [sys.executable, "-m", "tests.e2e.crasher", when, str(number), *words]
    env = {**os.environ, "CI": "", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False, cwd=lab.folder)
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode


def settled(lab: Lab, when: str, number: int, aim: str) -> None:
    """Kill, take over, and look at the fleet past rollout."""
    if crashed(lab, when, number) == 0:
        assert number > RECORDS - 20, "it ended before it was to be killed"
    last, wanted = lab.last(), {"v2"}
    rollout, state = str(last["id"]), ("--state", str(lab.state))
    if last["release"] != "v2":
        wanted = {"v1"}  # nothing was written down, so nothing was done
    elif not last["end"]:
        wanted = {"resume": {"v2"}, "heal": {"v1", "v2"}, "revert": {"v1"}}[aim]
        done = lab.type(aim, rollout, *state, "--output", "plain")
        assert done.returncode == 0, done.stdout + done.stderr
    truth = lab.truth()
    assert all(there for _, _, there in truth.values()), f"left out of rotation: {truth}"
    assert all(current == serves and serves in wanted for current, serves, _ in truth.values()), truth
    believed = lab.read("status", rollout)["hosts"]
    assert {h: (said["release"], not said["out"]) for h, said in believed.items()} == {
        h: (current, there) for h, (current, _, there) in truth.items()
    }
    audit = lab.type("audit", "verify", rollout, *state)
    assert audit.returncode == 0, audit.stderr
    again = lab.apply("v3", play=QUICK)
    assert again.returncode == 0, again.stdout + again.stderr
    assert lab.all_on("v3")


@pytest.mark.parametrize("number", range(2, RECORDS, 9))
def test_what_a_killed_controller_left_is_known_and_put_right(served: Lab, number: int) -> None:
    settled(served, ("before", "after")[number % 2], number, AIMS[number % 3])


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, RECORDS))
def test_every_place_of_the_journal(served: Lab, when: str, number: int) -> None:
    settled(served, when, number, AIMS[(number + (when == "after")) % 3])
