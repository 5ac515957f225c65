"""Inspect: ask a host how its release differs from what was installed, and read what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from rollout.errors import OutcomeUnknown, Unreachable
from rollout.model.drift import Change, Drift
from rollout.model.release import ReleaseId
from rollout.perform.effects import Tell
from rollout.perform.observe import Glance, release_named
from rollout.posix.adopt import RUNTIME_NAMES, RUNTIME_PATHS
from rollout.posix.drift import shared_paths
from rollout.posix.manifest import NAME
from rollout.posix.op import Inspect, Reply
from rollout.posix.sanitise import line as inert

INSPECT_S = 1800.0  # a tree of many gigabytes is read once
MOST = 1000  # changes that are kept of one host
LONGEST = 500  # characters of a path
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORMS = (
    re.compile(r"(?P<mode>0644|0755) (?P<what>[0-9a-f]{64})  \./(?P<path>.+)"),
    re.compile(r"(?P<mode>d) \./(?P<path>.+)"),
    re.compile(r"(?P<mode>l) \./(?P<path>.+?)//(?P<what>.*)"),
    re.compile(r"(?P<mode>m) (?:\./)?(?P<path>.+)"),
    re.compile(r"(?P<mode>\?) \./(?P<path>.+)"),
)
_CALLED = {"d": "a directory", "l": "a link", "?": "neither a file, a directory nor a link"}


async def inspect(glance: Glance, release: str = "") -> Drift:
    """Look at one host; what cannot be looked at says why. ``release``: "" is what ``current`` names."""
    drift = Drift(host=glance.ask.host)
    deed = Inspect(release=ReleaseId(release), shared=glance.ask.shared)
    op = replace(glance.op(deed, "inspect"), timeout_s=INSPECT_S)
    try:
        reply: Reply = await Tell(host=drift.host, op=op)
    except (Unreachable, OutcomeUnknown) as error:
        return replace(drift, code="E_UNREACHABLE", why=inert(str(error)))
    if reply.status != "done":
        return replace(drift, release=release, code=reply.code, why=inert(reply.summary))
    return read(drift, reply, shared_paths(glance.ask.shared))


def read(drift: Drift, reply: Reply, shared: tuple[str, ...] = ()) -> Drift:
    """Read a reply; what does not have the form it must have is absent."""
    said = reply.fields
    linked = tuple(path for n, path in enumerate(shared) if said.get(f"shared.{n}") == "1")
    changes = changes_of(reply.tail, linked)
    odd = _number(said.get("odd_names", ""))
    if odd:
        named = f"{odd} with a line break in the name, which no manifest lists"
        changes = (Change(path="…", kind="added", detail=named), *changes)
    lost = max(0, _number(said.get("differing", "")) - len(reply.tail))
    digest = said.get("manifest", "")
    return replace(
        drift,
        release=release_named(said.get("release", "")),
        manifest=digest if _DIGEST.fullmatch(digest) else "",
        files=_number(said.get("files", "")),
        changes=changes[:MOST],
        more=lost + len(changes[MOST:]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A line of a manifest. ``mode``: of a file, or what it is instead; ``what``: its digest, or where it leads."""

    mode: str
    what: str = ""


def changes_of(lines: Iterable[str], linked: tuple[str, ...] = ()) -> tuple[Change, ...]:
    """Return what lines that differ come to, by path. ``linked``: paths where a link into shared stands by now."""
    was: dict[str, _Member] = {}
    now: dict[str, _Member] = {}
    modes: set[str] = set()
    for line in lines:
        path, member = _parsed(line[1:])
        if member.mode == "m":
            modes.add(path)
        elif line[:1] == "-" and not _below(path, linked):
            was[path] = member
        elif line[:1] == "+" and not (member.mode == "d" and _above(path, linked)):
            now[path] = member
    paths = sorted({*was, *now, *modes} - {""})
    return tuple(_change(path, was.get(path), now.get(path), path in modes) for path in paths)


def _parsed(line: str) -> tuple[str, _Member]:
    for form in _FORMS:
        if found := form.fullmatch(line):
            group: Mapping[str, str] = found.groupdict()
            path = inert(group["path"], LONGEST)
            return path, _Member(mode=group["mode"], what=group.get("what", ""))
    return "", _Member(mode="")


def _change(path: str, was: _Member | None, now: _Member | None, odd: bool) -> Change:
    """Return what became of a path. ``odd``: it has a mode that nothing is installed with."""
    if was is None and now is None:
        return Change(path=path, kind="mode", detail="neither 0644 nor 0755")
    if was is None:
        return Change(path=path, kind="written" if _of_runtime(path) else "added", detail=_CALLED.get(now.mode, ""))  # type: ignore[union-attr]
    if now is None:
        return Change(path=path, kind="mode", detail="cannot be read") if odd else Change(path=path, kind="missing")
    if was.mode == now.mode and now.mode in _CALLED:
        return Change(path=path, kind="changed", detail=f"leads to {inert(now.what, LONGEST)}")
    if was.mode in _CALLED or now.mode in _CALLED:
        return Change(path=path, kind="changed", detail=f"is {_CALLED.get(now.mode, 'a file')} now")
    if was.what == now.what:
        return Change(path=path, kind="mode", detail=f"{was.mode} -> {now.mode}")
    return Change(path=path, kind="changed")


def _of_runtime(path: str) -> bool:
    """Whether a path is one that applications write while they run (adopt.py)."""
    named = any(fnmatchcase(part, name) for part in path.split("/") for name in RUNTIME_NAMES)
    return named or _below(path, RUNTIME_PATHS)


def _below(path: str, tops: Iterable[str]) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in tops)


def _above(path: str, ends: Iterable[str]) -> bool:
    return any(end.startswith(f"{path}/") for end in ends)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0


MANIFEST = Change(path=NAME, kind="changed", detail="it is not the one that was recorded: what it says proves nothing")


def recorded(drift: Drift, manifest: str) -> Drift:
    """Return the same with what the state has on record of its release."""
    spoilt = bool(drift.manifest and manifest and drift.manifest != manifest)
    return replace(drift, recorded=manifest, changes=(*((MANIFEST,) if spoilt else ()), *drift.changes))
