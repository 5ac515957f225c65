"""The load counts what users saw: every answer, every version, every way to fail."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from rollout.lab import ports
from rollout.lab.load import Generator, Load, summary_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nv1\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def serving(answers: Callable[[int], bytes | None]) -> Iterator[int]:
    """Serve on a port: ``answers(n)`` are the bytes for the n-th request of a connection, None closes it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    over = Event()

    def one(connection: socket.socket) -> None:
        with connection:
            for n in range(1_000_000):
                asked = b""
                while b"\r\n\r\n" not in asked:
                    received = connection.recv(4096)
                    if not received:
                        return
                    asked += received
                answer = answers(n)
                if answer is None:
                    return
                if answer == b"":
                    over.wait(30)
                    return
                connection.sendall(answer)

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            Thread(target=one, args=(connection,), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.close()


def sent_to(port: int, count: int = 40, timeout_s: float = 10.0) -> Generator:
    """Send a load of so many requests at once and return it."""
    generator = Generator(host="127.0.0.1", port=port, rate=200, timeout_s=timeout_s)
    asyncio.run(generator.run(60, count))
    return generator


def test_every_request_is_counted_once() -> None:
    with serving(lambda n: OK) as port:
        generator = sent_to(port)
    assert sorted(r.id for r in generator.records) == list(range(40))
    summary = summary_of(generator.records, 1)
    assert (summary.sent, summary.served, summary.failed) == (40, {"v1": 40}, 0)


def test_half_of_the_requests_share_connections() -> None:
    with serving(lambda n: OK) as port:
        reused = Counter((r.id % 2, r.reused) for r in sent_to(port).records)
    assert reused[1, True] == 0
    assert reused[0, True] > 10


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        (BUSY, {"status 503": 20}),
        (None, {"reset": 20}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nv", {"timeout": 20}),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", {"garbled": 20}),
        (b"", {"timeout": 20}),
    ],
    ids=["error", "closed", "cut short", "no HTTP", "silent"],
)
def test_every_way_to_fail_is_seen(answer: bytes | None, failures: dict[str, int]) -> None:
    with serving(lambda n: answer) as port:
        summary = summary_of(sent_to(port, count=20, timeout_s=1).records, 1)
    assert (summary.failed, summary.failures, summary.served) == (20, failures, {})


def test_nobody_there_is_a_failure() -> None:
    (port,) = ports.block(1)
    assert summary_of(sent_to(port, count=5).records, 1).failures == {"connect": 5}


def test_a_kept_connection_that_was_closed_is_tried_once_more_and_said() -> None:
    with serving(lambda n: OK if n == 0 else None) as port:
        summary = summary_of(sent_to(port).records, 1)
    assert (summary.failed, summary.served) == (0, {"v1": 40})
    assert summary.retried > 0


def test_answers_do_not_set_the_pace() -> None:
    def slowly(n: int) -> bytes:
        time.sleep(0.5)
        return OK

    with serving(slowly) as port:
        generator = sent_to(port, count=100)
    at = sorted(r.at for r in generator.records)
    assert at[-1] - at[0] == pytest.approx(99 / 200)  # the schedule, although each answer took as long as all of it
    assert min(r.latency_s for r in generator.records) >= 0.5


def test_a_load_of_its_own_process_ends_with_a_summary_when_told(tmp_path: Path) -> None:
    with serving(lambda n: OK) as port, Load.start(f"http://127.0.0.1:{port}/", tmp_path, rate=100) as load:
        time.sleep(0.5)
        summary = load.stop()
        assert summary.sent == len(load.records()) > 10
    assert summary.served == {"v1": summary.sent}


def test_a_load_is_bounded(tmp_path: Path) -> None:
    with serving(lambda n: OK) as port, Load.start(f"http://127.0.0.1:{port}/", tmp_path, count=7) as load:
        load.process.wait(20)
        assert load.stop().sent == 7
