"""What is said to a person when a balancer on another host will not be spoken to; and that its host is fenced."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.balancers.haproxy import Haproxy
from rollout.balancers.via import ViaHost, ViaSocket
from rollout.errors import BalancerError, BalancerFenced
from rollout.model.host import Become
from rollout.model.pool import Member, Rotation
from tests.balancers.conftest import via_host
from tests.haproxy import Haproxy as Process
from tests.ports import free_port
from tests.sshd import Sshd

pytestmark = pytest.mark.lab

MEMBERS = {"a": 1, "b": 2}


def adapter(via: ViaHost, **socket: str) -> Haproxy:
    return Haproxy(backend="shop", over=ViaSocket(via=via, deadline_s=1.0, **socket))


def test_one_round_trip_for_a_reading_and_one_for_a_writing(via: ViaHost, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    tell = ViaHost.tell
    monkeypatch.setattr(ViaHost, "tell", lambda *a, **k: (said.append(a[1].kind), tell(*a, **k))[1])
    with Process(MEMBERS) as haproxy:
        balancer = adapter(via, path=haproxy.socket)
        balancer.read()
        balancer.set({Member("a"): Rotation.CHECKING, Member("b"): Rotation.MAINT})
        assert balancer.read().members[Member("b")].admin is Rotation.MAINT
    assert said == ["ask_balancer", "tell_balancer", "ask_balancer"]


def test_an_older_rollout_changes_nothing(via: ViaHost, lb: Sshd) -> None:
    newer = via_host(lb.connection(), "r2", 2)
    with Process(MEMBERS) as haproxy:
        adapter(newer, path=haproxy.socket).set({Member("a"): Rotation.DRAIN})
        with pytest.raises(BalancerFenced, match=r"admin.sock on lb1: E_FENCED: rollout r2 \(epoch 2\) has been here"):
            adapter(via, path=haproxy.socket).set({Member("a"): Rotation.READY})
        assert adapter(via, path=haproxy.socket).read().members[Member("a")].admin is Rotation.DRAIN
    newer.connecting.close()  # type: ignore[attr-defined]


def test_a_socket_that_nobody_made(via: ViaHost, tmp_path: Path) -> None:
    with pytest.raises(BalancerError) as error:
        adapter(via, path=str(tmp_path / "none.sock")).read()
    assert str(error.value) == (
        f"HAProxy at {tmp_path}/none.sock on lb1 cannot be asked (No such file or directory): there is no such"
        " socket. Is HAProxy running, with this path in a `stats socket` line?"
    )


def test_a_port_that_nobody_listens_on(via: ViaHost) -> None:
    with pytest.raises(BalancerError, match=r"on lb1 cannot be asked .*refused.*: nobody listens there"):
        adapter(via, tcp=f"127.0.0.1:{free_port()}").read()


def test_a_user_that_sudo_does_not_know(via: ViaHost) -> None:
    """Where sudo is missing it is named; nobody is asked for a password."""
    over = ViaSocket(via=via, path="/run/none.sock", become="nobody-of-that-name", deadline_s=1.0)
    with pytest.raises(BalancerError, match=r"sudo.*see `become` of the balancer"):
        Haproxy(backend="shop", over=over).read()


@pytest.mark.fault("F38")
def test_a_key_that_is_not_the_recorded_one(lb: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known").write_text("")
    strange = via_host(lb.connection(known_hosts=(str(tmp_path / "known"),), become=Become()))
    with pytest.raises(BalancerError, match=r"its host cannot be reached: lb1 .*host key"):
        adapter(strange, path="/run/none.sock").read()


@pytest.mark.fault("F28")
def test_a_host_that_goes_away_is_reached_again(via: ViaHost, lb: Sshd) -> None:
    with Process(MEMBERS) as haproxy:
        balancer = adapter(via, path=haproxy.socket)
        balancer.read()
        lb.cut()
        with pytest.raises(BalancerError, match="its host was asked, and did not answer"):
            balancer.read()
        assert balancer.read().members.keys() == MEMBERS.keys()
