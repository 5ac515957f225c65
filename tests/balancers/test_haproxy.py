"""What only a real HAProxy can show: permissions, odd servers, its way of printing them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollout.balancers.haproxy import Haproxy as Adapter
from rollout.errors import BalancerError
from rollout.model.pool import HaproxyPool, Member, PoolName, Rotation
from tests.haproxy import Apps, Haproxy, wait_for

pytestmark = pytest.mark.lab

A, PLAIN = Member("a"), Member("plain")


@pytest.fixture(scope="module")
def haproxy() -> Iterator[Haproxy]:
    """One process for all tests here; each leaves the servers it changed as they were."""
    apps = Apps("a", "plain", "tracker", "spare", "light", "off", "slow")
    options = {
        "tracker": "track shop/a",
        "spare": "backup",
        "light": "weight 0",
        "off": "disabled",
    }
    unchecked = frozenset({"plain", "tracker"})
    ports = {name: app.port for name, app in apps.apps.items()}
    with Haproxy(ports, unchecked=unchecked, options=options) as running:
        yield running
    apps.close()


@pytest.fixture
def adapter(haproxy: Haproxy) -> Adapter:
    return Adapter.of(HaproxyPool(name=PoolName("shop"), backend="shop", socket=haproxy.socket))


def test_odd_servers_are_noted(adapter: Adapter) -> None:
    members = adapter.read().members
    assert {m: s.note for m, s in members.items()} == {
        "a": "",
        "plain": "",
        "tracker": "tracks shop/a",
        "spare": "backup",
        "light": "weight 0",
        "off": "disabled in the configuration",
        "slow": "",
    }
    assert {m for m, s in members.items() if not s.checked} == {"plain", "tracker"}
    assert (members[Member("light")].admin, members[Member("off")].admin) == (Rotation.DRAIN, Rotation.MAINT)


def test_addresses_are_read(adapter: Adapter, haproxy: Haproxy) -> None:
    assert adapter.read().members[A].address == f"127.0.0.1:{haproxy.servers['a']}"


def test_disabled_by_configuration_can_be_readied(adapter: Adapter) -> None:
    """CMAINT stays set, and the server gets traffic all the same."""
    off = Member("off")
    adapter.set({off: Rotation.READY})
    assert adapter.read().members[off].admin == Rotation.READY
    adapter.set({off: Rotation.MAINT})
    assert adapter.read().members[off].admin == Rotation.MAINT


def test_a_disabled_check_is_none(adapter: Adapter, haproxy: Haproxy) -> None:
    """Health forced down where no check runs would never come up again."""
    haproxy.ask("disable health shop/slow")
    slow = Member("slow")
    adapter.set({slow: Rotation.MAINT})
    adapter.set({slow: Rotation.CHECKING})
    state = adapter.read().members[slow]
    assert (state.checked, state.admin, state.up) == (False, Rotation.DRAIN, True)
    haproxy.ask("enable health shop/slow")
    adapter.set({slow: Rotation.READY})


def test_a_tracker_follows(adapter: Adapter) -> None:
    """A server that tracks another inherits its state; CHECKING does not force what it cannot."""
    tracker = Member("tracker")
    adapter.set({A: Rotation.DRAIN})
    inherited = adapter.read().members[tracker]
    assert (inherited.admin, inherited.note.split(";")[0]) == (
        Rotation.DRAIN,
        "drain inherited from the tracked server",
    )
    adapter.set({A: Rotation.READY})
    adapter.set({tracker: Rotation.MAINT})
    adapter.set({tracker: Rotation.CHECKING})
    assert adapter.read().members[tracker].admin == Rotation.DRAIN
    adapter.set({tracker: Rotation.READY})


@pytest.mark.fault("F84")
def test_level_user_may_only_read(haproxy: Haproxy) -> None:
    adapter = Adapter(backend="shop", socket=haproxy.user_socket)
    assert adapter.read().members[A].in_rotation
    assert "`level admin`" in adapter.read().read_only, "it is known before anything is written"
    for rotation in Rotation:
        with pytest.raises(BalancerError, match=r"shop/a: Permission denied.*level admin"):
            adapter.set({A: rotation})
    assert adapter.read().members[A].in_rotation


def test_level_admin_may_write(adapter: Adapter) -> None:
    assert adapter.read().read_only == ""


@pytest.mark.fault("F92")
def test_an_unknown_backend_is_named(haproxy: Haproxy) -> None:
    adapter = Adapter(backend="shpo", socket=haproxy.socket)
    calls = (
        adapter.read,
        lambda: adapter.set({A: Rotation.DRAIN}),
        lambda: adapter.set({A: Rotation.CHECKING}),
        lambda: adapter.shut_sessions(A, 1),
    )
    for call in calls:
        with pytest.raises(BalancerError, match=r"shpo.*No such backend.*did you mean 'shop'"):
            call()


def test_a_hundred_writes_are_a_handful_of_connections(adapter: Adapter, haproxy: Haproxy) -> None:
    def connections() -> int:
        info = dict(line.split(": ") for line in haproxy.ask("show info").splitlines() if ": " in line)
        return int(info["CumConns"])

    names = {Member(f"nobody{n}"): Rotation.DRAIN for n in range(99)} | {A: Rotation.DRAIN}
    before = connections()
    with pytest.raises(BalancerError, match=r"shop/nobody0, .*shop/nobody19 and 79 more: No such server"):
        adapter.set(names)
    assert connections() - before < 8
    assert adapter.read().members[A].admin == Rotation.DRAIN
    adapter.set({A: Rotation.READY})


def test_a_restart_is_another_generation() -> None:
    """The socket is gone meanwhile, and what comes back forgot."""
    apps = Apps("a")
    with Haproxy({"a": apps.apps["a"].port}) as haproxy:
        adapter = Adapter(backend="shop", tcp=haproxy.tcp)
        adapter.set({A: Rotation.MAINT})
        before = adapter.read()
        haproxy.stop()
        with pytest.raises(BalancerError, match=r"nobody listens there"):
            adapter.read()
        haproxy.start()
        after = adapter.read()
        assert after.generation != before.generation
        assert after.members[A].admin == Rotation.READY
        wait_for("it is up", lambda: adapter.read().members[A].in_rotation)
    apps.close()
