"""Tokens of the rendering child become references, and a reference may stand only where a value is sent in secret."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rollout.model.secret import CLOSE, OPEN, references, sealed
from rollout.playbook.files import hidden_in, hidden_problem
from rollout.playbook.nodes import Path, Place, Scalar
from rollout.playbook.said import problem

if TYPE_CHECKING:
    from rollout.errors import Problem
    from rollout.playbook.templates import Rendered

# Where a secret may stand: what is sent on standard input, or from here. ``*`` is a number in a list.
_HOMES = re.compile(
    r"release\.shared\.files\.\*\.content"
    r"|release\.artifact\.headers\..+"
    r"|connection\.become\.password"
    r"|health\.checks\.\*\.http\.headers\..+"
    r"|((hooks\.\w+|release\.prepare|drain\.start)(\.\*)?(\.undo)?|drain\.(until|undo))\.(stdin|env\..+)"
)
WHERE = "It may stand in `content` of shared files, `env` and `stdin` of tasks, `headers` of checks and artifact."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of one answer. ``folder``: the playbook's, where relative paths begin."""

    nonce: str
    references: Sequence[str] = ()
    folder: str = ""
    token: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Make what finds a token."""
        object.__setattr__(self, "token", re.compile(f"{OPEN}{self.nonce}([0-9]+){CLOSE}"))

    def fault(self, place: Place, value: object) -> Problem | None:
        """Return what is wrong with a rendered value: a character that nobody sees, or a token that is not whole."""
        for text in _texts(value):
            rest = self.token.sub("", text)
            if self.references and (self.nonce.lower() in rest.lower() or OPEN in rest or CLOSE in rest):
                what = "Only a part of a secret is left here, or it was changed."
                return problem(place, "E_SECRET", what, "", _WHOLE)
            if hidden := hidden_in(rest):
                return hidden_problem(place, hidden)
        return None

    def settled(self, value: Any) -> Any:
        """Return a value with references for tokens."""
        if isinstance(value, str):
            return self.token.sub(self._reference, value) if OPEN in value else value
        if isinstance(value, list):
            return [self.settled(item) for item in value]
        if isinstance(value, dict):
            return {self.settled(key): self.settled(item) for key, item in value.items()}
        return value

    def _reference(self, found: re.Match[str]) -> str:
        kind, _, rest = self.references[int(found.group(1))].partition(":")
        return sealed(f"{kind}:{self._placed(kind, rest)}")

    def _placed(self, kind: str, rest: str) -> str:
        """Return what it names without the folder: a way back needs no checkout to find it."""
        if kind == "file":
            return os.path.normpath(os.path.join(self.folder, os.path.expanduser(rest)))
        if kind in ("sops", "ansible-vault"):
            path, _, key = rest.rpartition("#")
            return f"{self._placed('file', path)}#{key}"
        if kind == "cmd":
            return _command(self.folder, rest)
        return rest


_WHOLE = "Put the secret into the text as it is: `{{ secret('env:NAME') }}`."


def _command(folder: str, said: str) -> str:
    """Return the words of a command; a path as the first of them begins in the folder."""
    try:
        words = shlex.split(said)
    except ValueError:
        return said  # what runs it says so
    if words and "/" in words[0]:
        words[0] = os.path.normpath(os.path.join(folder, os.path.expanduser(words[0])))
    return shlex.join(words)


def placed(path: Path, template: Scalar, rendered: Rendered) -> Rendered:
    """Return what was rendered at a path, failed where a secret must not stand there (E_SECRET_IN_NAME)."""
    wrong = {n for n, value in enumerate(rendered.values) if any(_stray(path, value))}
    if not wrong:
        return rendered
    at = ".".join(str(step) for step in path if isinstance(step, str) and step)
    what = f"A secret cannot stand {f'in `{at}`' if at else 'here'}: it would be seen."
    told = problem(template.place, "E_SECRET_IN_NAME", what, WHERE, "Take it out.")
    return replace(rendered, problems=(*rendered.problems, told), failed=rendered.failed | wrong)


def _stray(path: Path, value: object) -> Iterator[str]:
    """Yield the references that stand where none may."""
    if isinstance(value, str):
        said = ".".join("*" if isinstance(step, int) else step for step in path)
        if references(value) and not _HOMES.fullmatch(said):
            yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from (key for _ in references(str(key)))
            yield from _stray((*path, str(key)), item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _stray((*path, number), item)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts inside a rendered value, the keys of mappings too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
