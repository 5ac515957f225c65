"""Whatever answers at the other end: a BalancerError within the deadline, little memory, no traceback."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.balancers.haproxy import Haproxy
from rollout.balancers.runtime import RuntimeSocket
from rollout.errors import BalancerError
from rollout.model.pool import Member, Rotation
from tests.balancers.stub import GOOD, INFO, STAT, STATE, Behaviour, saying, stub

A, B = Member("a"), Member("b")
DEADLINE_S = 0.5

CALLS: dict[str, Callable[[Haproxy], object]] = {
    "read": lambda h: h.read(),
    "set": lambda h: h.set({A: Rotation.DRAIN, B: Rotation.MAINT}),
    "checking": lambda h: h.set({A: Rotation.CHECKING}),
    "shut": lambda h: h.shut_sessions(A, 5),
}


def silent(_: str, connection: socket.socket) -> None:
    connection.recv(1)  # until the other side hangs up


def trickle(_: str, connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def trickle_empty_lines(_: str, connection: socket.socket) -> None:
    while True:
        connection.sendall(b"\n")
        time.sleep(0.02)


def endless(_: str, connection: socket.socket) -> None:
    while True:
        connection.sendall(b"y" * (1 << 16))


def endless_lines(_: str, connection: socket.socket) -> None:
    while True:
        connection.sendall(b"a line\n" * (1 << 13))


BEHAVIOURS: dict[str, Behaviour] = {
    "closes at once": lambda _, connection: None,
    "silent": silent,
    "a byte now and then": trickle,
    "an empty line now and then": trickle_empty_lines,
    "endless": endless,
    "endless lines": endless_lines,
    "noise": lambda _, c: c.sendall(bytes(range(256)) * 64),
    "another protocol": lambda _, c: c.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "http": lambda _, c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "unknown command": saying({"": "Unknown command. Please enter one of the following commands only:\n  help\n\n"}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", BEHAVIOURS)
def test_is_a_balancer_error_in_time(name: str, call: str) -> None:
    with stub(BEHAVIOURS[name]) as server:
        began = time.monotonic()
        with pytest.raises(BalancerError) as caught:
            CALLS[call](Haproxy(backend="shop", socket=server.path, deadline_s=DEADLINE_S))
        assert time.monotonic() - began < 20 * DEADLINE_S  # a noisy machine; the server would go on for ever
    assert str(caught.value).replace("\n", "").isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("behaviour", [endless, endless_lines])
def test_memory_is_bounded(behaviour: Behaviour) -> None:
    most = 1 << 20
    with stub(behaviour) as server:
        tracemalloc.start()
        with pytest.raises(BalancerError, match="1024 KiB"):
            RuntimeSocket(path=server.path, most_bytes=most).ask("show stat")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * most


REPLIES: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    # what differs from a good one, the call, what the message says
    "no such server": ({"set server shop/b": "No such server.\n\n"}, "set", "shop/b.*No such server"),
    "denied": ({"set server": "Permission denied\n\n"}, "set", "level admin"),
    "no such backend": ({"set server": "No such backend.\n\n"}, "set", "`backend` must be"),
    "unknown text": ({"set server shop/a": "Value out of range.\n\n"}, "set", "shop/a: Value out of range"),
    "escapes": ({"set server shop/a": "\x1b]0;x\x07\u202eno\n\n"}, "set", r"shop/a:  \]0;x  no"),
    "half of the replies": ({"set server shop/b": ""}, "set", "answered 1 of 2 .*unknown"),
    "too many replies": ({"set server shop/b": "\n\n"}, "set", "answered 3 of 2 .*unknown"),
    "a tracking server": (
        {"set server shop/a health": "cannot change health on a tracking server.\n\n"},
        "checking",
        "tracking server",
    ),
    "backend gone": ({"show servers state": "Can't find backend.\n\n"}, "read", "No such backend"),
    "proxy gone": ({"show stat": "No such proxy.\n\n"}, "read", "No such backend"),
    "no start time": ({"show info": INFO.replace("Start_time_sec", "Uptime_sec")}, "read", "HAProxy 2.4 or newer"),
    "no pid": ({"show info": INFO.replace("Pid: 77", "Pid: ?")}, "read", "does not answer as"),
    "leaving": ({"show info": INFO.replace("Stopping: 0", "Stopping: 1")}, "read", "kept changing"),
    "no header": ({"show servers state": "1\n3 shop 1 a 127.0.0.1\n\n"}, "read", "no header"),
    "a short row": ({"show servers state": STATE.replace(" 8082", "")}, "read", "does not answer as"),
    "no column": ({"show servers state": STATE.replace("srv_op_state", "srv_op")}, "read", "srv_op_state"),
    "a server less": ({"show stat": STAT.replace("shop,b,1,2,3,0,,,\n", "")}, "read", "kept changing"),
    "negative sessions": ({"show stat": STAT.replace("shop,b,1,2", "shop,b,1,-2")}, "read", "negative"),
    "no session count": ({"show stat": STAT.replace("scur", "xcur")}, "read", "scur"),
    "a torn quote": ({"show stat": STAT.replace("shop,b,", 'shop,b,"')}, "read", "does not answer as"),
    "member gone": ({"show servers state": STATE.replace(" a ", " z ")}, "checking", "shop/a: No such server"),
    "sessions denied": (
        {"show sess": "0x55: proto=tcpv4 be=shop srv=a\n\n", "shutdown session": "Permission denied\n\n"},
        "shut",
        "level admin",
    ),
}


@pytest.mark.parametrize("name", REPLIES)
def test_replies(name: str) -> None:
    differing, call, said = REPLIES[name]
    with stub(saying({**GOOD, **differing})) as server, pytest.raises(BalancerError, match=said) as caught:
        CALLS[call](Haproxy(backend="shop", socket=server.path))
    assert str(caught.value).replace("\n", "").isprintable()


def test_every_refusal_is_named() -> None:
    replies = {"set server shop/a": "No such server.\n\n", "set server shop/b": "Permission denied\n\n"}
    with stub(saying(replies)) as server, pytest.raises(BalancerError, match=r"(?s)shop/a.*shop/b"):
        CALLS["set"](Haproxy(backend="shop", socket=server.path))


def test_good_ones_are_read() -> None:
    with stub(saying(GOOD)) as server:
        haproxy = Haproxy(backend="shop", socket=server.path)
        state = haproxy.read()
        for call in CALLS.values():
            call(haproxy)
    assert state.generation == "77@1700000000"
    assert {m: s.sessions for m, s in state.members.items()} == {A: 0, B: 4}


@pytest.mark.parametrize(
    ("said", "read_only"),
    [("admin\n\n", False), ("operator\n\n", True), ("user\n\n", True), ("\n", False), ("Unknown command.\n\n", False)],
)
def test_what_the_socket_allows_is_read(said: str, read_only: bool) -> None:
    with stub(saying({**GOOD, "show cli level": said})) as server:
        state = Haproxy(backend="shop", socket=server.path).read()
    assert bool(state.read_only) == read_only
    assert state.members.keys() == {A, B}


@pytest.mark.parametrize("differing", [{"Pid: 77": "Pid: 78"}, {"1700000000": "1700000009"}])
def test_a_reading_is_of_one_process(differing: dict[str, str]) -> None:
    """All of it comes over one connection; after a reload the same pid is not the same process."""
    ((old, new),) = differing.items()
    with stub(saying({**GOOD, "show info": INFO.replace(old, new)})) as server:
        state = Haproxy(backend="shop", socket=server.path).read()
        assert len(server.lines) == 1
    assert new.removeprefix("Pid: ") in state.generation


def test_a_server_that_comes_between_the_tables_is_read_again() -> None:
    states = itertools.chain([STATE.replace("3 shop 2 b 127.0.0.1 2 0 1 1 6 8082\n", "")], itertools.repeat(STATE))

    def behave(line: str, connection: socket.socket) -> None:
        saying({**GOOD, "show servers state": next(states)})(line, connection)

    with stub(behave) as server:
        assert set(Haproxy(backend="shop", socket=server.path).read().members) == {A, B}
        assert len(server.lines) == 2


def test_an_application_cannot_forge_a_row() -> None:
    """What a check got from the application stands in the table, quoted: blank lines and rows in it are text."""
    forged = 'bad\n\nshop,a,0,0,0,0,,,\n""quoted""'
    stat = STAT.replace("shop,a,0,0,0,0,,,", f'shop,a,0,9,0,0,,"{forged}",')
    with stub(saying({**GOOD, "show stat": stat})) as server:
        state = Haproxy(backend="shop", socket=server.path).read()
    assert state.members[A].sessions == 9


@pytest.mark.parametrize("name", ["a b", "a;show env", "a/b", "a\nb", "", "ä", "x" * 300, "#1", "$(x)"])
def test_names_carry_nothing_else(name: str) -> None:
    with stub(saying(GOOD)) as server:
        for backend, member in ((name, "a"), ("shop", name)):
            haproxy = Haproxy(backend=backend, socket=server.path)
            for rotation in Rotation:
                with pytest.raises(BalancerError, match="E_LB_NAME"):
                    haproxy.set({Member(member): rotation})
            with pytest.raises(BalancerError, match="E_LB_NAME"):
                haproxy.shut_sessions(Member(member), 1)
        with pytest.raises(BalancerError, match="E_LB_NAME"):
            Haproxy(backend=name, socket=server.path).read()
        assert not server.lines


def test_a_second_reader_waits_its_turn(tmp_path: Path) -> None:
    """A full queue of a unix socket refuses at once; that is asked again until the deadline."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        with pytest.raises(BalancerError, match="did not answer within"):
            Haproxy(backend="shop", socket=str(path), deadline_s=DEADLINE_S).read()


