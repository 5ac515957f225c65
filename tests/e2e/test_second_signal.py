"""Ctrl-C in a terminal, once and twice, in the middle of whatever is going on; and signals that are no second one."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.e2e.lab import Lab
from tests.e2e.terminal import Terminal, in_a_terminal
from tests.e2e.test_worst import endless
from tests.e2e.wires import at_work

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long, pytest.mark.fault("F7")]

HELD_S = 12  # how long what is in flight takes by itself
AT_ONCE_S = 8.0  # starting and ending are in it: far less than HELD_S would leave


@dataclass(frozen=True)
class Moment:
    """Where a rollout is when somebody presses Ctrl-C: its first host, and what goes on there."""

    action: str
    play: dict[str, str]
    release: dict[str, float]
    busy: bool = False  # a request that never ends is held


MOMENTS = {
    "draining": Moment("deregister", {"drain": f"{{ deadline: {HELD_S}s, on_deadline: fail }}"}, {}, busy=True),
    "a step": Moment(
        "run", {"extra": f"min_in_service: 2\n  hooks: {{ after_service: {{ shell: 'sleep {HELD_S}' }} }}"}, {}
    ),
    "health": Moment("verify", {"deadline": f"{HELD_S + 8}s", "healthy_for": "1s"}, {"start_s": float(HELD_S)}),
}
moments = pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)


@contextmanager
def begun(lab: Lab, moment: Moment) -> Iterator[tuple[Terminal, str]]:
    """Roll v2 out in a terminal up to a moment; yield it, and the host that is out."""
    lab.release("v2", **moment.release)
    with ExitStack() as stack:
        host = stack.enter_context(endless(lab)) if moment.busy else lab.hosts[0]
        lab.playbook(**moment.play)
        words = lab.words_of("apply", "v2", "-y", *(["--limit", host] if moment.busy else []))
        terminal = stack.enter_context(in_a_terminal(lab.command(*words)))
        lab.wait(lambda: is_at(lab, host, moment.action), f"{moment.action} on {host}")
        yield terminal, host


def is_at(lab: Lab, host: str, action: str) -> bool:
    """Whether this is what goes on there, and the host is out."""
    step = at_work(lab.state, host)
    return step is not None and step.action == action and not lab.member(host).in_rotation


def audited(lab: Lab) -> str:
    """Return the id of the newest rollout, whose journal is what was written."""
    rollout = str(lab.last()["id"])
    done = lab.type("audit", "verify", rollout, "--state", str(lab.state))
    assert done.returncode == 0, done.stdout + done.stderr
    return rollout


def in_order(lab: Lab) -> bool:
    return all(current == serves and there for current, serves, there in lab.truth().values())


@moments
@pytest.mark.usefixtures("referee")
def test_the_first_heals_within_the_time_that_it_says(served: Lab, moment: Moment) -> None:
    with begun(served, moment) as (terminal, _):
        pressed = time.monotonic()
        terminal.ctrl_c()
        took = terminal.ended_after(pressed)
    said = re.search(r"SIGINT: no further host leaves; healing .* takes at most (\d+) s", terminal.words)
    assert said, terminal.text
    assert took <= int(said[1]), terminal.text
    assert terminal.ended() == 130, terminal.text
    assert "Traceback" not in terminal.text
    assert in_order(served), served.truth()
    assert served.last()["exit_code"] == 130
    audited(served)


@moments
def test_the_second_stops_at_once_names_who_is_not_known_and_heal_helps(served: Lab, moment: Moment) -> None:
    with begun(served, moment) as (terminal, host):
        terminal.ctrl_c()
        served.wait(lambda: "SIGINT: no further host leaves" in terminal.words, "an answer to the first")
        pressed = time.monotonic()
        terminal.ctrl_c()
        took = terminal.ended_after(pressed)
        assert terminal.ended() == 5, "130 would say that it is healed: " + terminal.text
    rollout = audited(served)
    said = terminal.words
    assert "Traceback" not in said
    assert took < AT_ONCE_S, terminal.text
    assert re.search(rf"1 host NOT KNOWN TO BE IN ORDER, perhaps out of rotation, on v1 or v2: {host}\b", said), said
    assert f"rollout heal {rollout}; to go on: rollout resume {rollout}" in said
    assert f"rollout revert {rollout}" in said
    assert served.last()["end"] == "", "nothing is said to have ended"
    assert not served.member(host).in_rotation, "it was stopped, not healed"
    done = served.type("heal", rollout, "--state", str(served.state), "--output", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    assert in_order(served), served.truth()
    assert served.last()["end"] == "halted"
    audited(served)


def int_then_term(terminal: Terminal) -> None:
    """As pipelines cancel: to everybody in the terminal, then to the process."""
    terminal.ctrl_c()
    time.sleep(1.0)
    os.kill(terminal.process.pid, signal.SIGTERM)


def term_then_int(terminal: Terminal) -> None:
    os.kill(terminal.process.pid, signal.SIGTERM)
    time.sleep(1.0)
    terminal.ctrl_c()


@pytest.mark.parametrize(("signals", "code"), [(int_then_term, 130), (term_then_int, 143)])
def test_one_of_another_kind_is_no_second(served: Lab, signals: Callable[[Terminal], None], code: int) -> None:
    with begun(served, MOMENTS["a step"]) as (terminal, _):
        signals(terminal)
        assert terminal.ended() == code, terminal.text
    assert "stopped without waiting" not in terminal.words
    assert in_order(served), served.truth()
    last = served.last()
    assert (last["end"], last["exit_code"]) == ("halted", code)
    audited(served)


def test_a_second_term_is_one_and_resume_goes_on(served: Lab) -> None:
    with begun(served, MOMENTS["a step"]) as (terminal, host):
        for _ in range(2):
            os.kill(terminal.process.pid, signal.SIGTERM)
            time.sleep(1.0)
        assert terminal.ended() == 5, terminal.text
    rollout = audited(served)
    assert f"perhaps out of rotation, on v1 or v2: {host}" in terminal.words
    served.type("resume", rollout, "--state", str(served.state))
    assert in_order(served), served.truth()
    assert served.last()["end"]
    audited(served)


def test_a_second_one_before_anybody_was_touched_leaves_the_task_unknown_and_no_host(served: Lab) -> None:
    served.release("v2")
    there = served.folder / "hook"
    hook = f"hooks: {{ before_rollout: {{ shell: 'touch {there}; sleep {HELD_S}', where: controller }} }}"
    served.playbook(extra=f"min_in_service: 2\n  {hook}")
    with in_a_terminal(served.command(*served.words_of("apply", "v2", "-y"))) as terminal:
        served.wait(there.exists, "the hook before all hosts")
        terminal.ctrl_c()
        served.wait(lambda: "SIGINT: no further host leaves" in terminal.words, "an answer to the first")
        terminal.ctrl_c()
        assert terminal.ended() == 5, terminal.text
    assert "NOT KNOWN TO HAVE ENDED, and perhaps still at work: before_rollout: " in terminal.words
    assert "4 hosts not touched, on v1" in terminal.words
    assert served.all_on("v1")
    assert served.type("heal", audited(served), "--state", str(served.state)).returncode == 0
    assert served.last()["end"] == "halted"


def test_twice_in_what_comes_first_begins_nothing_after_it(served: Lab) -> None:
    """``apply --recover`` ends what a dead process left; stopped in that, it does not go on to its own rollout."""
    proving = Moment("verify", {"healthy_for": "8s", "deadline": "20s"}, {})
    with begun(served, proving) as (terminal, host):
        terminal.process.kill()
        terminal.ended()
    left = str(served.last()["id"])
    served.release("v3")
    with in_a_terminal(served.command(*served.words_of("apply", "v3", "-y", "--recover"))) as terminal:
        served.wait(lambda: (step := at_work(served.state, host)) and step.undo and step.action == "verify", "its way")
        for _ in range(2):
            terminal.ctrl_c()
            time.sleep(0.5)
        assert terminal.ended() == 5, terminal.text
    assert "was ended first" not in terminal.words
    last = served.last()
    assert (str(last["id"]), last["end"]) == (left, ""), "no rollout was begun, and this one has no end"
    done = served.type("heal", left, "--state", str(served.state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v1"), served.truth()
    audited(served)
