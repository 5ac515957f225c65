"""One contract for both transports: whatever a host prints or does, a run ends as its port says."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rollout.errors import OutcomeUnknown, Unreachable
from rollout.transports.capture import Capture
from rollout.transports.session import SshSession
from tests.ports import free_port
from tests.transports.conftest import Bench, framed

MB = 1_000_000
LIMIT = Capture().head + Capture().tail + 100  # what is kept of standard output, with the mark
LONG = 20.0  # the deadline of what is to end long before it


def test_both_streams_and_the_exit_status_come_back(bench: Bench) -> None:
    raw = bench.say("echo out; echo err >&2; exit 7\n")
    assert (raw.stdout, raw.stderr, raw.exit_status, raw.truncated) == (b"out\n", b"err\n", 7, False)


def test_the_payload_follows_the_script_byte_for_byte(bench: Bench) -> None:
    payload = bytes(range(256)) * 1000
    assert bench.say("printf 'script '; cat\n", payload).stdout == b"script " + payload
    large = payload * 80
    assert bench.say("sha256sum\n", large).stdout.split()[0] == hashlib.sha256(large).hexdigest().encode()


@pytest.mark.fault("F49")
def test_bytes_are_bytes(bench: Bench) -> None:
    assert bench.say(r"printf 'a\000b\377\376\033[31m\r'" + "\n").stdout == b"a\0b\xff\xfe\x1b[31m\r"


@pytest.mark.fault("F49")
def test_a_flood_keeps_head_and_tail_and_says_so(bench: Bench) -> None:
    raw = bench.say("echo first; head -c 10000000 /dev/zero; echo; echo last\n")
    assert raw.stdout.startswith(b"first\n")
    assert raw.stdout.endswith(b"\nlast\n")
    assert b"(truncated)" in raw.stdout
    assert raw.truncated
    assert len(raw.stdout) <= LIMIT


@pytest.mark.fault("F49")
def test_both_streams_flood_at_once(bench: Bench) -> None:
    raw = bench.say("head -c 5000000 /dev/zero >&2 & head -c 5000000 /dev/zero; wait; echo done\n")
    assert raw.exit_status == 0
    assert raw.stdout.endswith(b"done\n")
    assert len(raw.stderr) < 100_000


@pytest.mark.fault("F49")
def test_the_host_prints_much_while_much_is_sent(bench: Bench) -> None:
    raw = bench.say("head -c 10000000 /dev/zero; wc -c\n", bytes(10 * MB))
    assert raw.stdout.endswith(b"\x0010000000\n")


@pytest.mark.fault("F49")
def test_endless_output_ends_at_the_deadline(bench: Bench) -> None:
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="in time"):
        bench.say("cat /dev/zero\n", deadline_s=1)
    assert time.monotonic() - began < LONG


@pytest.mark.fault("F33")
def test_a_silent_step_ends_at_the_deadline(bench: Bench) -> None:
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="in time"):
        bench.say("sleep 60\n", deadline_s=0.5)
    assert time.monotonic() - began < LONG


def test_what_was_cut_off_locally_is_gone_and_an_ssh_connection_is_closed(bench: Bench, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(OutcomeUnknown):
        bench.say(f"echo $$ >{pid}; exec sleep 20\n", deadline_s=0.7)
    if isinstance(bench.session, SshSession):
        assert not bench.session.alive
    else:
        assert not Path(f"/proc/{pid.read_text().strip()}").exists()


@pytest.mark.fault("F49")
def test_memory_is_bounded() -> None:
    capture, piece = Capture(), bytes(65_536)
    tracemalloc.start()
    for _ in range(1000):
        capture.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * LIMIT


@pytest.mark.parametrize("cuts", [(), (3,), (5,), (1, 2, 3, 4, 5, 6, 7, 8)])
def test_a_mark_in_pieces_is_a_mark(cuts: tuple[int, ...]) -> None:
    said = b"a MARK b\nmore"
    capture = Capture(until=b"MARK")
    for start, end in zip((0, *cuts), (*cuts, len(said)), strict=True):
        assert not capture.seen
        capture.feed(said[start:end])
    assert capture.seen
    assert capture.value() == said


def test_a_mark_at_the_end_of_a_very_long_line_is_seen() -> None:
    capture = Capture(until=b"MARK")
    for said in (bytes(10**6), b"MA", b"RK", bytes(10**6), b"\n"):
        assert not capture.seen
        capture.feed(said)
    assert capture.seen


def test_a_step_that_closes_its_streams_and_works_on_is_waited_for(bench: Bench) -> None:
    raw = bench.say("exec >&- 2>&-; sleep 0.7; exit 4\n")
    assert raw.exit_status == 4


@pytest.mark.fault("F50")
def test_a_child_that_keeps_the_streams_open_holds_nobody(bench: Bench) -> None:
    began = time.monotonic()
    raw = bench.say("sleep 15 & echo started; exit 3\n")
    assert (raw.stdout, raw.exit_status) == (b"started\n", 3)
    assert time.monotonic() - began < 10


@pytest.mark.fault("F50")
def test_a_child_that_floods_after_the_end_holds_nobody(bench: Bench) -> None:
    raw = bench.say("(timeout 12 cat /dev/zero) & sleep 0.2; exit 3\n", deadline_s=11)
    assert raw.exit_status == 3


@pytest.mark.fault("F50")
def test_the_mark_ends_it_with_its_whole_line(bench: Bench) -> None:
    began = time.monotonic()
    raw = bench.say("echo a; printf 'MARK'; sleep 0.2; echo ' done'; sleep 15\n", until=b"MARK ")
    assert raw.stdout == b"a\nMARK done\n"
    assert time.monotonic() - began < 10


def test_nobody_has_to_read_the_payload(bench: Bench) -> None:
    began = time.monotonic()
    raw = bench.say("echo no; exit 9\n", bytes(50 * MB))
    assert (raw.stdout, raw.exit_status) == (b"no\n", 9)
    assert time.monotonic() - began < 10


def test_the_mark_ends_it_while_the_payload_is_not_read(bench: Bench) -> None:
    began = time.monotonic()
    threads = threading.active_count()
    assert bench.say("echo MARK; sleep 15\n", bytes(50 * MB), until=b"MARK").stdout == b"MARK\n"
    while threading.active_count() > threads:
        assert time.monotonic() - began < 10
        time.sleep(0.02)


def test_an_end_by_signal_has_no_exit_status(bench: Bench) -> None:
    raw = bench.say("echo before; kill -9 $$\n")
    assert (raw.stdout, raw.exit_status) == (b"before\n", None)


def test_a_closed_session_sends_nothing(bench: Bench) -> None:
    bench.session.close()
    with pytest.raises(Unreachable):
        bench.say("echo\n")


def test_closing_ends_what_runs_with_an_unknown_outcome(bench: Bench) -> None:
    threading.Timer(0.5, bench.session.close).start()
    with pytest.raises(OutcomeUnknown):
        bench.say("sleep 30\n")


def test_sixteen_at_once_on_one_session(bench: Bench) -> None:
    def one(number: int) -> bytes:
        return bench.session.run(framed(f"sleep 0.1; echo {number}\n"), None, deadline_s=LONG).stdout

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(16))) == [b"%d\n" % n for n in range(16)]


def test_nothing_of_the_controllers_environment_arrives(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/canary")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/canary")
    monkeypatch.setenv("SECRET", "canary")
    assert b"canary" not in bench.say("env\n").stdout


def test_streams_are_dialled_from_the_host(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo_once, args=(server,), daemon=True).start()
        stream = bench.session.dial("", server.getsockname()[1], timeout_s=5)
        assert stream.send(b"hello") == 5
        assert stream.recv(100) == b"hello"
        stream.settimeout(0.1)
        with pytest.raises(TimeoutError):
            stream.recv(100)
        stream.close()


def test_a_refused_stream_is_an_oserror(bench: Bench) -> None:
    with pytest.raises(ConnectionRefusedError):
        bench.session.dial("127.0.0.1", free_port(), timeout_s=5)


def _echo_once(server: socket.socket) -> None:
    peer, _ = server.accept()
    with peer:
        peer.sendall(peer.recv(100))
        peer.recv(1)
