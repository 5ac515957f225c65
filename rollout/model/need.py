"""What a play needs of another app: a release that satisfies a few comparisons.

Versions are compared as people count them: ``v`` in front is left off, the numbers between
dots one by one (``2.10`` is newer than ``2.9``, ``2`` and ``2.0.0`` are equal), a pre-release
(``2.3.0-rc.1``) is older than its release, what follows a ``+`` says nothing, and neither does
a revision ``~2`` of rollout's own. Pre-releases compare as semantic versioning has it: part
by part, numbers by value and before words. An id that is no version (a commit's hash, a date
that rollout made) can only be compared for being the same text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne

_TERM = re.compile(r"(>=|<=|==|!=|>|<|=)?[ ]*([A-Za-z0-9][A-Za-z0-9._+-]{0,127})")
_VERSION = re.compile(r"[vV]?([0-9]{1,12}(?:\.[0-9]{1,12})*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]*)?")
_COMPARE = {">=": ge, "<=": le, "==": eq, "!=": ne, ">": gt, "<": lt}

Part = tuple[int, int, str]
Version = tuple[tuple[int, ...], tuple[Part, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One comparison: ``>=``, ``<=``, ``==``, ``!=``, ``>`` or ``<``, and what is compared with."""

    sign: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """An app, and the comparisons that its release must all satisfy; ``wanted`` is how they were written."""

    app: str
    wanted: str
    terms: tuple[Term, ...]

    def met_by(self, release: str) -> bool | None:
        """Whether a release id satisfies every term; None when it cannot be compared with one of them."""
        found = [_holds(term, release.partition("~")[0]) for term in self.terms]
        if False in found:
            return False
        return None if None in found else True


def terms_of(wanted: str) -> tuple[Term, ...]:
    """Read ``">= 2.3.0, < 3"``; a version alone means that very one. Empty where it cannot be read."""
    found = []
    for part in wanted.split(","):
        match = _TERM.fullmatch(part.strip())
        if match is None:
            return ()
        sign = "==" if match[1] in (None, "=") else match[1]
        if sign not in ("==", "!=") and version_of(match[2]) is None:
            return ()
        found.append(Term(sign=sign, version=match[2]))
    return tuple(found)


def version_of(text: str) -> Version | None:
    """Return what a version is compared by, or None for what is none."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = tuple(int(n) for n in match[1].split("."))
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers = numbers[:-1]
    # A release stands after all its pre-releases: one part that is greater than any of theirs.
    return numbers, tuple(map(_part, match[2].split("."))) if match[2] else ((2, 0, ""),)


def _part(text: str) -> Part:
    """Return one part of a pre-release: numbers before words."""
    return (0, int(text), "") if text.isdigit() else (1, 0, text)


def _holds(term: Term, release: str) -> bool | None:
    """Whether one comparison holds; None when there is nothing to compare by."""
    if release == term.version:
        return term.sign in ("==", ">=", "<=")
    ours, theirs = version_of(release), version_of(term.version)
    if ours is None or theirs is None:
        return {"==": False, "!=": True}.get(term.sign)
    return bool(_COMPARE[term.sign](ours, theirs))
