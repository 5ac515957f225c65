"""The plays of one command with what each of them brings, and what is made of all: outsides, and one plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from rollout.app.fencing import ANY
from rollout.app.living import beating, watched
from rollout.app.outside import Acting, opened
from rollout.app.preflight import Preflight, planned
from rollout.app.provenance import user
from rollout.app.request import package_of
from rollout.app.sending import Sending, pace_of
from rollout.balancers.via import Fence
from rollout.errors import BalancerFenced, Busy, StateGone, StoreError
from rollout.model.plan import Plan, Purpose
from rollout.model.play import delegates_of
from rollout.model.trust import Trust
from rollout.perform.observe import Glance
from rollout.perform.outside import Outside
from rollout.report.text import inert
from rollout.store.leasing import SILENT_S
from rollout.store.mounts import weakness
from rollout.store.place import path_of

if TYPE_CHECKING:
    from rollout.app.guard import Guard
    from rollout.artifacts.package import Package
    from rollout.model.host import HostName
    from rollout.model.play import Play
    from rollout.model.release import Own, Release, ReleaseId
    from rollout.store.store import Store

T = TypeVar("T")
WAIT_EVERY_S = 1.0
UNASKED_S = SILENT_S / 2  # how long a lease counts as ours that cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One play, its release, and the artifact: None where it is not at hand."""

    play: Play
    release: Release
    package: Package | None = None
    trust: Trust = field(default_factory=Trust)
    own: Mapping[HostName, Own] = field(default_factory=dict)  # what the release has of its own on hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the plays of a command are looked at. ``epoch``: the number of their leases, 0 for none."""

    store: Store
    rollout: str
    epoch: int = 0
    purpose: Purpose = "apply"
    check: bool = False  # the plan is only shown: nothing is written, and no lease is taken
    allow_bad: bool = False
    leave_out: tuple[str, ...] = ()  # of an adopted release: what its manifest does not cover
    above: int | None = None  # the state was lost: the largest number that its hosts have seen
    wait_s: float = 0.0  # for a rollout that is at work
    guard: Guard | None = None  # what holds the plan to a policy
    say: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None  # what is said whatever the output is


def waited(act: Callable[[], T], wait_s: float, say: Callable[[str], None]) -> T:
    """Do what needs a lease, and wait for whoever is at work under it; raise Busy when the time is over."""
    by, said = time.monotonic() + wait_s, False
    while True:
        try:
            return act()
        except Busy as busy:
            left_s = by - time.monotonic()
            if left_s <= 0:
                raise
            if not said:
                say(f"waiting up to {wait_s:g} s: {inert(busy)}")
            said = True
            time.sleep(min(WAIT_EVERY_S, left_s))


@contextmanager
def held(look: Look, plays: Sequence[Play]) -> Iterator[Look]:
    """Hold the leases of all plays while a command looks and acts; at its end they are given back, the store closed."""
    try:
        epoch = 0 if look.check else _taken(look, plays[0].environment, [p.app for p in plays])
        with nullcontext() if look.check else beating(look.store, look.rollout, look.warn):
            yield replace(look, epoch=epoch)
    finally:
        given_back(look.store, look.rollout)
        look.store.close()


def _taken(look: Look, environment: str, apps: Sequence[str]) -> int:
    """Take the leases of these apps; who left one before it began, by a clock that was ahead, is watched first."""
    _warned_of_place(look)
    holders = {look.store.lease(environment, app).rollout for app in apps} - {""}
    left = sorted(rollout for rollout in holders if not look.store.knows(rollout))
    silent = [watched(look.store, rollout, look.say) for rollout in left]
    above = look.above or 0
    take = partial(look.store.take, environment, apps, look.rollout, user(), above=above, silent=silent)
    return waited(take, look.wait_s, look.say)


def given_back(store: Store, rollout: str) -> None:
    """Give the leases back. A state that fails says so elsewhere, and how a rollout ended does not hang on it."""
    with suppress(StoreError):  # an unfinished rollout holds its app all the same
        store.release(rollout)


def _warned_of_place(look: Look) -> None:
    """Say that the state lies where it is kept worse than on a disk."""
    path = path_of(look.store.place)
    if path and (weak := weakness(path)):
        look.say(f"warning: {weak}")


