"""What to type on a host whose ``current`` is no link into releases/, so that the next command can go on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote

from rollout.model.observation import Observation
from rollout.model.release import RELEASE_ID


def stands(seen: Observation) -> str:
    """Say what ``current`` is, where it is not what it must be."""
    if not seen.link:
        return f"is a {seen.current_kind}"
    return f"leads to {seen.link}" if seen.lies else f"leads to {seen.link}, where no directory is"


def mended(root: str, seen: Observation, back: str, fresh: str) -> str:
    """Return what to type, so that the next command goes on.

    ``back``: the way back of the host, "" for none; ``fresh``: a name for a directory that has none yet.
    """
    name = _to_link(seen, back)
    current = quote(f"{root}/current")
    match seen.current_kind:
        case "directory":
            return typed(moved(root, named_after(fresh), name))
        case "outside" if seen.lies and not name:
            return typed(brought_in(root, seen.lies, named_after(seen.lies) or named_after(fresh)))
        case "file":
            away = [f"mv -T {current} {quote(f'{root}/{named_after(fresh)}')}"]
            return typed([*away, *relinked(root, name)] if name else away)
    if name:
        return typed(relinked(root, name))
    return f"{typed([f'rm {current}'])}. It is then a host without a release: what still serves there must be stopped."


def _to_link(seen: Observation, back: str) -> str:
    """Return the release that ``current`` should name: the one it leads to by detours, what runs, the way back."""
    led = seen.lies.rpartition("/releases/")[2]
    return next((name for name in (led, seen.running, back) if name in seen.releases), "")


def typed(commands: Sequence[str]) -> str:
    """Return the line that tells a person to type these on the host."""
    return f"There, type: {' && '.join(commands)}"


def moved(root: str, name: str, release: str = "") -> list[str]:
    """Move the directory that ``current`` is into releases/, and link it, or a release that is there.

    What runs in it goes on running.
    """
    return [
        f"mkdir -p {quote(f'{root}/releases')}",
        f"mv -T {quote(f'{root}/current')} {quote(f'{root}/releases/{name}')}",
        f"ln -s {quote(f'releases/{release or name}')} {quote(f'{root}/current')}",
    ]


def relinked(root: str, name: str) -> list[str]:
    """Let ``current``, a link or nothing, name a release that is there, by one rename."""
    return [
        f"ln -s {quote(f'releases/{name}')} {quote(f'{root}/.current')}",
        f"mv -T {quote(f'{root}/.current')} {quote(f'{root}/current')}",
    ]


def brought_in(root: str, lies: str, name: str) -> list[str]:
    """Bring where ``current`` leads into releases/: by a move below the root, by a copy from elsewhere."""
    place = f"{root}/releases/{name}"
    make = f"mkdir -p {quote(f'{root}/releases')}"
    if lies.startswith(f"{root}/"):  # what still asks by the old name finds it there
        move = [f"mv -T {quote(lies)} {quote(place)}", f"ln -s {quote(place)} {quote(lies)}"]
        return [make, *move, *relinked(root, name)]
    return [make, f"cp -a {quote(lies)} {quote(place)}", *relinked(root, name), ": restart the service"]


def named_after(lies: str) -> str:
    """Return the name of a directory as a release may be called, "" where nothing of it is left."""
    made = re.sub(r"[^A-Za-z0-9._+-]+", "-", lies.rstrip("/").rpartition("/")[2]).lstrip("-._+")[:128]
    return made if re.fullmatch(RELEASE_ID, made) else ""
