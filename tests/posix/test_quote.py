"""Quoting, tried against real shells: a value comes back as it was, and nothing of it is ever run."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from rollout.posix import reply
from rollout.posix.quote import assign, lean, listing, quote
from tests.posix.shells import NAMES, shell

VALUES = 6000
PIECES = (
    *"'\"`$(){}[]<>|&;*?~#!\\\n\t\r -=%^,.:@/+aZ0é\x01\x1b\x7f\u202e",
    "$(touch canary)",
    "`touch canary`",
    "';touch canary;'",
    '";touch canary;"',
    "\ntouch canary\n",
    "${IFS}",
    "'\\''",
    "$'\\x27'",
    "<(touch canary)",
    "-n",
    "\\c",
)


def _hostile(seed: int) -> list[str]:
    dice = random.Random(seed)
    return ["", *("".join(dice.choices(PIECES, k=dice.randint(1, 12))) for _ in range(VALUES))]


@pytest.mark.parametrize("name", NAMES)
def test_every_value_comes_back_and_none_is_run(name: str, tmp_path: Path) -> None:
    values = _hostile(NAMES.index(name))
    lines = ["show() { printf '%s\\0' \"$@\"; }\n", reply.LISTS]
    for at, value in enumerate(values):
        if at % 3 == 0:
            lines.append(f'{assign("v", value)}show "$v"\n')
        elif at % 3 == 1:
            lines.append(f"show {quote(value)}\n")
        else:
            lines.append(f"{listing('call', [value])}with call show\n")
    script = tmp_path / "script"
    script.write_text("".join(lines), encoding="utf-8", newline="")
    used = shell(name, tmp_path)
    done = subprocess.run([*used.argv, str(script)], capture_output=True, cwd=tmp_path, env=dict(used.env), check=True)
    assert done.stdout.decode().split("\0")[:-1] == values
    assert done.stderr == b""
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("value", ["\0", "a\0b", "\ud800"])
def test_what_no_word_can_carry_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"NUL|surrogates"):
        quote(value)


def test_values_stand_before_the_text_that_works_on_them() -> None:
    said = "first\n" + assign("a", 1) + "then\n" + listing("b", ["x y", "it's"]) + assign("c", "")
    assert said.text == "first\nthen\n"
    assert said.values == "a='1'\nb_n='2'\nb_1='x y'\nb_2='it'\\''s'\nc=''\n"
    assert str(said) == said.values + said.text


def test_lean_keeps_only_what_runs() -> None:
    assert lean("\n    # why\n    a\n\n      b # c\n") == "a\nb # c\n"