@contextmanager
def glancing(play: Play, rollout: str, release: ReleaseId) -> Iterator[tuple[Outside, tuple[Glance, ...]]]:
    """Give what the hosts of a play are asked through and what they are asked: they alone, and nothing is written."""
    asks = play.resolve(dict.fromkeys(play.hosts, release))
    connections = {h: asks[h].connection for h in play.hosts}
    fence = Fence(environment=play.environment, app=play.app, rollout=rollout)
    glances = (Glance(rollout=rollout, ask=asks[h], app=play.app, environment=play.environment) for h in play.hosts)
    with opened([Acting(connections=connections, pools=(), fence=fence)]) as (outside,):
        yield outside, tuple(glances)


@contextmanager
def packages_of(plays: Sequence[Play], say: Callable[[str], None]) -> Iterator[tuple[Package, ...]]:
    """Read, hash and check the artifacts of the plays."""
    with ExitStack() as open_files:
        found = []
        for play in plays:
            found.append(package_of(play.artifact, say))
            open_files.callback(found[-1].close)
        yield tuple(found)


@contextmanager
def looked_at(parts: Sequence[Part], look: Look) -> Iterator[tuple[Plan, tuple[Outside, ...]]]:
    """Look at the fleets of all plays; give the plan, and what each play acts through while that is open."""
    guard = look.guard
    if guard is not None:
        guard.meets(parts)
    pace = pace_of(part.play.upload_rate for part in parts)
    key = look.store.key() if any(part.own for part in parts) else b""
    sendings = [Sending(package=part.package, ask=part.play.artifact, pace=pace, key=key) for part in parts]
    try:
        with opened([_acting(part, look, sending) for part, sending in zip(parts, sendings, strict=True)]) as outsides:
            policy = guard.policy.digest if guard else ""
            yield planned(_preflights(parts, outsides, sendings, look), look.epoch, policy), outsides
    finally:
        for sending in sendings:
            sending.close()


def _acting(part: Part, look: Look, sending: Sending) -> Acting:
    play = part.play
    over = look.store.ended(play.environment, play.app) if look.above is None else (ANY,)
    fence = Fence(environment=play.environment, app=play.app, rollout=look.rollout, number=look.epoch, over=over)
    asks = play.resolve(dict.fromkeys(play.matched, part.release.id))
    return Acting(
        connections={h: a.connection for h, a in asks.items()},
        delegates=delegates_of(asks.values()),
        pools=play.pools,
        fence=fence,
        sending=sending,
        holding=Holding(store=look.store, rollout=look.rollout),
    )


@dataclass(slots=True, kw_only=True)
class Holding:
    """Raises BalancerFenced where the lease of a rollout is another process's by now.

    While the state cannot be asked nobody can take over who does not see us silent for a minute. One that is gone has
    no lease that anybody could take; whoever begins a new one is told of by the hosts.
    """

    store: Store
    rollout: str
    seen_at: float = field(default_factory=time.monotonic)

    def __call__(self) -> None:
        """Read the lease."""
        if not self._ours():
            raise BalancerFenced(f"E_FENCED: another process took rollout {self.rollout} over, or its app")

    def _ours(self) -> bool:
        try:
            ours = self.store.holds(self.rollout)
        except StateGone:
            return True
        except StoreError:
            return time.monotonic() - self.seen_at < UNASKED_S
        if ours:
            self.seen_at = time.monotonic()
        return ours


def _preflights(
    parts: Sequence[Part], outsides: Sequence[Outside], sendings: Sequence[Sending], look: Look
) -> list[Preflight]:
    return [
        Preflight(
            play=part.play,
            release=part.release,
            rollout=look.rollout,
            outside=outside,
            store=look.store,
            allow_bad=look.allow_bad,
            earlier={p.play.app: p.release.id for p in parts[:number]},
            purpose=look.purpose,
            trust=part.trust,
            own=part.own,
            sending=sending,
            several=len(parts) > 1,
            leave_out=look.leave_out,
            state_lost=look.above is not None,
            say=look.say,
            warn=look.warn,
        )
        for number, (part, outside, sending) in enumerate(zip(parts, outsides, sendings, strict=True))
    ]
