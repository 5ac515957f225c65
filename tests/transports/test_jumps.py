"""Jump hosts: real sshds one behind the other, and what each of them saw."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.errors import HostKeyRefused, OutcomeUnknown, Unreachable
from rollout.model.host import Connection, Hop, HostName
from rollout.transports.fabric import FabricTransport
from rollout.transports.governor import Governor
from rollout.transports.session import SshSession
from rollout.transports.tunnel import tunnel
from tests.ports import free_port
from tests.sshd import Sshd
from tests.transports.conftest import WEB1, framed
from tests.transports.strangers import Stranger

pytestmark = pytest.mark.timeout(90)

Servers = Callable[..., Sshd]
LONG = 20.0  # seconds: far more than what is to end soon takes on a busy machine


@pytest.fixture(scope="module")
def bastion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("bastion"))
    yield server
    server.stop()


def hop(server: Sshd, name: str = "bastion", **changes: object) -> Hop:
    c = server.connection(**changes)
    return Hop(name=name, address=c.address, port=c.port, user=c.user, key_files=c.key_files)


def behind(target: Sshd, *hops: Hop, known: tuple[Sshd, ...], **changes: object) -> Connection:
    """Return the way to a target through these hops; ``known``: whose host keys are on record."""
    files = tuple(str(s.known_hosts) for s in known)
    return replace(target.connection(**changes), jump=hops, known_hosts=files)


def said(session: SshSession, script: str, payload: bytes | None = None, deadline_s: float = LONG) -> bytes:
    stream = io.BytesIO(payload) if payload is not None else None
    return session.run(framed(script), stream, deadline_s=deadline_s).stdout


def logins(server: Sshd) -> int:
    return server.log.count("Accepted publickey")


def serving(server: Sshd) -> bool:
    """Whether somebody is connected."""
    return len(server._family()) > 1


def tunnels() -> int:
    return sum(t.name.startswith("rollout-tunnel") for t in threading.enumerate())


def ends(what: Callable[[], bool]) -> bool:
    """Whether it comes to be so before long."""
    by = time.monotonic() + LONG
    while not what() and time.monotonic() < by:
        time.sleep(0.05)
    return what()


def test_all_hosts_behind_a_bastion_share_one_login_on_it(servers: Servers) -> None:
    gate, target = servers(), servers()
    transport = FabricTransport()
    way = behind(target, hop(gate), known=(gate, target))
    names = [HostName(f"web{n}") for n in range(12)]
    with ThreadPoolExecutor(12) as threads:
        sessions = list(threads.map(lambda name: transport.open(name, way), names))
    payload = bytes(range(256)) * 8192
    with ThreadPoolExecutor(12) as threads:
        counted = list(threads.map(lambda s: said(s, "wc -c\n", payload).strip(), sessions))
    assert counted == [str(len(payload)).encode()] * 12
    assert (logins(gate), logins(target)) == (1, 12)
    where = sessions[0].dial("", target.port, timeout_s=LONG)  # a stream from the target, through both
    assert where.recv(4) == b"SSH-"
    where.close()
    sessions[0].close()
    assert said(sessions[1], "echo there\n") == b"there\n", "one who leaves takes nobody along"
    for session in sessions[1:]:
        session.close()
    assert ends(lambda: not serving(gate)), "the last one closes it"
    assert ends(lambda: tunnels() == 0)


def test_a_rollout_keeps_what_nobody_uses_for_a_while(servers: Servers) -> None:
    gate, inner, target = servers(), servers(), servers()
    transport = FabricTransport()
    way = behind(target, hop(gate), hop(inner, "inner"), known=(gate, inner, target))
    with transport.ways.kept():
        for _ in range(2):
            transport.open(WEB1, way).close()
        assert (logins(gate), logins(inner)) == (1, 1)
        assert ends(lambda: not serving(target)), "what is closed here ends there, though the bastion stays"
        inner.cut()
        assert ends(lambda: not all(one.usable for one in transport.ways._shared.values()))
        session = transport.open(WEB1, way)
        assert said(session, "echo again\n") == b"again\n"
        session.close()
        assert (logins(gate), logins(inner)) == (1, 2), "the one that died is opened anew"
        kept = list(transport.ways._shared.values())
        assert all(one.usable for one in kept)
    assert not any(one.usable for one in kept), "closed at the end"
    assert transport.ways._shared == {}, "and the one that died holds nobody"
    assert ends(lambda: not serving(gate))


@pytest.mark.bad("B86")
def test_three_hops_in_order_each_by_its_own_key(servers: Servers) -> None:
    gates = [servers() for _ in range(3)]
    target = servers()
    hops = [hop(g, f"gate{n}") for n, g in enumerate(gates)]
    session = FabricTransport().open(WEB1, behind(target, *hops, known=(*gates, target)))
    assert said(session, "echo far\n") == b"far\n"
    assert [logins(g) for g in (*gates, target)] == [1, 1, 1, 1]
    assert session.took_s > 0
    assert session.label.endswith(" through gate0, gate1, gate2)")
    session.close()
    assert ends(lambda: not any(map(serving, gates))), "the first as well as the last"


@pytest.mark.bad("B86")
@pytest.mark.parametrize("unknown", [0, 1, 2])
def test_the_key_of_every_hop_is_verified_under_its_own_name(servers: Servers, unknown: int) -> None:
    chain = [servers() for _ in range(3)]
    names = ("gate0", "gate1", "web1")
    known = tuple(s for n, s in enumerate(chain) if n != unknown)
    way = behind(chain[2], hop(chain[0], "gate0"), hop(chain[1], "gate1"), known=known)
    transport = FabricTransport()
    with pytest.raises(HostKeyRefused) as refused:
        transport.open(WEB1, way)
    assert transport.ways._shared == {}, "nor is anything left open"
    where = f"[127.0.0.1]:{chain[unknown].port}"
    assert f"the host key of {where} is unknown" in str(refused.value)
    assert str(refused.value).startswith("web1 (")
    assert str(refused.value).count("its jump") == 2 - unknown
    assert f"{names[unknown]} (" in str(refused.value).split(": the host key")[0].rsplit("its jump ", 1)[-1]
    assert [logins(s) for s in chain] == [1] * unknown + [0] * (3 - unknown), "and nobody is logged in to beyond it"


@pytest.mark.bad("B86")
def test_a_key_of_another_hop_vouches_for_nobody(servers: Servers, tmp_path: Path) -> None:
    """The bastion's own key shown by what stands behind it is another host's key all the same."""
    gate, target = servers(), servers()
    recorded = tmp_path / "swapped"
    recorded.write_text(gate.line() + target.line(gate.host_key))
    way = replace(behind(target, hop(gate), known=()), known_hosts=(str(recorded),))
    with pytest.raises(HostKeyRefused, match="is not the recorded one"):
        FabricTransport().open(WEB1, way)


@pytest.mark.bad("B86")
def test_new_keys_of_every_hop_are_recorded_where_the_play_says_so(servers: Servers, tmp_path: Path) -> None:
    gate, target = servers(), servers()
    recorded = tmp_path / "known"
    way = replace(behind(target, hop(gate), known=()), known_hosts=(str(recorded),), host_keys="accept-new")
    FabricTransport().open(WEB1, way).close()
    assert recorded.read_text() == gate.line() + target.line()


@pytest.mark.fault("F41")
def test_a_bastion_that_dies_takes_all_behind_it_at_once_and_is_named(servers: Servers) -> None:
    gate, target = servers(), servers()
    transport = FabricTransport()
    way = behind(target, hop(gate), known=(gate, target))
    sessions = [transport.open(HostName(f"web{n}"), way) for n in range(4)]
    threading.Timer(1.0, gate.stop).start()
    began = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        going = [threads.submit(said, s, "echo begun; sleep 60\n", None, 60) for s in sessions]
    for one in going:
        with pytest.raises(OutcomeUnknown, match=r"through bastion.*lost"):
            one.result()
    assert time.monotonic() - began < LONG
    with pytest.raises(Unreachable, match=r"^web1 .*: its jump bastion \(.*: nothing listens on that port"):
        transport.open(WEB1, way)
    gate.start()
    session = transport.open(WEB1, way)
    assert said(session, "echo back\n") == b"back\n"
    for one in (*sessions, session):
        one.close()
    assert ends(lambda: tunnels() == 0)
    assert transport.ways._shared == {}


def test_all_of_it_ends_within_the_time_of_one_connection() -> None:
    """A bastion that says nothing: everybody who waits for it hears of it together, none after the other."""
    transport = FabricTransport()

    def fails(n: int, port: int) -> str:
        bastion = Hop(name="bastion", address="127.0.0.1", port=port)
        way = Connection(address="10.0.0.1", connect_timeout_s=2.0, jump=(bastion,))
        with pytest.raises(Unreachable) as failed:
            transport.open(HostName(f"web{n}"), way)
        return str(failed.value)

    began = time.monotonic()
    with Stranger("silent") as port, ThreadPoolExecutor(8) as threads:
        said = list(threads.map(fails, range(8), [port] * 8))
    assert time.monotonic() - began < 2.0 * 4, "eight, and one wait"
    assert all("its jump bastion (" in one and "no SSH session within 2 s" in one for one in said)
    assert [one.split(" ")[0] for one in said] == [f"web{n}" for n in range(8)]


def test_who_waits_for_a_bastion_holds_no_place_that_it_needs(servers: Servers) -> None:
    gate, target = servers(), servers()
    transport = FabricTransport(governor=Governor(total=2))
    way = behind(target, hop(gate), known=(gate, target))
    with ThreadPoolExecutor(4) as threads:
        sessions = list(threads.map(lambda n: transport.open(HostName(f"web{n}"), way), range(4)))
    for session in sessions:
        session.close()
    assert logins(gate) == 1


def test_one_address_behind_a_jump_and_here_are_two_hosts(servers: Servers, bastion: Sshd) -> None:
    """Logins at the one wait for none at the other."""
    target = servers()
    transport = FabricTransport(governor=Governor(per_destination=1))
    way = behind(target, hop(bastion), known=(bastion, target))
    with transport.governor.place(way.place), ThreadPoolExecutor(1) as threads:
        threads.submit(transport.open, WEB1, way).result(LONG).close()


def test_what_the_bastion_says_of_hosts_that_it_does_not_reach(servers: Servers, bastion: Sshd) -> None:
    nobody = replace(bastion.connection(), port=free_port(), jump=(hop(bastion),))
    with pytest.raises(Unreachable, match=r"bastion does not get there .*refused the connection"):
        FabricTransport().open(WEB1, nobody)
    unnamed = replace(nobody, address="no-such-host.invalid")
    with pytest.raises(Unreachable, match="does its name resolve on bastion"):
        FabricTransport().open(WEB1, unnamed)
    strict = servers("AllowTcpForwarding no")
    barred = replace(behind(bastion, hop(strict), known=(strict, bastion)))
    with pytest.raises(Unreachable, match=r"bastion forwards nothing to it.*AllowTcpForwarding"):
        FabricTransport().open(WEB1, barred)


def test_names_behind_a_jump_are_resolved_there_and_not_here(
    servers: Servers, bastion: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = servers()
    known = tmp_path / "known"
    known.write_text(bastion.line() + target.line().replace("127.0.0.1", "localhost"))
    asked: list[str] = []
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: asked.append(host) or real(host, *a, **k))
    way = replace(target.connection(), address="localhost", jump=(hop(bastion),), known_hosts=(str(known),))
    FabricTransport().open(WEB1, way).close()
    assert "127.0.0.1" in asked
    assert "localhost" not in asked


def test_the_time_that_the_bastion_took_is_taken_off_that_of_the_host(bastion: Sshd) -> None:
    transport = FabricTransport()
    with Stranger("silent") as port:
        way = Connection(address="127.0.0.1", port=port, jump=(hop(bastion),), connect_timeout_s=3 * LONG)
        passage = transport.ways.through(bastion.connection(), lambda: transport.open(WEB1, bastion.connection()))
        assert passage.took_s > 0
        began = time.monotonic()
        with pytest.raises(Unreachable, match="no SSH session within 60 s"):
            transport._opened("web1", way, replace(passage, took_s=3 * LONG))
        assert time.monotonic() - began < LONG
        passage.leave()


def test_nobody_carries_on_what_nobody_takes_once_it_was_hung_up(
    bastion: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host behind that takes no more bytes: every window on the way is full when this end is closed."""
    monkeypatch.setattr("rollout.transports.tunnel.LOOK_S", 0.2)
    session = FabricTransport().open(WEB1, bastion.connection())
    with socket.create_server(("127.0.0.1", 0)) as lazy:
        ours = tunnel(session.dial("127.0.0.1", lazy.getsockname()[1], timeout_s=LONG))
        ours.settimeout(1.0)
        with pytest.raises(TimeoutError):
            ours.sendall(bytes(64_000_000))
        assert tunnels() == 2
        ours.close()
        assert ends(lambda: tunnels() == 0)
    session.close()
