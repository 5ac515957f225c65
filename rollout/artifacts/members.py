"""The member policy: what may stand in a release, checked on the tree that the members make.

Nothing is unpacked here and no link is followed. A member is a file, a directory or a symbolic
link; its path is relative and normal; nothing lies under a link; no two names could fall
together on another file system; a link stays inside the release whatever it leads through, or
leads to one of the absolute paths that the play lists.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal

from rollout.artifacts.limits import ArtifactFault, Limits, shown
from rollout.artifacts.tarstream import Member
from rollout.posix.manifest import NAME, Entry

INVISIBLE = frozenset(("Cc", "Cs", "Zl", "Zp"))
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
RESERVED_TOP = frozenset(("current", ".rollout"))
DISK_BLOCK = 4096
MAX_FAULTS = 20
MAX_STEPS = 2_000_000  # along the links of one artifact
FOLLOWED = 40  # links in one path, on Linux


class _Follows(ArtifactFault):
    """A fault that only follows from one that is kept already."""


@dataclass(slots=True)
class Tree:
    """The members seen so far, by path. Faults are collected; the first ones are enough."""

    limits: Limits
    links: Literal["none", "in_tree"] = "in_tree"
    allowed: frozenset[str] = frozenset()  # absolute targets of links
    entries: dict[str, Entry] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)  # folded path -> path as written
    written: set[str] = field(default_factory=set)  # members; not the directories they imply
    faults: list[ArtifactFault] = field(default_factory=list)
    size: int = 0  # bytes of all files
    count: int = 0
    dotted: bool = False  # a name that begins with ./ was refused

    def check(self, member: Member) -> str:
        """Return the path of a member that may be added, "" for one that may not (the fault is kept).

        Raises ArtifactFault when a limit is passed.
        """
        self.count += 1
        self.size += member.size
        if self.count > self.limits.members:
            raise ArtifactFault("E_ARCHIVE_LIMIT", f"it has more than {self.limits.members} members.")
        if self.size > self.limits.unpacked:
            raise ArtifactFault("E_ARCHIVE_LIMIT", f"it unpacks to more than {self.limits.unpacked} bytes.")
        if self.dotted and member.name.startswith(b"./"):
            return ""  # said once: tar was given `.`
        self.dotted |= member.name.startswith(b"./")
        try:
            path = path_of(member, self.limits)
            self._place(path, member.kind)
            if member.kind == "l":
                self._link(path, member.target)
        except _Follows:
            return ""
        except ArtifactFault as fault:
            self._keep(fault)
            return ""
        return path

    def add(self, path: str, member: Member, sha256: str) -> None:
        """Add a member that was checked."""
        mode: Literal["0644", "0755"] = "0755" if member.executable and member.kind == "f" else "0644"
        self.entries[path] = Entry(path=path, kind=member.kind, mode=mode, sha256=sha256, target=member.target.decode())

    def _keep(self, fault: ArtifactFault) -> None:
        self.faults.append(fault)
        if len(self.faults) >= MAX_FAULTS:
            raise fault

    def _link(self, path: str, target: bytes) -> None:
        if self.links == "none":
            raise ArtifactFault("E_MEMBER_LINK", f"member {shown(path)} is a link, and the play allows none.")
        text = _text(target, f"the target of {shown(path)}", "E_MEMBER_LINK")
        if len(target) > self.limits.path:
            raise ArtifactFault("E_ARCHIVE_LIMIT", f"link {shown(path)} has a target of {len(target)} bytes.")
        if text in self.allowed:
            return
        if not text or text[0] == "/" or "//" in text:
            what = f"link {shown(path)} leads to {shown(target)}."
            hint = "Make links relative and inside the release, or list the target in `allow_links`."
            raise ArtifactFault("E_MEMBER_LINK", what, hint)

    def _place(self, path: str, kind: str) -> None:
        """Refuse a path that was there, that falls together with another, or has a parent that is no directory."""
        parent = path.rpartition("/")[0]
        if parent:
            self._parent(parent, path)
        self._spell(path)
        known = self.entries.get(path)
        if path in self.written or (known is not None and kind != "d"):
            raise ArtifactFault("E_MEMBER_DUP", f"member {shown(path)} is there twice.", "Pack each path once.")
        self.written.add(path)

    def _parent(self, parent: str, path: str) -> None:
        known = self.entries.get(parent)
        if known is None:
            above = parent.rpartition("/")[0]
            if above:
                self._parent(above, path)
            self._spell(parent)
            if parent in self.written:
                raise _Follows("E_MEMBER_LINK", f"member {shown(path)} lies under a member that is refused.")
            self.entries[parent] = Entry(path=parent, kind="d")
        elif known.kind == "l":
            raise ArtifactFault("E_MEMBER_LINK", f"member {shown(path)} lies under the link {shown(parent)}.")
        elif known.kind == "f":
            raise ArtifactFault("E_MEMBER_DUP", f"member {shown(path)} lies under the file {shown(parent)}.")

    def _spell(self, path: str) -> None:
        folded = path if path.isascii() else unicodedata.normalize("NFC", path)
        other = self.spelled.setdefault(folded.casefold(), path)
        if other != path:
            what = f"members {shown(path)} and {shown(other)} differ in case or accents only."
            raise ArtifactFault("E_MEMBER_DUP", what, "Rename one of them.")

    def finish(self, strip: Literal["auto", "none"]) -> tuple[str, tuple[Entry, ...]]:
        """Return what was stripped and the members without it; check what needs the whole tree.

        Raises ArtifactFault when there is nothing; other faults are kept.
        """
        if not self.entries and not self.faults:
            raise ArtifactFault("E_ARCHIVE_EMPTY", "it has no members.", "Build the artifact again.")
        top = self._only_top() if strip == "auto" else ""
        if top and len(self.entries) == 1:
            raise ArtifactFault("E_ARCHIVE_EMPTY", f"it holds nothing but the directory {shown(top)}.")
        stripped = ((below(path, top), entry) for path, entry in self.entries.items())
        found = {path: replace(entry, path=path) for path, entry in stripped if path is not None}
        for fault in _tree_faults(found):
            self._keep(fault)
        return top, tuple(found.values())

    def _only_top(self) -> str:
        tops = [p for p in self.entries if "/" not in p]
        return tops[0] if len(tops) == 1 and self.entries[tops[0]].kind == "d" else ""


def below(path: str, strip: str) -> str | None:
    """Return a path without the directory that is taken off; None for that directory itself and what is not in it.

    A member in it may have its name.
    """
    if not strip:
        return path
    return path.removeprefix(f"{strip}/") if path.startswith(f"{strip}/") else None


def disk_bytes(entries: tuple[Entry, ...], size: int) -> int:
    """Return the bytes that the members take on a disk, at most: every one may fill a block."""
    return size + DISK_BLOCK * (len(entries) + 2)


def path_of(member: Member, limits: Limits) -> str:
    """Return a member's path, without a directory's trailing slash; raise ArtifactFault for a bad one."""
    name = member.name
    if member.kind == "d":
        name = name.removesuffix(b"/")
    path = _text(name, f"member {shown(name)}", "E_MEMBER_NAME")
    parts = path.split("/")
    if any(p in ("", ".", "..") for p in parts):
        hint = "Paths are relative, without `.` and `..`: tar -C build -czf app.tar.gz -- bin lib (or name the folder)."
        raise ArtifactFault("E_MEMBER_PATH", f"member {shown(member.name)} at byte {member.at}.", hint)
    if len(name) > limits.path:
        raise ArtifactFault("E_ARCHIVE_LIMIT", f"member {shown(path)} has a path of {len(name)} bytes.")
    for part in parts:
        if len(part.encode()) > limits.name or part[-1] in ". ":
            hint = f"At most {limits.name} bytes, not ending in a dot or a space."
            raise ArtifactFault("E_MEMBER_NAME", f"member {shown(path)} has a part that not every disk takes.", hint)
    return path


def _text(name: bytes, what: str, code: str) -> str:
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        raise ArtifactFault(code, f"{what} is not UTF-8.", "Rename it.") from None
    plain = text.isascii() and text.isprintable()
    if "\\" in text or (not plain and any(unicodedata.category(c) in INVISIBLE or c in BIDI for c in text)):
        raise ArtifactFault(code, f"{what} holds a backslash or a character that is not seen.", "Rename it.")
    return text


def _tree_faults(found: dict[str, Entry]) -> Iterator[ArtifactFault]:
    for path, entry in found.items():
        folded = path.casefold()
        if folded.rpartition("/")[2] == NAME or folded.partition("/")[0] in RESERVED_TOP:
            yield ArtifactFault(
                "E_MEMBER_RESERVED", f"member {shown(path)} has a name that rollout uses.", "Rename it."
            )
        if entry.kind == "l" and not entry.target.startswith("/") and not stays_inside(entry, found):
            what = f"link {shown(path)} leads out of the release, to {shown(entry.target)}."
            yield ArtifactFault("E_MEMBER_LINK", what, "Links stay inside the release.")
    yield from _behind_absolute(found)


def _behind_absolute(found: dict[str, Entry]) -> Iterator[ArtifactFault]:
    """Refuse links that lead on behind an absolute one: what is listed may be reached, nothing near it."""
    if not any(e.target.startswith("/") for e in found.values()):
        return
    steps = count()
    for path, entry in found.items():
        if entry.kind == "l" and leads_on(entry, found, steps):
            what = f"link {shown(path)} leads on behind a link that is absolute, to {shown(entry.target)}."
            yield ArtifactFault("E_MEMBER_LINK", what, "Only what `allow_links` lists may be reached.")


def leads_on(link: Entry, found: dict[str, Entry], steps: Iterator[int]) -> bool:
    """Say whether a link, followed in ``found`` alone, comes to an absolute one and has a way to go from there.

    Each link stays inside or is absolute, as was seen before: ``..`` never stands behind a link.
    Raises ArtifactFault where links through links take too many steps, all together.
    """
    here, ahead, followed = link.path.split("/")[:-1], link.target.split("/")[::-1], 0
    while ahead and followed <= FOLLOWED:  # what no system follows leads nowhere
        if next(steps) > MAX_STEPS:
            raise ArtifactFault("E_ARCHIVE_LIMIT", "its links lead through too many links.", "Have fewer of them.")
        part = ahead.pop()
        entry = found.get("/".join([*here, part]))
        if part == "..":
            del here[-1:]
        elif entry is not None and entry.target.startswith("/"):
            return any(p not in ("", ".") for p in ahead)
        elif entry is not None and entry.kind == "l":
            followed += 1
            ahead += entry.target.split("/")[::-1]
        elif part not in ("", "."):
            here.append(part)
    return False


def stays_inside(link: Entry, found: dict[str, Entry]) -> bool:
    """Say whether a link stays inside whatever it leads through, without following anything.

    Its own parents are real directories. A ``..`` may therefore stand first, or behind a name
    that is no link; behind a link it would climb from where that link leads (the chains of 2025).
    """
    here = link.path.split("/")[:-1]
    for part in link.target.split("/"):
        if part == "..":
            above = found.get("/".join(here))
            if not here or (above is not None and above.kind == "l") or (above is None):
                return False
            here.pop()
        elif part not in ("", "."):
            here.append(part)
    return True
