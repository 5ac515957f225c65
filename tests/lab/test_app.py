"""The demo app: what it serves, how it ends, and each way in which it can be broken."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollout.lab import ports
from rollout.lab.app import Broken, build_release
from tests.lab.talk import get, until

Started = tuple[subprocess.Popen[bytes], str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start the app of a release that is broken in some way; return its process and its address."""
    started = []

    def begin(broken: Broken = "", after_s: float = 1.0) -> Started:
        archive = build_release(tmp_path, "v1", broken, after_s=after_s)
        subprocess.run(["tar", "xzf", archive, "-C", tmp_path], check=True)
        (port,) = ports.block(1)
        argv = [tmp_path / "shop-v1" / "bin" / "serve"]
        process = subprocess.Popen(argv, env={"PATH": "/usr/bin:/bin", "PORT": str(port)}, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process, f"http://127.0.0.1:{port}"

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_it_says_its_version_and_its_health(start: Callable[..., Started]) -> None:
    process, url = start()
    assert get(url) == (200, "v1\n")
    status, body = get(url + "/healthz")
    assert (status, json.loads(body)) == (200, {"version": "v1", "pid": process.pid, "ok": True})


def test_told_to_stop_it_finishes_what_is_in_flight(start: Callable[..., Started]) -> None:
    process, url = start()
    answers: list[tuple[int, str]] = []
    asking = threading.Thread(target=lambda: answers.append(get(url + "/sleep/0.5")))
    asking.start()
    asking.join(0.2)
    process.send_signal(signal.SIGTERM)
    asking.join()
    assert (process.wait(20), answers) == (0, [(200, "v1\n")])


def test_a_release_that_exits_says_why(start: Callable[..., Started]) -> None:
    process, _ = start("exits")
    assert process.wait(20) == 1


def test_a_deaf_release_ignores_sigterm(start: Callable[..., Started]) -> None:
    process, url = start("deaf")
    process.send_signal(signal.SIGTERM)
    assert get(url) == (200, "v1\n")


def test_an_unhealthy_release_serves_all_the_same(start: Callable[..., Started]) -> None:
    _, url = start("unhealthy")
    assert [get(url)[0], get(url + "/healthz")[0]] == [200, 500]


def test_a_release_that_fails_later_is_well_at_first(start: Callable[..., Started]) -> None:
    _, url = start("fails_later", after_s=2)
    assert get(url + "/healthz")[0] == 200
    until("it fails", lambda: get(url)[0] == 500 and get(url + "/healthz")[0] == 500)


def test_the_same_release_is_the_same_bytes(tmp_path: Path) -> None:
    one = build_release(tmp_path / "a", "v1", size_mb=0.1).read_bytes()
    assert one == build_release(tmp_path / "b", "v1", size_mb=0.1).read_bytes()
    assert one != build_release(tmp_path / "c", "v2", size_mb=0.1).read_bytes()
    assert len(one) > 100_000
