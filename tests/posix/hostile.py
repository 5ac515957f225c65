"""Names that mean harm: hosts, users, paths, words and values with what a shell would act on, and who accepts which."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from rollout.inventory.names import host_fault, user_fault
from rollout.playbook import words as w
from rollout.playbook.files import hidden_in
from rollout.playbook.hostmodels import SharedFileModel
from rollout.playbook.models import OVER_SSH
from rollout.playbook.options import ENVIRONMENT
from rollout.playbook.taskmodels import EnvName, EnvValue, PlainTaskModel, Printed

CANARY = "canary"
SONGS = (
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"';touch {CANARY};'",
    f'";touch {CANARY};"',
    f"\ntouch {CANARY}\n",
    f"|touch {CANARY}",
    f"&touch {CANARY}&",
    f"<(touch {CANARY})",
    f"${{x:-$(touch {CANARY})}}",
    f"$((`touch {CANARY}`))",
    f"{{touch,{CANARY}}}",
    f"\\`touch {CANARY}\\`",
    f"'\"$(touch {CANARY})\"'",
)
PIECES = (
    *"'\"`$(){}[]<>|&;*?~#!\\\n\t\r -=%^,.:@/+aZ0",
    *("é", "\x01", "\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\ufeff", "😀"),
    *(
        "${IFS}",
        "'\\''",
        "$'\\x27'",
        "-n",
        "--",
        "-oProxyCommand=",
        "\\c",
        "\\0",
        "\\\n",
        "../",
        "//",
        "~root",
        "!!",
        "%n%s",
    ),
    *SONGS,
)
IMPOSSIBLE = ("\0", "\udcff", "\ud800")  # NUL, a byte that is no UTF-8, half a character
MILD = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789._-"
SHAPES = (MILD, MILD, MILD + "/", "/" + MILD, MILD + ":@%+[]", "abc0123456789_")


def _made(dice: random.Random) -> str:
    """Return a name: a mild one, a mild one with something in it, or nothing but harm."""
    manner = dice.random()
    if manner < 0.35:
        return "".join(dice.choices(PIECES, k=dice.randint(1, 10)))
    mild = dice.choice(("", "/", "-")) * (manner > 0.8) + "".join(
        dice.choices(dice.choice(SHAPES), k=dice.randint(1, 24))
    )
    if manner < 0.6:
        at = dice.randint(0, len(mild))
        return mild[:at] + dice.choice(PIECES if manner < 0.58 else IMPOSSIBLE) + mild[at:]
    return f"{mild}:{dice.randint(0, 70_000)}" if manner > 0.95 else mild


def hostile(seed: int, count: int) -> list[str]:
    """Return so many different names, the empty one first."""
    dice = random.Random(seed)
    found = {"": None}
    while len(found) < count:
        found[_made(dice)] = None
    return list(found)


@dataclass(frozen=True, slots=True)
class Typed:
    """What accepts a value of one kind: the very type that the playbook's models use."""

    adapter: TypeAdapter[object]

    def __call__(self, value: str) -> bool:
        """Whether it lets the value through unchanged."""
        try:
            return self.adapter.validate_python(value) == value
        except ValidationError:
            return False


def _of(kind: object) -> Typed:
    return Typed(TypeAdapter(kind))


def _field(model: type, name: str) -> Typed:
    found = model.model_fields[name]  # type: ignore[attr-defined]
    return Typed(TypeAdapter(found.rebuild_annotation()))


_ABSOLUTE, _RELATIVE, _ARGV = _of(w.Absolute), _of(w.Relative), _of(w.Argv)


def _word(value: str) -> bool:
    """Whether a word may stand in a command."""
    try:
        return _ARGV.adapter.validate_python(["x", value]) == ("x", value)
    except ValidationError:
        return False


ACCEPTS: Mapping[str, Callable[[str], bool]] = {
    "host": lambda v: host_fault(v) is None,
    "inventory user": lambda v: user_fault(v) is None,
    "user": _of(w.User),
    "app": _of(w.App),
    "environment": lambda v: ENVIRONMENT.fullmatch(v) is not None,
    "root": _ABSOLUTE,
    "release": _of(w.Id),
    "shared": _RELATIVE,
    "content": _field(SharedFileModel, "content"),
    "unit": _of(w.Unit),
    "server": _of(w.LbName),
    "address": _of(w.Address),
    "socket": lambda v: _ABSOLUTE(v) and OVER_SSH.fullmatch(v) is not None,
    "word": _word,
    "variable": _of(EnvName),
    "value": _of(EnvValue),
    "script": _field(PlainTaskModel, "shell"),
    "stdin": _field(PlainTaskModel, "stdin"),
    "folder": _field(PlainTaskModel, "cwd"),
    "prints": _of(Printed),
    "left out": lambda v: _RELATIVE(v) and re.search(r"[\x00-\x1f\x7f]", v) is None,
}


def accepted(kind: str, value: str) -> bool:
    """Whether a value of a playbook or of a variable is let through: by its type, and by what nobody sees."""
    return ACCEPTS[kind](value) and not hidden_in(value)


def sayable(value: str) -> bool:
    """Whether a shell's word can carry it at all."""
    return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
