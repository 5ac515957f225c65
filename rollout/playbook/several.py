"""What the plays of one playbook are to each other: an app and a root of its own each, and whom `also` brings back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rollout.errors import Problem
from rollout.model.host import HostName
from rollout.model.plan import OnFailure
from rollout.model.play import Ask, Play
from rollout.model.release import APP_NAME
from rollout.playbook.nodes import Listing, Place, Scalar, Table, descend, has_template
from rollout.playbook.pools import named_hosts
from rollout.playbook.said import near, problem, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One play among the others: as it is written, and what became of it.

    ``asks`` are its hosts, as far as they could be told; ``left_out`` a sentence when its ``when`` is false.
    """

    table: Table
    play: Play | None = None
    asks: Mapping[HostName, Ask]
    left_out: str = ""

    @property
    def app(self) -> str:
        """Return the app's name, or nothing where none can be read."""
        node = self.table.get("app")
        if self.play is not None:
            return self.play.app
        return node.value if isinstance(node, Scalar) and isinstance(node.value, str) and not node.templated else ""


def left_out(table: Table) -> str:
    """Return the sentence about a play whose ``when`` is false."""
    name, place = table.get("name") or table.get("app"), descend(table, ("when",))[1]
    called = quoted(name.value) if isinstance(name, Scalar) and not name.templated else "A play"
    return f"{called} ({place.file}:{place.line}) is left out: its `when` is false."


def told(plays: Sequence[Play], sentences: Sequence[str]) -> tuple[Play, ...]:
    """Return the plays without any word on those that are left out, but for a warning of the first."""
    if not plays or not sentences:
        return tuple(plays)
    apps = {p.app for p in plays}
    kept = [replace(p, on_failure=_among(p.on_failure, apps)) for p in plays]
    return (replace(kept[0], warnings=(*kept[0].warnings, *sentences)), *kept[1:])


def _among(said: OnFailure, apps: set[str]) -> OnFailure:
    """Return what a failure starts, where a play that is left out needs no way back."""
    return replace(said, also=tuple(a for a in said.also if a in apps))


def between(members: Sequence[Member]) -> list[Problem]:
    """Return what is wrong among the plays of a playbook."""
    found = []
    for number, member in enumerate(members):
        found += _app_twice(member, members[:number])
        found += _roots(member, members[:number])
        found += _also(member, members[:number], members[number + 1 :])
    return found


def _app_twice(member: Member, before: Sequence[Member]) -> list[Problem]:
    """Refuse a second play of one app: lease, ledger and history are the app's."""
    first = next((m for m in before if m.app and m.app == member.app), None)
    if first is None:
        return []
    place = descend(member.table, ("app",))[1]
    line = descend(first.table, ("app",))[1].line
    what = f"The app {quoted(member.app)} has a play already, in line {line}."
    why = "Lease, ledger and history are the app's: two plays of one would take each other's way back."
    return [problem(place, "E_APP", what, why, "Give this play an app of its own, or make the two one play.")]


def _roots(member: Member, before: Sequence[Member]) -> list[Problem]:
    """Refuse two apps in one folder of one host."""
    found = []
    for other in before:
        same = [h for h, ask in member.asks.items() if h in other.asks and other.asks[h].root == ask.root]
        if same and other.app != member.app:
            place = descend(member.table, ("release", "root"))[1]
            root = quoted(member.asks[same[0]].root)
            what = f"{root} on {named_hosts(same)} is the root of both {quoted(other.app)} and {quoted(member.app)}."
            why = "Each would take the other's releases for its own."
            found.append(problem(place, "E_ROOT", what, why, "Give each app a root of its own."))
    return found


def _also(member: Member, before: Sequence[Member], after: Sequence[Member]) -> list[Problem]:
    """Refuse names in ``on_failure.also`` that are not those of earlier plays."""
    node, place, there = descend(member.table, ("on_failure", "also"))
    if not there:
        return []
    items = node.items if isinstance(node, Listing) else (node,)
    places = {i.value: i.place for i in items if isinstance(i, Scalar) and isinstance(i.value, str)}
    names = member.play.on_failure.also if member.play else [n for n in places if not has_template(n)]
    earlier, later = {m.app for m in before if m.app}, {m.app for m in after if m.app}
    wrong = [n for n in names if n not in earlier and re.fullmatch(APP_NAME, n)]
    return [_no_earlier(places.get(n, place), n, member.app, earlier, later) for n in wrong]


def _no_earlier(place: Place, name: str, own: str, earlier: set[str], later: set[str]) -> Problem:
    """Say why a name cannot stand in ``also``."""
    if name == own:
        what = f"{quoted(name)} is this play itself, which `revert` speaks of."
        return problem(place, "E_ALSO", what, instead="Leave it out.")
    if name in later:
        what = f"The play of {quoted(name)} comes later: it has not begun when this one fails."
        return problem(place, "E_ALSO", what, instead=f"Leave it out, or write `also: [{own}]` in that play.")
    listed = f"Earlier plays are of: {', '.join(sorted(earlier))}." if earlier else "No play comes before this one."
    what = f"No earlier play of this playbook is of the app {quoted(name)}."
    return problem(place, "E_ALSO", what, "", near(name, earlier) or listed)
