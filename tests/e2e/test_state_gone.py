"""The state is deleted, moved or replaced in the middle of a rollout: nobody is left out, nothing false is said."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.fault("F13")]
SLOW = "min_in_service: 2\n  hooks: { after_service: { shell: 'sleep 2' } }"


def under_way(lab: Lab) -> subprocess.Popen[str]:
    """Begin a rollout, and return when its first host has left rotation."""
    lab.release("v2")
    process = lab.begin("v2", "-y", "--output", "plain", extra=SLOW)
    lab.wait(lambda: lab.current("lab1") == "v2", "the first switch")
    return process


def ended(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 8, said
    assert "Traceback" not in said
    return said


def all_in(lab: Lab) -> bool:
    return all(there and current == serves for current, serves, there in lab.truth().values())


def test_a_state_that_was_deleted_is_not_written_to_and_nobody_is_left_out(served: Lab) -> None:
    """Whoever applies meanwhile makes a new one there: that is not taken for ours, and refuses to begin."""
    process = under_way(served)
    shutil.rmtree(served.state.parent)
    second = served.type(*served.words_of("apply", "v1"))
    assert (second.returncode, "E_STATE_LOST" in second.stderr) == (8, True), second.stdout + second.stderr
    said = ended(process)
    assert "E_STATE_GONE" in said
    assert "1 host back on v1, in rotation as before: lab1" in said
    assert "3 hosts not touched, on v1: lab2, lab3, lab4" in said
    assert "adopt PLAYBOOK --state-lost" in said
    assert "DONE" not in said
    assert "exit 8: the state store failed" in said
    assert served.all_on("v1")
    assert served.read("history") == [], "what is there now knows nothing of it"


@pytest.mark.long
def test_what_is_said_to_type_then_helps(served: Lab) -> None:
    process = under_way(served)
    shutil.rmtree(served.state.parent)
    ended(process)
    begun = served.type(*served.words_of("adopt", "v1", "-y", "--state-lost"))
    assert begun.returncode == 0, begun.stdout + begun.stderr
    assert served.apply("v2", play={"extra": "min_in_service: 2"}).returncode == 0
    assert served.all_on("v2")


@pytest.mark.long
def test_what_is_said_where_an_older_copy_stands_in_its_place(served: Lab) -> None:
    """Nobody knows of the rollout there: it is waited for, and a way out is named to who does not want to wait."""
    served.release("v2")
    with closing(sqlite3.connect(served.state)) as state, closing(sqlite3.connect(":memory:")) as older:
        state.backup(older)
        process = under_way(served)
        older.backup(state)
    time.sleep(6.0)  # the step ends, and cannot be written down
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(1.0)
    said = ended(process)
    assert "E_JOURNAL_WENT_BACK" in said
    assert "E_FENCED" not in said
    assert "once a server answers that has this rollout, type as follows" in said
    assert "begin a new one with what is on the hosts: rollout adopt PLAYBOOK --state-lost" in said
    begun = served.type(*served.words_of("adopt", "v1", "-y", "--state-lost", "--limit", "lab2,lab3,lab4"))
    assert begun.returncode == 0, begun.stdout + begun.stderr


@pytest.mark.long
def test_a_state_that_was_moved_is_waited_for(served: Lab) -> None:
    process = under_way(served)
    away = served.state.parent.with_name("elsewhere")
    served.state.parent.rename(away)
    time.sleep(3.0)
    assert served.current("lab2") == "v1", "nobody else left"
    away.rename(served.state.parent)
    said = ended(process)
    assert "E_STATE_MOVED" in said
    assert "Nothing is to be typed" in said
    assert "type the command again" not in said
    assert "knows how it ended" in said
    assert all_in(served)
    last = served.last()
    assert last["end"] == "halted"
    audited = served.type("audit", "verify", last["id"], "--state", str(served.state))
    assert audited.returncode == 0, audited.stderr


def log_deleted(lab: Lab) -> None:
    lab.state.with_name("state.db-wal").unlink()


def moved_and_replaced(lab: Lab) -> None:
    """Somebody puts it aside and begins anew."""
    lab.state.parent.rename(lab.state.parent.with_name("elsewhere"))
    assert lab.type(*lab.words_of("apply", "v1")).returncode == 8


@pytest.mark.long
@pytest.mark.parametrize("accident", [log_deleted, moved_and_replaced])
def test_what_else_can_happen_to_it(served: Lab, accident: Callable[[Lab], None]) -> None:
    process = under_way(served)
    accident(served)
    said = ended(process)
    assert "E_STATE_" in said
    assert all_in(served)
