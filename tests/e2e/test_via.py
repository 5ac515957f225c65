"""What is said to a balancer's host goes astray, each word once: its reply after the effect, or the word before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from rollout.model.pool import Member, Rotation
from rollout.model.release import Site
from rollout.posix import frame
from rollout.posix.layout import HOME
from rollout.posix.op import AskBalancer, Epoch, Op, TellBalancer
from tests.e2e.between import Between, Lookout, between, says
from tests.e2e.fronts import Front, Fronts, Users, fronts_of
from tests.e2e.lab import Lab
from tests.e2e.wires import at_work
from tests.referee.place import Front as Seen
from tests.referee.watching import place_of, refereed
from tests.wire import Link, Way, Wire

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(400)]

POOL = "shop"
NEXT = {  # by the step of the host that moves, and what its balancer has of it
    ("deregister", Rotation.READY): "state drain",
    ("deregister", Rotation.DRAIN): "state maint",
    ("register", Rotation.MAINT): "health down",
    ("register", Rotation.DRAIN): "state ready",
}
WORDS = tuple(NEXT.values())

Fault = Callable[[Link], None]


def length(do: AskBalancer | TellBalancer) -> int:
    """Return how many bytes go to the host for something that is said there."""
    epoch, site = Epoch(number=1, rollout="r", sequence=1), Site(root=HOME, app=POOL, environment="default")
    return len(frame.render(Op(id="r.1", epoch=epoch, site=site, do=do, timeout_s=10.0), "0" * 32))


ASKED, TOLD = (length(do(lines=("show info",), socket="/admin.sock")) for do in (AskBalancer, TellBalancer))
A_WORD = (ASKED + TOLD) // 2  # no question is so long, and no word so short


@pytest.fixture
def front(lab: Lab) -> Iterator[tuple[Fronts, Front]]:
    """One balancer before all hosts, on a host of its own. Release v1 is there."""
    with fronts_of(lab, lb=lab.hosts) as fronts:
        play = fronts.play()
        done = lab.apply("v1", *fronts.inventory, play=play)
        assert done.returncode == 0, done.stdout + done.stderr
        yield fronts, fronts["lb"]


@dataclass(eq=False)
class Lost:
    """Watches the wire of the balancer's host: each word about one host is lost once, before it is there."""

    lab: Lab
    front: Front
    fault: Fault
    host: str
    said: Between
    left: list[str] = field(default_factory=lambda: list(WORDS))
    links: list[Link] = field(default_factory=list)  # that it struck
    _came: int = 0  # since the host said something

    def __call__(self, link: Link, way: Way, data: bytes) -> None:
        """Look at a piece before it goes on."""
        self._came = 0 if way is Way.DOWN else self._came + len(data)
        if self._came < A_WORD or link in self.links:
            return
        step = at_work(self.lab.state, self.host)
        admin = self.front.members()[Member(self.host)].admin
        word = NEXT.get((step.action, admin)) if step else None  # type: ignore[arg-type]
        if word in self.left:
            assert not times(self.said, self.host, word), "it is lost before it is there"
            self.left.remove(word)
            self.links.append(link)
            self.fault(link)


def times(said: Between, host: str, word: str) -> int:
    """Count how often the balancer heard a word about a host; what is put in to be checked is drained in that word."""
    about = [line for line in said.heard if f"{POOL}/{host} {word}" in line]
    return sum(word != "state drain" or "health down" not in line for line in about)


def cut(link: Link) -> None:
    link.reset()


def deaf(link: Link) -> None:
    """Let what is said to the host wait, until the wire is healed."""
    link.held.add(Way.UP)


def mute(link: Link) -> None:
    """Let what the host says wait."""
    link.held.add(Way.DOWN)


def rolled(fronts: Fronts, front: Front) -> None:
    """Roll v2 out before users and a referee; nobody notices anything."""
    lab = fronts.lab
    pools = {"shop@lb": Seen(socket=str(front.balancer.socket), backend=POOL)}
    place = replace(place_of(lab), pools=pools, url=f"http://127.0.0.1:{front.port}/")
    with refereed(lab, place), Users([front.port]) as users, Lookout(lab, str(front.balancer.socket)) as lookout:
        done = lab.apply("v2", *fronts.inventory, play=fronts.play())
        print(done.stdout, done.stderr)
        assert done.returncode == 0
    assert users.served
    assert not users.failed
    assert all(lookout.ever_out(host) for host in lab.hosts)
    assert {(lab.current(h), lab.serves(h)) for h in lab.hosts} == {("v2", "v2")}
    assert front.all_in()


def strike(wire: Wire, fault: Fault, struck: list[Link]) -> None:
    """Strike every connection that stands."""
    for link in [one for one in wire.links if not (one.ended.is_set() or one.dead or one in struck)]:
        struck.append(link)
        fault(link)


@pytest.mark.fault("F29")
@pytest.mark.parametrize("fault", [cut, mute])
def test_a_reply_of_a_balancers_host_is_lost_after_the_effect_of_each_word(
    front: tuple[Fronts, Front], fault: Fault
) -> None:
    """It is asked what is so, over another connection; where that may still change, it is said once more."""
    fronts, one = front
    struck: list[Link] = []
    with one.wired() as wire, between(one.balancer.socket) as made:
        one.spoken = made.path
        made.after += [(says(f"{POOL}/lab1 ", word), lambda: strike(wire, fault, struck)) for word in WORDS]
        rolled(fronts, one)
        assert not made.after, made.heard
        assert len(struck) >= len(WORDS)
        wire.heal()
    assert all(1 <= times(made, "lab1", word) <= 2 for word in WORDS), made.heard


@pytest.mark.fault("F30")
@pytest.mark.parametrize("fault", [cut, deaf])
def test_each_word_to_a_balancers_host_is_lost_before_its_effect(front: tuple[Fronts, Front], fault: Fault) -> None:
    """It is said again, and what comes late, when all is over, is not heeded."""
    fronts, one = front
    with one.wired() as wire, between(one.balancer.socket) as made:
        one.spoken = made.path
        watch = wire.watch = Lost(lab=fronts.lab, front=one, fault=fault, host="lab1", said=made)
        rolled(fronts, one)
        assert not watch.left, made.heard
        heard = list(made.heard)
        late = [link for link in watch.links if link.held]
        assert len(late) == (len(WORDS) if fault is deaf else 0)
        wire.heal()
        assert all(link.ended.wait(20) for link in late)
    assert made.heard == heard, "what came late was not passed on to the balancer"
    assert one.all_in()
    assert {word: times(made, "lab1", word) for word in WORDS} == dict.fromkeys(WORDS, 1)
