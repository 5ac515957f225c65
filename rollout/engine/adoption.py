"""What a fleet that something else deployed is taken over as: one release, or the reasons why not yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from rollout.engine.placement import brought_in, moved, named_after, relinked, typed
from rollout.errors import Reason
from rollout.model.release import Release, ReleaseId
from rollout.model.tree import Tree

SHOWN = 8
LAYOUT = "Only a link to a directory in {root}/releases can be moved in one rename."


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What reasons say of the command: how it was typed, and a name for a release that has none."""

    command: str  # "rollout adopt shop.yml -i hosts.ini"
    fresh: str  # an id that nothing has yet


def found(trees: Sequence[Tree]) -> Release:
    """Return the release that all of them are on; ``reasons`` must have none."""
    first = trees[0]
    return Release(
        id=ReleaseId(first.current), artifact="", manifest=first.manifest, unpacked=first.size, files=first.files
    )


def reasons(trees: Sequence[Tree], naming: Naming) -> tuple[Reason, ...]:
    """Return every reason not to take these hosts over as one release, with what to type."""
    told = [*_unread(trees), *_misplaced(trees, naming)]
    linked = [t for t in trees if not t.code and t.kind == "link"]
    ids = _grouped(linked, lambda t: t.current)
    if len(ids) > 1:
        told.append(_mixed(ids, naming))
    for name, same in ids.items():
        contents = _grouped(same, lambda t: t.manifest)
        if len(contents) > 1:
            told.append(_unequal(name, list(contents.values()), naming))
    return tuple(told)


def _grouped(trees: Iterable[Tree], by: Callable[[Tree], str]) -> dict[str, list[Tree]]:
    groups: dict[str, list[Tree]] = {}
    for tree in trees:
        groups.setdefault(by(tree), []).append(tree)
    return groups


def _hosts(trees: Iterable[Tree]) -> tuple[str, ...]:
    return tuple(t.host for t in trees)


def _names(trees: Sequence[Tree]) -> str:
    more = f" and {len(trees) - SHOWN} more" if len(trees) > SHOWN else ""
    return ", ".join(_hosts(trees)[:SHOWN]) + more


def _unread(trees: Sequence[Tree]) -> Iterator[Reason]:
    """Hosts that could not be read at all, each with its own words."""
    for tree in trees:
        if tree.code:
            how = _MENDED.get(tree.code, "Mend it, or leave the host out with --limit.")
            yield Reason(code=tree.code, what=f"host {tree.host}: {tree.why}.", instead=how, hosts=(tree.host,))


_MENDED = {
    "E_IDENTITY": "Give this app a root of its own, or name the environment with --env.",
    "E_UNREADABLE": "Let the SSH user read it, or leave it out of what is compared: --leave-out PATH.",
    "E_NAMES": "Rename it, or leave the folder out: --leave-out PATH.",
}


def _misplaced(trees: Sequence[Tree], naming: Naming) -> Iterator[Reason]:
    """Hosts whose ``current`` is no link to a directory of its own in releases/, and what turns it into one."""
    wrong = [t for t in trees if not t.code and t.kind != "link"]
    for same in _grouped(wrong, lambda t: f"{_kind(t)} {t.root} {t.link} {t.lies}").values():
        what, how = _explained(same[0], naming)
        yield Reason(
            code=_CODES.get(_kind(same[0]), "E_CURRENT_NOT_LINK"),
            what=f"{what}: {_names(same)}.",
            instead=how,
            hosts=_hosts(same),
        )


_CODES = {"none": "E_NOTHING_THERE", "dangling": "E_NOTHING_THERE"}


def _kind(tree: Tree) -> str:
    return "dangling" if tree.kind == "outside" and not tree.lies else tree.kind


