"""The network fails under whole rollouts, at chosen moments; what is so afterwards is looked at past rollout."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import nft
from tests.e2e import names
from tests.e2e.lab import Lab
from tests.e2e.tunnel import Tunnel
from tests.e2e.wires import Faulty, Passing, answered, asked, commanded, delayed, journal, wired
from tests.wire import Link, Way

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]

CHANGES = ("stage", "switch", "run", "register", "keep")  # the steps that say something to a host that changes it
COUNTED = "min_in_service: 2\n  hooks: { after_service: { shell: 'echo $ROLLOUT_RELEASE >>../../shared/ran' } }"


def records(lab: Lab, host: str) -> frozenset[str]:
    """Return the names of what a host has on record: written when the effect is there, before the answer goes out."""
    ops = lab.fleet.host(host).root / ".rollout" / "ops"
    return frozenset(p.name for p in ops.iterdir() if p.suffix != ".begun") if ops.exists() else frozenset()


def ran(lab: Lab, host: str) -> list[str]:
    return (lab.fleet.host(host).root / "shared" / "ran").read_text().split()


def pid(lab: Lab, host: str) -> str:
    return (lab.fleet.host(host).root / ".rollout" / "pid").read_text().split()[0]


def kex_fails(link: Link, way: Way, data: bytes) -> None:
    """Break the first two connections in the middle of their key exchange."""
    if link in link.wire.links[:2] and link.came[Way.DOWN] > 200:
        link.reset()


@pytest.mark.fault("F28", "F29", "F30")
def test_at_every_moment_of_every_step(served: Lab) -> None:
    moments = {"lab1": answered(lambda: records(served, "lab1")), "lab2": commanded, "lab3": asked}
    with wired(served) as wires:
        for host, fault in moments.items():
            wires[host].watch = Faulty(served, host, {(kind, False): fault for kind in CHANGES})
        wires["lab4"].watch = kex_fails
        done = served.apply("v2", play={"extra": COUNTED})
        print(done.stdout, done.stderr)
        assert done.returncode == 0
        for host in moments:
            assert [kind for kind, _ in wires[host].watch.struck] == list(CHANGES), host
        assert len(wires["lab4"].links) > 2
    assert served.all_on("v2")
    assert {h: ran(served, h) for h in served.hosts} == {h: ["v2"] for h in served.hosts}, "once"


@pytest.mark.fault("F29", "F30")
def test_on_the_way_back_and_what_is_delivered_after_it(served: Lab) -> None:
    back = answered(lambda: records(served, "lab1"))
    with wired(served, "lab1") as wires:
        faults = {("switch", True): back, ("discard", True): back, ("register", True): back, ("switch", False): delayed}
        watch = wires["lab1"].watch = Faulty(served, "lab1", faults)
        done = served.apply("v2", broken="unhealthy", play={"deadline": "2s"})
        print(done.stdout, done.stderr)
        print(watch.struck)
        assert done.returncode == 4
        assert served.all_on("v1")
        runs = pid(served, "lab1")
        late = next(link for link in wires["lab1"].links if link.parted)
        wires["lab1"].heal()
        assert late.ended.wait(20)
    served.wait(lambda: served.fleet.apps("lab1") == [int(runs)], "what was delivered late has ended")
    assert served.all_on("v1")
    assert pid(served, "lab1") == runs, "and nothing was started anew"


@pytest.fixture
def tunnel(lab: Lab, tmp_path: Path) -> Iterator[Tunnel]:
    """Workers that are all reached through one bastion, and serve v1; short limits, so that waits end soon."""
    lab.words.update(balancers="none", deadline="8s", extra="min_in_service: 2\n  limits: { step_timeout: 8s }")
    assert lab.apply("v1").returncode == 0
    one = Tunnel(lab, tmp_path / "bastion")
    yield one
    one.close()


def cut_in_the_second_batch(tunnel: Tunnel) -> subprocess.Popen[str]:
    """Begin to roll v2 out, and kill the bastion when the first host is done and two are on their way."""
    lab = tunnel.lab
    lab.release("v2", start_s=1.0)
    going = lab.begin("v2", "-y", "--output", "plain")
    lab.wait(lambda: lab.current("lab2") == "v2" == lab.current("lab3"), "the second batch")
    tunnel.die()
    return going


def ended(going: subprocess.Popen[str], code: int) -> str:
    said, _ = going.communicate(timeout=200)
    print(said)
    assert going.returncode == code
    return said


@pytest.mark.fault("F41")
def test_a_bastion_that_comes_back_has_been_waited_for(tunnel: Tunnel) -> None:
    """Who is done stays so: a network says nothing about a release. Who was midway is healed; nobody is left out."""
    lab = tunnel.lab
    going = cut_in_the_second_batch(tunnel)
    lab.wait(lambda: "host_sickened" in [e["kind"] for e in journal(lab.state)], "that a done host cannot be asked")
    tunnel.come_back()
    said = ended(going, 3)
    assert "cause: the connection" in said
    assert "1 host on v2, in rotation when last seen, and then out of reach: lab1" in said
    assert [lab.serves(h) for h in lab.hosts] == ["v2", "v1", "v1", "v1"]
    assert [lab.current(h) for h in lab.hosts] == ["v2", "v1", "v1", "v1"]
    assert "STRANDED" not in said
    assert lab.apply("v2", start_s=1.0).returncode == 0


@pytest.mark.long
@pytest.mark.fault("F41")
def test_a_bastion_that_stays_away_leaves_everybody_named_and_done_hosts_as_they_are(tunnel: Tunnel) -> None:
    lab = tunnel.lab
    said = ended(cut_in_the_second_batch(tunnel), 5)
    assert "3 hosts could not be reached any more (lab1, lab2, lab3): look first at what they have in common" in said
    assert "1 host on v2, in rotation when last seen, and then out of reach: lab1" in said
    assert "STRANDED lab2" in said
    assert "STRANDED lab3" in said
    assert [lab.serves(h) for h in lab.hosts] == ["v2", "v2", "v2", "v1"], "nothing was changed behind its back"
    tunnel.come_back()
    assert lab.apply("v2", start_s=1.0).returncode == 0
    assert {lab.serves(h) for h in lab.hosts} == {"v2"}


@nft.NEEDS
@names.NEEDS
@pytest.mark.fault("F42", "F43")
def test_names_mean_what_they_meant_when_the_rollout_began(served: Lab) -> None:
    """One has an address of IPv6 that nobody answers under; others mean something else, or nothing, once it began."""
    meant = {"lab1": ("::1", "127.0.0.1"), "lab2": ("127.0.0.1",), "lab3": ("127.0.0.1",)}
    with wired(served, *meant) as wires, names.named(served, meant):

        def changes(link: Link, way: Way, now: Passing) -> bool:
            """Break the connection, so that another one is needed, when names have just changed."""
            names.say(served, {"lab1": ("::1",), "lab2": ("127.0.0.9",), "lab4": ()})
            return asked(link, way, now)

        for host in meant:
            wires[host].watch = Faulty(served, host, {("switch", False): changes})
        with nft.lost(f"ip6 daddr ::1 tcp dport {wires['lab1'].port}"):
            done = served.apply("v2", play={"connect_timeout": "3s"})
        print(done.stdout, done.stderr)
        assert done.returncode == 0
        assert all(wire.watch.struck for wire in wires.values())
    assert served.all_on("v2")
