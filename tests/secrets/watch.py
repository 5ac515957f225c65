"""Look for canaries: in texts and files in every form, and in the arguments and environments of all processes."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, quote_plus


def forms(value: str) -> set[bytes]:
    """Return the forms in which a value would give itself away; written without a look at how they are taken out."""
    raw = value.encode()
    found = {value, json.dumps(value)[1:-1], quote(value), quote(value, safe=""), quote_plus(value), raw.hex()}
    found |= {raw.hex().upper(), " ".join(f"{byte:02x}" for byte in raw)}
    for before in range(3):  # whatever stands around it, the middle of it is the same
        for kind in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(kind(b"x" * before + raw).decode()[4:-4])
    found.add(in_markdown(value))
    return {form.encode() for form in found}


def in_markdown(value: str) -> str:
    """Return a value as the summary of a step has it: marks behind backslashes, and what HTML reads as entities."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|~>@:/-])", r"\\\1", value).replace("&", "&amp;").replace("<", "&lt;")


@dataclass(frozen=True, slots=True)
class Needles:
    """Canaries by name, and the control that is no secret."""

    canaries: dict[str, str]
    control: str

    def found(self, data: bytes) -> set[str]:
        """Return the names of the canaries that are in some bytes, in whatever form."""
        return {name for name, value in self.canaries.items() if any(form in data for form in forms(value))}

    def seen(self, data: bytes) -> bool:
        """Whether the control is there: this place is looked at."""
        return any(form.encode() in data for form in (self.control, in_markdown(self.control)))

    def pattern(self) -> re.Pattern[bytes]:
        every = sorted({form for value in self.canaries.values() for form in forms(value)})
        return re.compile(b"|".join(map(re.escape, every)))


def bytes_below(*folders: Path) -> bytes:
    """Return what is in all files below folders, their names too."""
    parts = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            parts.append(os.fsencode(path))
            with suppress(OSError):
                parts.append(os.readlink(path).encode() if path.is_symlink() else path.read_bytes())
    return b"\n".join(parts)


@dataclass(slots=True)
class Watch:
    """Samples /proc and a folder of temporary files, as fast as it can, until the end of the ``with``."""

    needles: Needles
    temporary: Path
    samples: int = 0
    hits: set[tuple[str, str]] = field(default_factory=set)  # where, and what it was: argv, or a variable's name
    proven: set[str] = field(default_factory=set)  # where the control was seen
    before: set[str] = field(default_factory=set)  # processes that were there already, which nobody gives anything
    over: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self.before = set(os.listdir("/proc"))
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        if self.thread:
            self.thread.join()

    def _watch(self) -> None:
        pattern = self.needles.pattern()
        while not self.over.wait(0.1):
            self.samples += 1
            for pid in os.listdir("/proc"):
                if pid.isdigit() and pid not in self.before:
                    self._process(pid, pattern)
            self._look("temporary", "a file", bytes_below(self.temporary), pattern)

    def _process(self, pid: str, pattern: re.Pattern[bytes]) -> None:
        with suppress(OSError):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes()
            self._look("cmdline", argv.replace(b"\0", b" ").decode("utf-8", "replace")[:200], argv, pattern)
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            if pattern.search(environ) or self.needles.seen(environ):
                for variable in environ.split(b"\0"):
                    name = variable.partition(b"=")[0].decode("utf-8", "replace")
                    who = b"rollout" if b"rollout" in argv else b"-"
                    self._look("environ", f"{name} {who.decode()}", variable, pattern)

    def _look(self, where: str, what: str, data: bytes, pattern: re.Pattern[bytes]) -> None:
        if pattern.search(data):
            self.hits.add((where, what))
        if self.needles.seen(data):
            self.proven.add(where)


def missing(proven: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Return the places of which nothing shows that they were looked at."""
    return sorted(set(wanted) - set(proven))