WHERE = {
    "no socket": ({"socket": "/nonexistent/admin.sock"}, "no such socket.*stats socket"),
    "not a socket": ({"socket": __file__}, "nobody listens"),
    "too long": ({"socket": "/tmp/" + "x" * 200}, "too long"),
    "a NUL": ({"socket": "/tmp/a\0b"}, "cannot be asked"),
    "no port": ({"tcp": "localhost"}, "HOST:PORT"),
    "port 0": ({"tcp": "localhost:0"}, "HOST:PORT"),
    "port 65536": ({"tcp": "localhost:65536"}, "HOST:PORT"),
    "a label too long": ({"tcp": "x" * 70 + ".localhost:1"}, "cannot be asked"),
    "both": ({"tcp": "localhost:1", "socket": "/tmp/s"}, "one of the two"),
    "neither": ({}, "one of the two"),
}


@pytest.mark.parametrize("name", WHERE)
def test_where(name: str) -> None:
    place, said = WHERE[name]
    with pytest.raises(BalancerError, match=said):
        Haproxy(backend="shop", socket=place.get("socket", ""), tcp=place.get("tcp", "")).read()


RECORDED = (INFO + STATE).encode(), (INFO + STAT).encode()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mutation_is_a_traceback(data: st.DataObject) -> None:
    table = list(data.draw(st.sampled_from(RECORDED)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(table) - 1))
        table[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4) | st.just(b"\n\n"))
        table = table or [10]
    which = "servers" if bytes(table[-60:]).find(b"8082") >= 0 else "stat"

    def behave(line: str, connection: socket.socket) -> None:
        whole = saying(GOOD) if which not in line else lambda _, c: c.sendall(bytes(table))
        whole(line, connection)

    with stub(behave) as server, contextlib.suppress(BalancerError):  # it may also still be a good one
        Haproxy(backend="shop", socket=server.path).read()
