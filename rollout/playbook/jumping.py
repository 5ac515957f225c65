"""The way to a host through jump hosts: who is meant by each name that was written, and whether it is a way.

A host of the inventory is reached as its own variables say; any other is an address, logged in to as the play says.
Only the first hop's own way counts, as with ssh: what is written after it says how the others are reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rollout.errors import Problem
from rollout.inventory import Inventory
from rollout.inventory.jumps import ARGS, FORM
from rollout.model.host import Connection, Hop, HostName
from rollout.playbook.nodes import Node, Place, descend
from rollout.playbook.said import near, problem, quoted

MOST = 8
Reached = Callable[[HostName, str], tuple[Connection, Sequence[Problem]]]
Written = tuple[Hop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong(Exception):
    """Why there is no such way."""

    what: str
    why: str = ""
    instead: str = ""


@dataclass(slots=True, kw_only=True)
class Jumps:
    """Finds the ways of a play. ``reached``: how a host of the inventory says that it is reached, asked once for each.

    It is told the user of whoever does not name one. The jump of what it returns is as it is written; that of the play
    has no say in it.
    """

    play: Node
    inventory: Inventory
    reached: Reached
    known: dict[tuple[HostName, str], Connection] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)  # of the hops themselves

    def over(self, host: HostName, to: Connection, defaults: Connection) -> tuple[Connection, list[Problem]]:
        """Return a connection whose jump is the way, made of what is written there; ``defaults``: the play's."""
        if to.transport == "local" or not to.jump:
            return replace(to, jump=()), []
        of_play = to.jump == defaults.jump
        try:
            hops = self._way(host, to.jump, defaults, of_play, (host,))
            _checked(host, to, hops)
        except Wrong as e:
            place = descend(self.play, ("connection", "jump"))[1] if of_play else self._args(host)
            return replace(to, jump=()), [self.inventory.pictured(problem(place, "E_JUMP", e.what, e.why, e.instead))]
        found, self.problems = self.problems, []
        return replace(to, jump=hops), found

    def _args(self, host: HostName) -> Place:
        known = self.inventory.hosts[host]
        file, line, column = next((p for n, p in known.places.items() if ARGS.fullmatch(n)), known.place)
        return Place(file=file, line=line, column=column)

    def _way(
        self, host: HostName, written: Written, defaults: Connection, of_play: bool, passed: tuple[HostName, ...]
    ) -> Written:
        """Return the hops up to a host; one that is a hop itself is reached by those before it."""
        names = [hop.name for hop in written]
        before = written[: names.index(host)] if host in names else written
        hops = [self._hop(hop, defaults, of_play) for hop in before]
        if not before or before[0].name not in self.inventory.hosts:
            return tuple(hops)
        first = HostName(before[0].name)
        if first in passed:
            raise Wrong(what=f"The way to {quoted(host)} leads back to it: {', '.join((*passed, first))}.")
        return (*self._way(first, self._known(first, defaults.user).jump, defaults, False, (*passed, first)), *hops)

    def _hop(self, hop: Hop, defaults: Connection, of_play: bool) -> Hop:
        """Return who is meant by what is written."""
        name = HostName(hop.name)
        if name in self.inventory.groups and name not in self.inventory.hosts:
            raise Wrong(what=f"{quoted(name)} is a group, and a jump is one host.", instead=FORM)
        if name not in self.inventory.hosts:
            if of_play and not (hop.user or hop.port or "." in name or ":" in name):
                instead = near(name, self.inventory.hosts) or FORM
                raise Wrong(what=f"The jump host {quoted(name)} is not in the inventory.", instead=instead)
            user = hop.user or defaults.user
            return Hop(name=name, address=name, port=hop.port or 22, user=user, key_files=defaults.key_files)
        to = self._known(name, defaults.user)
        if to.transport == "local":
            raise Wrong(what=f"The jump host {quoted(name)} is this machine.", instead="Leave it out.")
        user, port = hop.user or to.user, hop.port or to.port
        return Hop(name=name, address=to.address, port=port, user=user, key_files=to.key_files)

    def _known(self, name: HostName, user: str) -> Connection:
        if (name, user) not in self.known:
            self.known[name, user], wrong = self.reached(name, user)
            self.problems += wrong
        return self.known[name, user]


def _checked(host: HostName, to: Connection, hops: Written) -> None:
    """Raise Wrong where a machine would be met twice on the way, or there are too many."""
    places = [hop.place for hop in hops]
    if to.place in places:
        same = hops[places.index(to.place)].name
        what = f"{quoted(host)} has the address and port of {quoted(same)}, its jump host."
        raise Wrong(what=what, instead="Leave the jump out, or mend the address of one of them.")
    twice = next((hop.name for n, hop in enumerate(hops) if hop.place in places[:n]), "")
    if twice:
        raise Wrong(what=f"The way to {quoted(host)} leads through {quoted(twice)} twice.", instead="Name it once.")
    if len(hops) > MOST:
        raise Wrong(what=f"The way to {quoted(host)} has {len(hops)} hops, and {MOST} are allowed.")
