"""The error tree: every class names the exit code it ends the command with.

::

    RolloutError            1   a bug of ours
    ├── InvalidTransition   1   the engine was asked for an impossible move
    ├── NothingToDo         0   what was asked for is to be left as it is
    ├── InputError          2   what a user wrote is wrong; nothing was contacted
    ├── Refused             6   nothing was changed, and why
    ├── Held                7   another rollout holds the lease
    │   └── Fenced          7   a host has seen a newer rollout than this one
    ├── StoreError          8   the journal cannot be written or read
    │   ├── Illegible       8   a journal cannot be read, by this version at least
    │   │   └── Broken      8   it is not what was written
    │   ├── WentBack        8   what was written to the state is not there any more
    │   ├── Ended           8   there is nothing to take over
    │   ├── Unwritten       8   what is to be done is not on record, and so not begun
    │   └── StateGone       8   what was on record was deleted, and nobody will ever read it
    ├── Unreachable         6   no connection: what was to be sent was not sent
    │   └── HostKeyRefused  6   the host's key is unknown or not the recorded one
    ├── OutcomeUnknown      5   sent, and no trailer came back
    │   └── NoTrailer       5   its command has ended all the same
    └── BalancerError       6   a balancer refused, or could not be read
        ├── BalancerDoubt   6   something was written, and it may take effect yet
        └── BalancerFenced  7   the balancer's host has seen a newer rollout than this one

Errors carry strings and ids, never domain objects.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field


class RolloutError(Exception):
    """The root of the tree."""

    exit_code = 1


class InvalidTransition(RolloutError):
    """An event met a state that has no row for it; the message carries the story so far."""


class NothingToDo(RolloutError):
    """Every play is left out by its own word: an end, and a good one."""

    exit_code = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with an input, in the project's form.

    ``FILE:LINE:COL: E_CODE: what is wrong. Why it matters. What to write instead.``
    Lines and columns count from 1; 0 means unknown.
    """

    file: str
    line: int = 0
    column: int = 0
    code: str
    what: str
    why: str = ""
    instead: str = ""
    source: str = ""  # the line of the file, for the caret

    def __str__(self) -> str:
        """Return the one-line form."""
        place = self.file
        if self.line:
            place += f":{self.line}:{self.column or 1}"
        said = " ".join(s for s in (self.what, self.why, self.instead) if s)
        return f"{place}: {self.code}: {said}"


class InputError(RolloutError):
    """Everything that is wrong with what the user wrote, all at once."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        """Keep the problems in the order of the file."""
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason for a refusal: a code, what is so, and what to do next."""

    code: str
    what: str
    instead: str = ""
    hosts: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        """Return the one-line form."""
        return f"{self.code}: {self.what}" + (f" {self.instead}" if self.instead else "")


class Refused(RolloutError):
    """Refused before anything changed, with every reason."""

    exit_code = 6

    def __init__(self, *reasons: Reason) -> None:
        """Keep all the reasons."""
        self.reasons = reasons
        super().__init__("\n".join(map(str, reasons)))


class Held(RolloutError):
    """Another rollout holds the lease of this (environment, app)."""

    exit_code = 7


class Busy(Held):
    """Its process lives, or may: it can be waited for."""


class Fenced(Held):
    """A host has seen a newer rollout: this one must not go on."""


class StoreError(RolloutError):
    """The state store failed, or does not know what it was asked for.

    ``again``: once that is mended, what was typed can be typed again; ``said`` leaves that out, for a rollout that
    is at work and waits by itself.
    """

    exit_code = 8

    def __init__(self, said: str, *, again: bool = False) -> None:
        """Keep what is so, and what to do about it."""
        super().__init__(f"{said.removesuffix('.')}, then type the command again." if again else said)
        self.said = said


class Illegible(StoreError):
    """A journal cannot be read: by this version, or by any."""


class Broken(Illegible):
    """A journal is not what was written."""


class WentBack(StoreError):
    """A state lacks what was written to it: another server answers, or an older copy was put in its place."""


class Ended(StoreError):
    """A rollout has ended: there is nothing to take over."""


class Unwritten(StoreError):
    """What is to be done could not be put on record: it is not begun."""


class StateGone(StoreError):
    """What was on record was deleted, or something else stands in its place: nobody will ever read it."""


class Unreachable(RolloutError):
    """No connection to a host: nothing was sent."""

    exit_code = 6


class HostKeyRefused(Unreachable):
    """The host's key is unknown, changed or revoked."""


class OutcomeUnknown(RolloutError):
    """A step was sent and its trailer did not come back."""

    exit_code = 5


class NoTrailer(OutcomeUnknown):
    """The command ended, and did not say how the step went: it was killed, or never ran what it was told."""


class BalancerError(RolloutError):
    """A balancer could not be read, or refused what was written."""

    exit_code = 6


class BalancerDoubt(BalancerError):
    """A writing was sent, and nobody knows whether it arrived: it may arrive late."""


class BalancerFenced(BalancerError):
    """The host of a balancer has seen a newer rollout: this one must not write to it."""

    exit_code = 7


_SPENT = {errno.EMFILE: "open files", errno.ENFILE: "open files", errno.EAGAIN: "processes", errno.ENOMEM: "memory"}


def sentence(said: str) -> str:
    """Return what was said, with the point that ends it, where none does."""
    return said if said.endswith((".", "?", "!")) else f"{said}."


def spent(error: BaseException) -> str:
    """Return what this machine has no more of for this process, where that is what an error says; "" otherwise.

    Whoever is asked about is not to blame for it.
    """
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "threads"
    return (
        _SPENT.get(error.errno or 0, "") if isinstance(error, OSError) and not isinstance(error, TimeoutError) else ""
    )
