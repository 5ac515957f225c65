"""Host keys: known_hosts files as OpenSSH reads them, and one verdict about a key that a host shows.

A line is ``[@marker] names type base64 [comment]``. Names are patterns (``*``, ``?``) with commas,
``!`` before a name that the line is not for, ``[host]:port`` for other ports than 22, or hashed
(``|1|salt|hash``). Several lines, and several keys of a type, may speak of one host. A line that cannot
be read is passed over, as OpenSSH does; a key that no line vouches for is never accepted for that.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

SSH_PORT = 22
AUTHORITY, REVOKED = "@cert-authority", "@revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public host key: its type, and its blob as it travels."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """Return it as OpenSSH prints it, such as ``SHA256:…``."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        """Return what a person compares."""
        return f"{self.type} {self.fingerprint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a known_hosts file that could be read."""

    file: str
    line: int
    marker: str
    names: str
    key: Key

    @property
    def place(self) -> str:
        """Return where it stands."""
        return f"{self.file}:{self.line}"

    def speaks_of(self, name: str) -> bool:
        """Whether the line is for this name (``host`` or ``[host]:port``, in lower case)."""
        if self.names.startswith("|1|"):
            return _hashed(self.names, name)
        found = False
        for pattern in self.names.lower().split(","):
            wanted = pattern.removeprefix("!")
            if _matches(wanted, name):
                if wanted is not pattern:
                    return False  # a name that the line is not for settles it, wherever it stands
                found = True
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the files say about one address: lines of its own, certificates' authorities, revoked keys."""

    plain: tuple[Entry, ...] = ()
    portless: tuple[Entry, ...] = ()  # for another port than 22, the lines of the bare name: they may vouch, not accuse
    authorities: tuple[Entry, ...] = ()
    revoked: tuple[Entry, ...] = ()

    @property
    def types(self) -> tuple[str, ...]:
        """Return the key types on record, to be asked for first."""
        return tuple(dict.fromkeys(e.key.type for e in (self.plain or self.portless)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """``refusal`` is empty when the key is accepted; ``unknown`` says that nothing is on record at all."""

    refusal: str = ""
    unknown: bool = False


def parse(text: str, file: str) -> tuple[Entry, ...]:
    """Read the lines of one file; those that cannot be read are passed over."""
    found = (_entry(line.split(), file, at) for at, line in enumerate(text.splitlines(), start=1))
    return tuple(e for e in found if e is not None)


def _entry(words: Sequence[str], file: str, at: int) -> Entry | None:
    marker = words[0] if words and words[0].startswith("@") else ""
    fields = words[1:] if marker else words
    if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", AUTHORITY, REVOKED):
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except (binascii.Error, ValueError):
        return None
    key = Key(type=fields[1], blob=blob)
    # The type is said twice: a blob of another type than its line says is a broken line.
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != key.type.encode():
        return None
    return Entry(file=file, line=at, marker=marker, names=fields[0], key=key)


def name_of(address: str, port: int) -> str:
    """Return the name under which a key is recorded."""
    bare = address.lower()
    return bare if port == SSH_PORT else f"[{bare}]:{port}"


def known(entries: Iterable[Entry], address: str, port: int) -> Known:
    """Return what the entries say about one address."""
    name, bare = name_of(address, port), address.lower()
    mine, others = [], []
    for entry in entries:
        if entry.speaks_of(name):
            mine.append(entry)
        elif name != bare and entry.speaks_of(bare):
            others.append(entry)
    both = (*mine, *others)
    return Known(
        plain=tuple(e for e in mine if not e.marker),
        portless=tuple(e for e in others if not e.marker),
        authorities=tuple(e for e in both if e.marker == AUTHORITY),
        revoked=tuple(e for e in both if e.marker == REVOKED),
    )


def judge(offered: Key, on_record: Known, address: str, port: int, files: Sequence[str]) -> Judgement:
    """Accept the key or say why not, with both fingerprints and the line of the file."""
    name = name_of(address, port)
    for entry in on_record.revoked:
        if entry.key.blob == offered.blob:
            return Judgement(
                refusal=f"the key of {name} is revoked: {offered}, {REVOKED} at {entry.place}. Do not use it."
            )
    if any(e.key.blob == offered.blob for e in (*on_record.plain, *on_record.portless)):
        return Judgement()
    if on_record.plain:
        return Judgement(refusal=_changed(offered, on_record.plain, name))
    if on_record.authorities:
        return Judgement(refusal=_certified(offered, on_record.authorities[0], name))
    return Judgement(refusal=_unknown(offered, name, files), unknown=True)


def _changed(offered: Key, plain: Sequence[Entry], name: str) -> str:
    recorded = "; ".join(f"{e.key} ({e.place})" for e in plain[:4])
    return (
        f"the host key of {name} is not the recorded one: it shows {offered}, recorded is {recorded}. "
        "Either the host was rebuilt or somebody stands in between. Compare the fingerprint on the host's own "
        "console; only then replace that line."
    )


def _certified(offered: Key, authority: Entry, name: str) -> str:
    return (
        f"{name} is to show a certificate ({AUTHORITY} at {authority.place}), and this transport verifies no "
        f"certificates; it shows {offered}. Record this key for {name} beside it after comparing the fingerprint, "
        "or use `transport: openssh`."
    )


def _unknown(offered: Key, name: str, files: Sequence[str]) -> str:
    encoded = base64.b64encode(offered.blob).decode()
    return (
        f"the host key of {name} is unknown: it shows {offered}, and no line of {', '.join(files)} speaks of it. "
        f"Compare the fingerprint on the host's own console, then add: {name} {offered.type} {encoded}"
    )


def _matches(pattern: str, name: str) -> bool:
    """Only ``*`` and ``?`` mean something; brackets are part of ``[host]:port``."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == name
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _hashed(names: str, name: str) -> bool:
    try:
        salt, wanted = (base64.b64decode(part, validate=True) for part in names[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), wanted)  # known_hosts has no other hash
