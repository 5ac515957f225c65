"""What goes wrong, and when: faults of single messages, and incidents that befall hosts and balancers."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from rollout.testing.balancer import SimulatedBalancer

Fault = Literal[
    "unreachable",  # nothing is sent
    "lose command",  # sent, never delivered
    "late command",  # sent, delivered long after it was given up
    "lose reply",  # delivered and done, and nobody hears of it
    "twice",  # delivered twice
    "reboot",  # done, then the host restarts and its process is gone; the reply is lost
]
WriteFault = Literal[
    "refuse",
    "lose command",
    "lose reply",
    "late command",  # heard long after it was given up, unless something newer was heard before: so does a fence
]
Death = Literal["before", "after"]  # it took effect
What = Literal["tell", "write"]  # to a host, and to a balancer
Moment = Literal[
    "sending",  # it is about to be sent, and never is
    "done",  # what it says was done, or a part of it, and nobody has heard
    "answered",  # the reply has come
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
WRITE_FAULTS: tuple[WriteFault, ...] = get_args(WriteFault)

Kind = Literal[
    "partition",  # a host cannot be reached for a while; what is under way gets lost
    "frozen",  # it takes connections and answers nothing for a while; then it does what it was told
    "dead",  # it is gone for good, its application with it
    "killed",  # its application dies, and nobody starts it again
    "restart",  # it restarts: files stay, the application is not started
    "disk full",
    "drift",  # somebody points ``current`` at a third release
    "fenced",  # a newer rollout of the app has been there
    "operator out",  # somebody takes the member out of a pool by hand
    "operator in",  # somebody puts it in
    "held",  # a session of it never ends by itself
    "silent",  # a balancer cannot be talked to for a while
    "deaf",  # a balancer refuses every write for a while
    "reload",  # a balancer begins anew from its configuration
]
KINDS: tuple[Kind, ...] = get_args(Kind)
OF_POOLS: frozenset[Kind] = frozenset({"silent", "deaf", "reload"})
OF_MEMBERS: frozenset[Kind] = frozenset({"operator out", "operator in", "held"})


class Crashed(BaseException):
    """The controller is gone. Not an Exception: nothing in the program may catch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that happens ``at_s`` seconds after the start, to the host of this number, for a while."""

    kind: Kind
    at_s: float
    host: int = 0
    pool: int = 0
    for_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that went wrong, for the oracles; ``where`` is the host, or the pool."""

    at: float
    what: str
    where: str


@dataclass(slots=True, kw_only=True)
class Script:
    """Which messages meet which fault, by their number over the whole run; and what happens beside them."""

    tells: dict[int, Fault] = field(default_factory=dict)
    writes: dict[int, WriteFault] = field(default_factory=dict)
    reloads: frozenset[int] = frozenset()  # the balancer reloads right after this write
    unreadable: frozenset[int] = frozenset()  # reads that fail
    deaths: dict[int, Death] = field(default_factory=dict)  # writes around which their balancer dies for good
    last_words: frozenset[int] = frozenset()  # reads at which their balancer dies for good
    stops: dict[int, int] = field(default_factory=dict)  # messages to hosts that are stopped at this point of theirs
    halves: dict[int, int] = field(default_factory=dict)  # writes of which so many lines take effect
    crashes: dict[tuple[What, int], Moment] = field(default_factory=dict)  # messages at which the controller dies
    incidents: tuple[Incident, ...] = ()
    told: int = 0
    written: int = 0
    read: int = 0
    points: list[int] = field(default_factory=list)  # of each message to a host: where it could have been stopped
    lines: list[int] = field(default_factory=list)  # of each write: of so many lines it was made

    def tell(self) -> int:
        """Count a message that changes something on a host; return its number."""
        number, self.told = self.told, self.told + 1
        self.points.append(0)
        self.crash("tell", number, "sending")
        return number

    def write(self, lines: int) -> int:
        """Count a write to a balancer; return its number."""
        number, self.written = self.written, self.written + 1
        self.lines.append(lines)
        self.crash("write", number, "sending")
        return number

    def lay_on(self, balancer: SimulatedBalancer, number: int) -> None:
        """Prepare a balancer for what goes wrong with the write of this number."""
        match self.writes.get(number):
            case "refuse":
                balancer.refuse_next()
            case "lose command":
                balancer.lose_command()
            case "lose reply":
                balancer.lose_reply()
        if number in self.halves:
            balancer.lose_reply(after=self.halves[number])

    def crash(self, what: What, number: int, moment: Moment) -> None:
        """Raise Crashed where the controller dies at this moment of this message."""
        if self.crashes and self.crashes.get((what, number)) == moment:
            raise Crashed

    @classmethod
    def random(cls, seed: int, *, faults: int, messages: int = 60) -> Script:
        """Return a script with so many faults of messages at random places."""
        dice = random.Random(seed)  # noqa: S311 - a simulation wants to be repeated
        script = cls()
        for _ in range(faults):
            at = dice.randrange(messages)
            kind = dice.choice(("tell", "tell", "tell", "write", "reload", "read"))
            if kind == "tell":
                script.tells[at] = dice.choice(FAULTS)
            elif kind == "write":
                script.writes[at % 20] = dice.choice(WRITE_FAULTS)
            elif kind == "reload":
                script.reloads |= {at % 20}
            else:
                script.unreadable |= {at}
        return script


def random_incidents(seed: int, *, count: int, hosts: int, pools: int, within_s: float = 40.0) -> tuple[Incident, ...]:
    """Return so many incidents at random times and places; without pools none of theirs."""
    dice = random.Random(seed)  # noqa: S311 - a simulation wants to be repeated
    kinds = [k for k in KINDS if pools or k not in OF_POOLS | OF_MEMBERS]
    return tuple(
        Incident(
            kind=dice.choice(kinds),
            at_s=dice.random() * within_s,
            host=dice.randrange(hosts),
            pool=dice.randrange(max(1, pools)),
            for_s=dice.choice((2.0, 15.0, 60.0, 400.0)),
        )
        for _ in range(count)
    )


def cut_off(hosts: Iterable[int], *, at_s: float, for_s: float) -> tuple[Incident, ...]:
    """Return the partition of these hosts, all at once: of those behind a jump host that dies."""
    return tuple(Incident(kind="partition", at_s=at_s, host=host, for_s=for_s) for host in sorted(hosts))


def swizzled(seed: int, *, hosts: int, within_s: float = 40.0) -> tuple[Incident, ...]:
    """Return the partition of some hosts, one by one, which heal one by one in another order."""
    dice = random.Random(seed)  # noqa: S311 - a simulation wants to be repeated
    gone = dice.sample(range(hosts), dice.randint(1, hosts))
    cut_s = sorted(dice.random() * within_s for _ in gone)
    healed_s = sorted(cut_s[-1] + dice.random() * dice.choice((5.0, 60.0)) for _ in gone)
    back = dict(zip(dice.sample(gone, len(gone)), healed_s, strict=True))
    return tuple(
        Incident(kind="partition", at_s=at_s, host=host, for_s=back[host] - at_s)
        for host, at_s in zip(gone, cut_s, strict=True)
    )
