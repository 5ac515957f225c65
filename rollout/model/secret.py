"""References to secrets: what stands in a text in place of a value that nobody is to see.

Plans, journals and reports hold references, such as ``env:PW`` between two marks; values come in where something is
sent, and not before (``rollout.secrets``). The marks are control characters, which no file, no command line and no
template may bring in (E_CONTROL_CHAR): a reference is only ever made by ``secret('…')``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping

OPEN, CLOSE = "\x0e", "\x0f"
HIDDEN = "***"
TYPED = "typed:sudo"  # a password that was typed on a terminal: only that process has it

_SEALED = re.compile(f"{OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")
_KEYED = re.compile(r"[^\x00-\x1f\x7f#]{1,1000}#[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")
_SHAPES = {
    "env": (re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}"), "secret('env:NAME')"),
    "file": (re.compile(r"[^\x00-\x1f\x7f]{1,1000}"), "secret('file:PATH')"),
    "vault": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,500}#[A-Za-z0-9_.-]{1,200}"), "secret('vault:PATH#KEY')"),
    "sops": (_KEYED, "secret('sops:PATH#KEY')"),
    "ansible-vault": (_KEYED, "secret('ansible-vault:PATH#KEY')"),
    "cmd": (re.compile(r"[^\x00-\x1f\x7f]*[!-~][^\x00-\x1f\x7f]{0,2000}"), "secret('cmd:WORD WORD')"),
}
FORMS = ", ".join(f"`{form}`" for _, form in _SHAPES.values())


def sealed(reference: str) -> str:
    """Return the text that stands for a secret's value."""
    return f"{OPEN}{reference}{CLOSE}"


def named(reference: str) -> bool:
    """Whether a reference has a kind that is known, and the shape of its kind."""
    kind, colon, rest = reference.partition(":")
    return bool(colon) and kind in _SHAPES and bool(_SHAPES[kind][0].fullmatch(rest))


def words_for(reference: str) -> tuple[str, ...]:
    """Return the command that runs on the controller for a secret, () where none does. Raises ValueError: no words."""
    kind, _, rest = reference.partition(":")
    path, _, key = rest.rpartition("#")
    match kind:
        case "cmd":
            return tuple(shlex.split(rest))
        case "sops":
            steps = (part if part.isdecimal() else f'"{part}"' for part in key.split("."))
            return ("sops", "-d", "--extract", "".join(f"[{step}]" for step in steps), path)
        case "ansible-vault":
            return ("ansible-vault", "view", path)
    return ()


def references(text: str) -> tuple[str, ...]:
    """Return the references in a text, in their order."""
    return tuple(_SEALED.findall(text)) if OPEN in text else ()


def references_in(value: object) -> Iterator[str]:
    """Yield the references in every text inside a plain value."""
    if isinstance(value, str):
        yield from references(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references_in(item)


def shown(text: str) -> str:
    """Return the text as people see it."""
    return bare(text, HIDDEN)


def bare(text: str, instead: str = "") -> str:
    """Return what was written around the secrets of a text."""
    return _SEALED.sub(lambda _: instead, text) if OPEN in text else text


def revealed(text: str, value_of: Callable[[str], str]) -> str:
    """Return the text with the values in it: what is sent, and kept nowhere."""
    return _SEALED.sub(lambda found: value_of(found.group(1)), text) if OPEN in text else text
