"""What ``secret('…')`` is in the rendering child: a token that stands for a value which the child never knows.

A token may be put into a text, and nothing else may be done with it: a filter would work on the token's letters, and
what came of them would be sent in place of the secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NoReturn

from rollout.model.secret import CLOSE, FORMS, OPEN, named

FILTERS = frozenset({"default", "d", "string", "join"})  # that keep a token whole
TESTS = frozenset({"defined", "undefined", "none"})  # that do not look at its letters


class Secret:
    """A secret in a template. ``refuse``: raises what is to be said of anything but putting it into a text."""

    __slots__ = ("refuse", "token")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, token: str, refuse: Callable[[str], NoReturn]) -> None:
        self.token = token
        self.refuse = refuse

    def __str__(self) -> str:
        return self.token

    def __add__(self, other: object) -> str:
        return self.token + str(other)

    def __radd__(self, other: object) -> str:
        return str(other) + self.token

    def __repr__(self) -> str:
        self.refuse("written out as part of a list or a mapping")

    def __bool__(self) -> bool:
        self.refuse("a condition")

    def __eq__(self, other: object) -> bool:
        self.refuse("compared")

    def __len__(self) -> int:
        self.refuse("measured")


class Secrets:
    """The secrets of one request: each has a token of its own, made of a nonce that nobody else knows."""

    def __init__(self, nonce: str, refused: Callable[[str, str], Exception]) -> None:
        self.nonce = nonce
        self.refused = refused
        self.references: list[str] = []

    def secret(self, reference: object = None, *more: object) -> Secret:
        """Return the secret of a reference: ``secret('env:NAME')`` in templates."""
        if not isinstance(reference, str) or more or not named(reference):
            raise self.refused("E_SECRET", f"A secret is written as one of {FORMS}.")
        if reference not in self.references:
            self.references.append(reference)
        return Secret(f"{OPEN}{self.nonce}{self.references.index(reference)}{CLOSE}", self._refuse)

    def _refuse(self, what: str) -> NoReturn:
        raise self.refused("E_SECRET", f"A secret cannot be {what}: its value is not known before it is sent.")

    def guarded(self, calls: Mapping[str, Any], keep: frozenset[str]) -> dict[str, Any]:
        """Return filters or tests that refuse secrets, but for those that are kept."""
        return {name: call if name in keep else self._guarded(name, call) for name, call in calls.items()}

    def _guarded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def guard(*args: Any, **named_args: Any) -> Any:
            if self.references and self._held((*args, *named_args.values())):
                self._refuse(f"given to `{name}`")
            return call(*args, **named_args)

        return guard

    def _held(self, value: object) -> bool:
        if isinstance(value, str):
            return self.nonce in value
        if isinstance(value, Mapping):
            return any(map(self._held, value.values()))
        return isinstance(value, Secret) or (isinstance(value, list | tuple) and any(map(self._held, value)))


def plainly(value: Any) -> Any:
    """Return a value with the tokens in it as text."""
    if isinstance(value, Secret):
        return value.token
    if isinstance(value, list | tuple):
        return [plainly(item) for item in value]
    if isinstance(value, Mapping):
        return {plainly(key): plainly(item) for key, item in value.items()}
    return value
