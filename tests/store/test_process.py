"""Whether a holder's process lives, where /proc may hide what other users run (hidepid)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.store.process import alive, this_process

HIDDEN, GONE, ENDED = PermissionError(1, "hidepid=1"), FileNotFoundError(2, "no entry"), ProcessLookupError(3, "ended")
NOT_OURS = PermissionError(1, "another user's")


@pytest.mark.parametrize(
    ("read", "signalled", "lives"),
    [
        (HIDDEN, NOT_OURS, None),
        (GONE, NOT_OURS, None),
        (GONE, None, None),
        (GONE, ENDED, False),
        (ENDED, ENDED, False),
    ],
    ids=["hidepid=1", "hidepid=2", "hidepid=2, of one user", "gone", "gone while it is read"],
)
def test_what_is_hidden_is_not_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch, read: OSError, signalled: OSError | None, lives: bool | None
) -> None:
    mark, real = this_process(), Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if str(path) == f"/proc/{mark.pid}/stat":
            raise read
        return real(path)

    def kill(pid: int, signal: int) -> None:
        assert (pid, signal) == (mark.pid, 0)
        if signalled:
            raise signalled

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    monkeypatch.setattr(os, "kill", kill)
    assert alive(mark) is lives


def test_a_pid_that_came_round_is_not_the_holder() -> None:
    mark = this_process()
    assert [alive(mark), alive(replace(mark, started="1")), alive(replace(mark, machine="another"))] == [
        True,
        False,
        None,
    ]
