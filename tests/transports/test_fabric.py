"""The fabric transport against a real sshd that is cut, frozen, full or not there."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from rollout.errors import OutcomeUnknown, Unreachable
from rollout.model.host import HostName
from rollout.transports.fabric import FabricTransport
from rollout.transports.governor import Governor
from rollout.transports.session import ForwardingRefused, SshSession
from tests import nft
from tests.ports import free_port
from tests.sshd import Sshd
from tests.transports.conftest import WEB1, framed
from tests.transports.strangers import Stranger
from tests.wire import Way, Wire

Servers = Callable[..., Sshd]
LONG = 20.0  # seconds: far more than what is to end soon takes on a busy machine


def opened(server: Sshd, **changes: object) -> SshSession:
    return FabricTransport().open(WEB1, server.connection(**changes))


def said(session: SshSession, script: str, deadline_s: float = 20.0) -> bytes:
    return session.run(framed(script), None, deadline_s=deadline_s).stdout


@pytest.mark.fault("F28")
def test_a_connection_that_is_cut_in_a_step_leaves_an_unknown_outcome(servers: Servers) -> None:
    server = servers()
    session = opened(server)
    threading.Timer(0.5, server.cut).start()
    with pytest.raises(OutcomeUnknown, match="lost"):
        said(session, "echo begun; sleep 30\n")


@pytest.mark.fault("F28", "F35")
def test_a_connection_that_was_cut_before_sends_nothing(servers: Servers) -> None:
    server = servers()
    session = opened(server)
    assert session.alive
    server.cut()
    with pytest.raises(Unreachable):
        said(session, "echo\n")
    assert not session.alive
    with pytest.raises(Unreachable):
        session.dial("127.0.0.1", server.port, timeout_s=2)


@pytest.mark.fault("F32")
def test_a_frozen_sshd_holds_nobody(servers: Servers) -> None:
    server = servers()
    session, stepping = opened(server), opened(server)
    assert said(session, "echo\n") == b"\n"
    threading.Timer(0.4, server.freeze).start()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="in time"):
        said(stepping, "sleep 1; echo\n", deadline_s=1.5)
    with pytest.raises(Unreachable, match="does not answer"):
        session.dial("127.0.0.1", server.port, timeout_s=1)
    with pytest.raises(Unreachable):
        said(session, "echo\n", deadline_s=1)
    with pytest.raises(Unreachable, match="within 1 s"):
        opened(server, connect_timeout_s=1.0)
    session.close()
    assert time.monotonic() - began < 15
    server.thaw()
    assert said(opened(server), "echo back\n") == b"back\n"


@pytest.mark.fault("F26")
def test_nobody_listens(sshd: Sshd) -> None:
    with pytest.raises(Unreachable, match="Is sshd running"):
        opened(sshd, port=free_port())


@pytest.mark.fault("F42")
def test_a_name_that_does_not_resolve(sshd: Sshd) -> None:
    with pytest.raises(Unreachable, match=r"does not resolve|still being resolved"):
        opened(sshd, address="no-such-host.invalid", connect_timeout_s=3.0)


HINTS = {
    "silent": "nothing was said",
    "trickles": "nothing was said",
    "babbles": "hung up|nothing was said",
    "garbles": "hung up|does not end",
    "hangs up": "hung up",
    "resets": "hung up",
    "stops in the exchange": "key exchange does not end. Do large packets get lost",
}


@pytest.mark.fault("F28", "F44")
@pytest.mark.parametrize("manner", HINTS)
def test_what_is_no_ssh_server_is_unreachable_in_time(sshd: Sshd, manner: str) -> None:
    with Stranger(manner) as port:
        before = threading.active_count()
        began = time.monotonic()
        with pytest.raises(Unreachable) as failed:
            opened(sshd, port=port, connect_timeout_s=1.0)
        assert time.monotonic() - began < 8
        assert str(failed.value).startswith("web1 (")
        assert re.search(HINTS[manner], str(failed.value))
        assert "\n" not in str(failed.value)
        assert "\x1b" not in str(failed.value)
    _until(lambda: threading.active_count() <= before, 3.0)


@pytest.mark.fault("F28", "F36")
def test_a_server_that_drops_logins_is_asked_again(sshd: Sshd) -> None:
    with Stranger("drops two", sshd.port) as port:
        sshd.known_hosts.write_text(sshd.line() + sshd.line().replace(str(sshd.port), str(port)))
        assert said(opened(sshd, port=port), "echo in\n") == b"in\n"
    sshd.trust()


@pytest.mark.fault("F36")
def test_a_full_server_is_asked_again(sshd: Sshd) -> None:
    with Stranger("is full twice", sshd.port) as port:
        sshd.known_hosts.write_text(sshd.line() + sshd.line().replace(str(sshd.port), str(port)))
        assert said(opened(sshd, port=port), "echo in\n") == b"in\n"
    sshd.trust()


@pytest.mark.fault("F37")
def test_a_server_that_has_banned_us_is_not_knocked_at_again(sshd: Sshd) -> None:
    with Stranger("turns away") as port, pytest.raises(Unreachable, match="PerSourcePenalties"):
        opened(sshd, port=port, connect_timeout_s=5.0)
    assert Stranger.last.seen == 1


@pytest.mark.fault("F36")
def test_thirty_at_once_all_get_in(servers: Servers) -> None:
    server = servers()  # MaxStartups is sshd's default, 10:30:100
    transport = FabricTransport()
    with ThreadPoolExecutor(30) as pool:
        sessions = list(pool.map(lambda _: transport.open(WEB1, server.connection(connect_timeout_s=30.0)), range(30)))
    assert all(s.alive for s in sessions)
    for session in sessions:
        session.close()


@pytest.mark.fault("F36")
def test_the_governor_lets_a_few_in_at_a_time() -> None:
    governor, inside, most = Governor(per_destination=3, total=4), [0], [0]
    lock = threading.Lock()

    def login(number: int) -> None:
        with governor.place(("host", number % 2)):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            with lock:
                inside[0] -= 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(login, range(40)))
    assert most[0] == 4


@pytest.mark.fault("F36")
def test_a_host_with_few_sessions_serves_them_in_turn(servers: Servers) -> None:
    session = opened(servers("MaxSessions 2"))
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: said(session, f"sleep 0.1; echo {n}\n"), range(8)))
    assert told == [b"%d\n" % n for n in range(8)]


@pytest.mark.fault("F36")
def test_a_host_without_sessions_says_so(servers: Servers) -> None:
    session = opened(servers("MaxSessions 0"))
    with pytest.raises(Unreachable, match="MaxSessions"):
        said(session, "echo\n", deadline_s=1)


def test_refused_forwarding_has_a_name_of_its_own(servers: Servers) -> None:
    server = servers("AllowTcpForwarding no")
    session = opened(server)
    with pytest.raises(ForwardingRefused, match=r"^forwarding refused"):
        session.dial("", server.port, timeout_s=5)
    assert said(session, "echo still here\n") == b"still here\n"


def test_the_address_that_sshd_sees_is_dialled(servers: Servers) -> None:
    server = servers("ListenAddress 127.0.0.3")
    server.known_hosts.write_text(server.line().replace("127.0.0.1", "127.0.0.3"))
    session = opened(server, address="127.0.0.3")
    with socket.create_server(("127.0.0.3", 0)) as only_there:
        session.dial("", only_there.getsockname()[1], timeout_s=5).close()
        with pytest.raises(ConnectionRefusedError):
            session.dial("127.0.0.1", only_there.getsockname()[1], timeout_s=5)


def test_an_idle_session_survives_and_closes_its_threads(sshd: Sshd) -> None:
    before = threading.active_count()
    session = opened(sshd)
    said(session, "echo\n")
    began = time.monotonic()
    session.close()
    assert time.monotonic() - began < 10, "it waits for no keepalive"
    _until(lambda: threading.active_count() <= before)


def test_connecting_writes_nothing_into_the_configuration_that_all_threads_share(sshd: Sshd) -> None:
    """Written to, it would be made anew from nothing, and whoever read it at that moment would find nothing in it."""
    transport = FabricTransport()
    merged = transport.config()._config
    transport.open(HostName("web1"), sshd.connection()).close()
    assert transport.config()._config is merged


def test_loading_the_transports_loads_no_ssh_library() -> None:
    program = (
        "import sys, rollout.transports.fabric, rollout.transports.local, rollout.checks\n"
        "print({'fabric', 'paramiko', 'tenacity', 'http.client', 'ssl'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_no_traceback_of_the_library_reaches_the_terminal() -> None:
    program = (
        "from rollout.transports.fabric import FabricTransport\n"
        "from rollout.model.host import Connection\n"
        "from rollout.errors import Unreachable\n"
        "from tests.transports.strangers import Stranger\n"
        "with Stranger('garbles') as port:\n"
        "    try: FabricTransport().open('web1', Connection(address='127.0.0.1', port=port, connect_timeout_s=1))\n"
        "    except Unreachable: print('unreachable')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("unreachable\n", "")


def _until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.fault("F32")
def test_a_host_that_vanishes_without_a_word_ends_at_the_deadline(sshd: Sshd) -> None:
    with Stranger("goes dark", sshd.port) as port:
        sshd.known_hosts.write_text(sshd.line().replace(str(sshd.port), str(port)))
        session = opened(sshd, port=port)
        assert said(session, "echo\n") == b"\n"
        Stranger.dark.set()
        with pytest.raises((Unreachable, OutcomeUnknown)):
            said(session, "echo\n", deadline_s=1)
    sshd.trust()


def test_sockets_are_not_left_open(sshd: Sshd) -> None:
    transport = FabricTransport()
    transport.open(WEB1, sshd.connection()).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(Unreachable):
            transport.open(WEB1, sshd.connection(known_hosts=("/nowhere",)))
        session = transport.open(WEB1, sshd.connection())
        said(session, "echo\n")
        session.close()
    _until(lambda: len(os.listdir("/proc/self/fd")) <= before)


@nft.NEEDS
@pytest.mark.fault("F27", "F44")
@pytest.mark.parametrize(
    ("packets", "hint"),
    [
        (("tcp dport {port} tcp flags syn",), "nobody answers there"),
        (("tcp dport {port} meta length > 600", "tcp sport {port} meta length > 600"), "MTU"),
        (("tcp sport {port} meta length > 64",), "nothing was said"),
    ],
    ids=["syn", "large ones", "all that it says"],
)
def test_packets_that_get_lost_in_a_login_end_it_in_time(sshd: Sshd, packets: tuple[str, ...], hint: str) -> None:
    began = time.monotonic()
    with nft.lost(*(p.format(port=sshd.port) for p in packets)), pytest.raises(Unreachable, match=hint):
        opened(sshd, connect_timeout_s=1.5)
    assert time.monotonic() - began < LONG
    opened(sshd).close()


@nft.NEEDS
@pytest.mark.long
@pytest.mark.fault("F29", "F32")
def test_a_peer_that_acknowledges_nothing_is_given_up_long_before_a_long_deadline(servers: Servers) -> None:
    server = servers()
    session = opened(server)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(said, session, "sleep 280\n", 290)
        time.sleep(1)
        began = time.monotonic()
        with nft.lost(*nft.both_ways(server.port)), pytest.raises(OutcomeUnknown, match="lost"):
            answer.result()
    assert time.monotonic() - began < 100


@pytest.mark.fault("F52")
def test_an_upload_has_time_as_long_as_it_gets_on(sshd: Sshd) -> None:
    """8 MB at 2.5 MB a second take longer than the deadline; a third of that fits into sockets at once."""
    wire = Wire(sshd.port, rate=2_500_000)
    sshd.known_hosts.write_text(sshd.line() + sshd.line().replace(str(sshd.port), str(wire.port)))
    session = opened(sshd, port=wire.port)
    raw = session.run(framed("wc -c\n"), io.BytesIO(bytes(8_000_000)), deadline_s=2.5)
    assert raw.stdout.split() == [b"8000000"]
    threading.Timer(0.5, wire.hold, [Way.UP]).start()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="in time"):
        session.run(framed("wc -c\n"), io.BytesIO(bytes(8_000_000)), deadline_s=1.5)
    assert time.monotonic() - began < LONG
    wire.close()
    sshd.trust()
