"""A password that was typed for sudo dies with its process: whoever takes over is told to type it again."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.lab import Lab
from tests.e2e.takeover import COMMANDS

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(400)]

WORD = "hunter2-typed-at-night"


@pytest.fixture
def lab(lab: Lab) -> Iterator[Lab]:
    """A fleet whose services sudo starts. It drops the mark that all are found by: they are ended by their folder."""
    yield lab
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(lab.fleet.folder) in os.readlink(process / "cwd"):
                os.kill(int(process.name), signal.SIGKILL)


class Typed:
    """A command on a terminal, and the password typed into it."""

    def __init__(self, lab: Lab, *words: str) -> None:
        argv = lab.command(*words)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, {**os.environ, "CI": ""})
        self.said = b""
        while b"sudo's password" not in self.said:
            self.said += os.read(self.terminal, 4096)
        os.write(self.terminal, WORD.encode() + b"\n")

    def ended(self) -> int:
        while piece := self._read():
            self.said += piece
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bytes:
        try:
            return os.read(self.terminal, 4096)
        except OSError:  # the other end is closed
            return b""


def cut_off(lab: Lab, when: Callable[[], bool]) -> str:
    """Begin a rollout with -K, kill it when something is so, and return its id."""
    lab.release("v2")
    lab.playbook(service=COMMANDS, healthy_for="2s")
    begun = Typed(lab, *lab.words_of("apply", "v2", "-y", "-b", "-K"))
    lab.wait(when, "the moment to be killed at")
    os.kill(begun.pid, signal.SIGKILL)
    begun.ended()
    return str(lab.last()["id"])


def test_who_takes_over_is_told_to_type_it_again_and_then_goes_on(lab: Lab) -> None:
    done = lab.apply("v1", play={"service": COMMANDS, "healthy_for": "100ms", "serial": "['100%']"})
    assert done.returncode == 0, done.stderr
    first = lab.hosts[0]
    rollout = cut_off(lab, lambda: lab.current(first) == "v2")
    state = ["--state", str(lab.state)]
    lab.wait(lambda: lab.serves(first) == "v2", "the end of the step that was under way")
    before = lab.truth()
    for verb in ("heal", "revert", "resume"):
        refused = lab.type(verb, rollout, *state)
        assert refused.returncode == 6, refused.stdout + refused.stderr
        assert (
            "E_SECRET: sudo's password was typed with -K, and nobody has kept it. Type it again, on a terminal: "
            in (" ".join(refused.stderr.split()))
        )
        assert f"rollout {verb} {rollout} -K" in refused.stderr
    recover = lab.type(*lab.words_of("apply", "v2", "-b", "--recover"))
    assert (recover.returncode, "rollout apply PLAYBOOK --recover -K" in recover.stderr) == (6, True), recover.stderr
    assert lab.truth() == before, "nobody was touched"
    asked = lab.type("heal", rollout, "-K", *state)
    assert (asked.returncode, "-K asks on a terminal" in asked.stderr) == (2, True)
    healed = Typed(lab, "revert", rollout, "-K", *state, "--output", "plain")
    assert healed.ended() == 0, healed.said
    assert lab.all_on("v1")
    checked = lab.type("verify", "shop", *state)
    assert (checked.returncode, "rollout verify shop -K" in checked.stderr) == (6, True), checked.stderr
    kept = b"".join(p.read_bytes() for p in lab.state.parent.rglob("*") if p.is_file())
    assert WORD.encode() not in kept + healed.said
