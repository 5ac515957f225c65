"""What hosts say of the rollouts that were there before, against what the state knows (semantics.md, Leases).

A host keeps the pair (number, rollout) of who changed it last, open until that rollout is over. What does not fit
the state's own records is another state's doing, or an older copy of the host: both are refused before anything
is touched. Read before the first step; the hosts compare once more, under their lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollout.errors import Held, Reason, Refused, StoreError
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.play import Play

if TYPE_CHECKING:
    from rollout.store.store import Store

ANY = "*"  # of ``over``: whatever is open, it is taken over
SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The hosts of a play as they were seen, under which rollout. ``number``: its epoch, 0 where nothing is written.

    ``beside``: those that only run tasks of it. ``anew``: the fleet is being adopted, so a host that was brought back
    from a backup is taken as it is; ``lost``: so is one whose history no state has any more.
    """

    play: Play
    store: Store
    rollout: str
    number: int
    hosts: Mapping[HostName, Observation]
    beside: Mapping[HostName, Observation] = field(default_factory=dict)
    anew: bool = False
    lost: bool = False

    @property
    def ours(self) -> dict[HostName, Observation]:
        """Return the hosts that a rollout of this very app has changed."""
        return {h: s for h, s in self.hosts.items() if self.was_here(s)}

    def was_here(self, host: Observation) -> bool:
        """Say whether a rollout of this very app was on a host."""
        return host.identity == self.name and host.epoch_number > 0

    @property
    def name(self) -> str:
        """Return what hosts have written down of whose they are."""
        return f"{self.play.environment}/{self.play.app}"


def over(seen: Seen) -> tuple[str, ...]:
    """Return the rollouts that hosts have open, and that have ended; raise where one has not, as far as is known."""
    if seen.lost:
        return (ANY,)
    _remembered(seen)
    strange = _strange(seen)
    if strange:
        raise Held("\n".join(map(str, strange)))
    older = () if seen.anew else tuple(_restored(seen))
    if older:
        raise Refused(*older)
    there = (*seen.hosts.values(), *seen.beside.values())
    return tuple(sorted({s.epoch_rollout for s in there if seen.was_here(s) and s.epoch_open}))


def restored(seen: Seen) -> frozenset[HostName]:
    """Return the hosts that have forgotten a rollout which this state knows to have changed them."""
    known = seen.store.reached(seen.play.environment, seen.play.app)
    return frozenset(h for h, s in seen.hosts.items() if s.identity == seen.name and s.epoch_number < known.get(h, 0))


def highest(hosts: Iterable[Observation]) -> int:
    """Return the largest number that any of these hosts has seen."""
    return max((s.epoch_number for s in hosts), default=0)


def _remembered(seen: Seen) -> None:
    """Refuse a fleet whose history another state keeps: this one knows neither its releases nor its epochs."""
    play, store, hosts = seen.play, seen.store, seen.ours
    if not hosts or store.rollouts(play.environment, play.app, 1):
        return
    last = next(iter(hosts.values())).epoch_rollout
    raise StoreError(
        f"E_STATE_LOST: {_names(list(hosts))}: rollouts of {play.app} in {play.environment} have been here, the last "
        f"of them {last}, and the state at {store.place} knows of none. "
        "Name the state that they were recorded in: --state PATH or ROLLOUT_STATE. Where it is lost for good, "
        "begin a new one with what is there: rollout adopt PLAYBOOK --state-lost."
    )


def _strange(seen: Seen) -> list[Reason]:
    """Return why hosts belong to a rollout that this state does not know to be over."""
    found: dict[str, list[HostName]] = {}
    for host, said in (*seen.hosts.items(), *seen.beside.items()):
        foreign = said.epoch_rollout != seen.rollout and not seen.store.knows(said.epoch_rollout)
        newer = said.epoch_rollout != seen.rollout and 0 < seen.number <= said.epoch_number
        if seen.was_here(said) and (newer or (foreign and said.epoch_open)):
            found.setdefault(said.epoch_rollout, []).append(host)
    return [_unknown(seen, rollout, hosts) for rollout, hosts in found.items()]


def _unknown(seen: Seen, rollout: str, hosts: Sequence[HostName]) -> Reason:
    play = seen.play
    what = (
        f"{_names(hosts)}: rollout {rollout} of {play.app} in {play.environment} was there, and the state at "
        f"{seen.store.place} does not know it to be over. Two states for one fleet?"
    )
    how = "Name the one that it is recorded in (--state PATH); where that is lost: rollout adopt PLAYBOOK --state-lost."
    return Reason(code="E_OPEN", what=what, instead=how, hosts=tuple(hosts))


def _restored(seen: Seen) -> Iterator[Reason]:
    """Refuse hosts that have forgotten a rollout: an older copy of a machine may be on any release."""
    play = seen.play
    known = seen.store.reached(play.environment, play.app)
    old = sorted(restored(seen))
    if old:
        numbers = ", ".join(f"{h} at {seen.hosts[h].epoch_number}, recorded {known[h]}" for h in old[:SHOWN])
        what = f"{_names(old)} went back in time (epochs: {numbers}): restored from a backup or a snapshot?"
        how = "Look at what runs there, then take it over as it is: rollout adopt PLAYBOOK --limit HOST."
        yield Reason(code="E_RESTORED", what=what, instead=how, hosts=tuple(old))


def _names(hosts: Sequence[HostName]) -> str:
    more = f" and {len(hosts) - SHOWN} more" if len(hosts) > SHOWN else ""
    return ", ".join(hosts[:SHOWN]) + more