def _explained(tree: Tree, naming: Naming) -> tuple[str, str]:
    """Return what is wrong with ``current``, and what to type on the host, or instead."""
    current = f"{tree.root}/current"
    match _kind(tree):
        case "none":
            return f"there is no {current}, so nothing to take over", "Name the release.root that is deployed to now."
        case "dangling":
            how = f"Link the release that serves (NAME), or leave the host out. {typed(relinked(tree.root, 'NAME'))}"
            return f"{current} leads to {tree.link}, and no directory is there", how
        case "directory":
            return f"{current} is a plain directory", f"{_layout(tree)} {typed(moved(tree.root, naming.fresh))}"
        case "outside":
            return f"{current} leads to {tree.link}", f"{_layout(tree)} {typed(_linked(tree, naming))}"
    return f"{current} is a {tree.kind}", f"{_layout(tree)} Move it away and link the release that serves."


def _layout(tree: Tree) -> str:
    return LAYOUT.format(root=tree.root)


def _linked(tree: Tree, naming: Naming) -> list[str]:
    return brought_in(tree.root, tree.lies, named_after(tree.lies) or naming.fresh)


def _mixed(ids: dict[str, list[Tree]], naming: Naming) -> Reason:
    """Hosts on several releases: each group is taken over by itself."""
    groups = sorted(ids.items(), key=lambda item: -len(item[1]))
    said = "; ".join(f"{name} on {_names(same)}" for name, same in groups)
    lines = [f"{naming.command} --limit {quote(','.join(_hosts(same)))}" for _, same in groups[:4]]
    how = f"Bring them to one first, or take each group over by itself: {' ; '.join(lines)}"
    every = tuple(h for _, same in groups for h in _hosts(same))
    return Reason(code="E_MIXED", what=f"the hosts are on {len(groups)} releases: {said}.", instead=how, hosts=every)


def _unequal(name: str, groups: list[list[Tree]], naming: Naming) -> Reason:
    """Hosts with other content under one id: one release is one content."""
    groups.sort(key=len, reverse=True)
    said = " | ".join(_names(same) for same in groups)
    paths = differing(groups[0][0].listing, groups[1][0].listing)
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    where = f" Different: {', '.join(paths[:5])}{more}." if paths else ""
    what = f"release {name} is not the same on all hosts ({said}).{where}"
    every = [t for same in groups for t in same]
    if all(t.known for t in every):
        return Reason(code="E_UNEQUAL", what=f"{what} {LOST}", instead=_anew(every, paths, naming), hosts=_hosts(every))
    out = " ".join(f"--leave-out {quote(p)}" for p in paths[:5])
    how = "Make them equal; keep in shared/ what is each host's own; or leave out of the manifest what may differ" + (
        f": {out}" if out and not more else " (--leave-out PATH)."
    )
    return Reason(code="E_UNEQUAL", what=what, instead=how, hosts=_hosts(every))


LOST = (
    "It was rolled out with files of each host's own (`release.templates`), and what belongs where only its state knew."
)


def _anew(trees: Sequence[Tree], paths: Sequence[str], naming: Naming) -> str:
    """Say how a release is recorded as it lies, without the files that every host has of its own."""
    root, name = trees[0].root, trees[0].current
    out = "".join(f" --leave-out {quote(p)}" for p in paths) or " --leave-out PATH"
    return (
        f"If that state can be had back, use it. Else have the release read anew, as it lies: on each of these hosts "
        f"type: rm {quote(f'{root}/releases/{name}/.rollout-manifest')}; then {naming.command}{out}. What is left out "
        f"is watched by nobody until the next release, which needs an id of its own."
    )


def differing(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Return the paths that two manifests do not have alike."""
    lines = set(one) ^ set(other)
    return tuple(sorted({_path(line) for line in lines if not line.startswith("#")}))


def _path(line: str) -> str:
    """Return the path of a line of a manifest."""
    mode, _, rest = line.partition(" ")
    path = rest.partition("//")[0] if mode == "l" else rest.partition("  ")[2] or rest
    return path.removeprefix("./")
