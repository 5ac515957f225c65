"""What plays share: `defaults` under each play, and the environment that --env names over it.

Four layers, the later ones win: the playbook's ``defaults``, the play, the environment as
``defaults`` declares it, the environment as the play declares it. Mappings are merged key by
key; lists and single values are replaced whole, and so is what only makes sense together: a
service, a task, the value of a variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rollout.errors import Problem
from rollout.playbook.nodes import Entry, Node, Path, Place, Table
from rollout.playbook.said import near, problem, quoted

ENVIRONMENTS = "environments"
WHOLE: frozenset[Path] = frozenset({("service",), ("drain", "start"), ("drain", "until"), ("drain", "undo")})
RIVALS: Mapping[Path, str] = {  # two words for one thing: the one that is laid over takes the other's place
    ("max_failures",): "max_fail_percentage",
    ("max_fail_percentage",): "max_failures",
}
OWN = {"name": "it is what people call one play", "app": "it is the identity of one play"}


def laid(under: Table, over: Table, path: Path = ()) -> Table:
    """Lay one mapping over another; what is pointed at when something is missing is the upper one."""
    items = dict(under.items)
    for name, entry in over.items.items():
        where = (*path, name)
        rival = RIVALS.get(where)
        if rival and rival not in over.items:
            items.pop(rival, None)
        items[name] = _entry(items.get(name), entry, where)
    return Table(place=over.place, items=items)


def _entry(below: Entry | None, entry: Entry, where: Path) -> Entry:
    """Return one key's entry, merged with the one below where both are mappings that can be."""
    if below is None or not isinstance(below.node, Table) or not isinstance(entry.node, Table):
        return entry
    if where in WHOLE or (where[0] == "vars" and len(where) > 1):
        return entry
    return Entry(place=entry.place, node=laid(below.node, entry.node, where))


def without(table: Table, key: str) -> Table:
    """Return a mapping without one of its keys."""
    return Table(place=table.place, items={k: e for k, e in table.items.items() if k != key})


def environments_of(table: Table) -> Iterator[tuple[str, Entry]]:
    """Yield what a play or the defaults declare under ``environments``."""
    declared = table.get(ENVIRONMENTS)
    if isinstance(declared, Table):
        yield from declared.items.items()


def declared(tables: Sequence[Table]) -> tuple[str, ...]:
    """Return the names of all environments that a playbook declares, in its order."""
    return tuple(dict.fromkeys(name for t in tables for name, _ in environments_of(t)))


def layered(defaults: Table, play: Table, environment: str) -> Table:
    """Return a play with everything laid under and over it, as one that was written whole."""
    made = laid(without(defaults, ENVIRONMENTS), without(play, ENVIRONMENTS))
    for owner in (defaults, play):
        for name, entry in environments_of(owner):
            if name == environment and isinstance(entry.node, Table):
                over = Table(place=play.place, items=entry.node.items)
                made = laid(made, over)
    return made


def partial_tables(defaults: Table, plays: Sequence[Table]) -> Iterator[tuple[str, Table]]:
    """Yield every mapping that is laid under or over plays, and what it is called."""
    yield "defaults", without(defaults, ENVIRONMENTS)
    for owner in (defaults, *plays):
        for name, entry in environments_of(owner):
            if isinstance(entry.node, Table):
                yield f"environments.{name}", entry.node


def shape_problems(defaults: Table, plays: Sequence[Table]) -> list[Problem]:
    """Return what is wrong with the layers as such: no mappings, or keys that only a play can have."""
    found = []
    for owner in (defaults, *plays):
        node = owner.get(ENVIRONMENTS)
        if node is not None and not isinstance(node, Table):
            found.append(_no_mapping(node, "`environments` names environments"))
        found += [
            _no_mapping(e.node, f"{quoted(n)} lays keys over a play") for n, e in environments_of(owner) if _odd(e)
        ]
    for name, table in partial_tables(defaults, plays):
        found += _misplaced(name, table)
    return found


def _odd(entry: Entry) -> bool:
    """Whether an environment is no mapping; nothing at all is one without keys."""
    return not isinstance(entry.node, Table) and getattr(entry.node, "value", "") is not None


def _no_mapping(node: Node, what: str) -> Problem:
    instead = "Write `environments: { production: { serial: [1] } }`."
    return problem(node.place, "E_TYPE", f"{what}: a mapping is expected.", "", instead)


def _misplaced(name: str, table: Table) -> list[Problem]:
    """Refuse what names one play, where it would be shared."""
    never = {**OWN, "defaults": "they stand once, at the top of the playbook"}
    if name != "defaults":
        never[ENVIRONMENTS] = "environments do not hold others"
    return [
        problem(
            table.items[key].place, "E_UNKNOWN_KEY", f"`{key}` cannot stand in `{name}`: {why}.", "", "Move it out."
        )
        for key, why in never.items()
        if key in table.items
    ]


def undeclared(environment: str, names: Sequence[str]) -> list[Problem]:
    """Refuse an environment that a playbook which declares some does not know: its layers would be missed."""
    if not names or environment in names:
        return []
    listed = ", ".join(f"`{n}`" for n in names)
    place = Place(file="--env")
    if environment == "default":
        what = "This playbook declares environments, and none was named."
        return [problem(place, "E_ENVIRONMENT", what, "It has no `default` one.", f"Give --env one of: {listed}.")]
    what = f"The environment {quoted(environment)} is not declared in this playbook."
    why = "The play would run without what its environment lays over it."
    return [problem(place, "E_ENVIRONMENT", what, why, near(environment, names) or f"Declared are: {listed}.")]
