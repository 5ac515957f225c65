"""What a process may have of this machine: asked for first, and nobody else's fault when it runs out."""

from __future__ import annotations

import errno
import resource

import pytest

from rollout.app.limits import room_for
from rollout.errors import Refused, spent

pytestmark = pytest.mark.fault("F11")


def test_too_few_files_are_refused_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    room_for(10)
    with pytest.raises(Refused, match=r"E_FILES: 664 open files are needed for 300 hosts.*ulimit -n 664"):
        room_for(300)


def test_files_that_may_be_had_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    room_for(300)
    assert asked == [(664, 4096)]
    room_for(300, behind=200)
    assert asked[1:] == [(864, 4096)]


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "open files"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "processes"),
        (RuntimeError("can't start new thread"), "threads"),
        (MemoryError(), "memory"),
        (TimeoutError("timed out"), ""),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), ""),
        (RuntimeError("anything else"), ""),
    ],
)
def test_what_ran_out_is_told_from_what_went_wrong(error: Exception, what: str) -> None:
    assert spent(error) == what
