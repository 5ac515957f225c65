"""A hundred thousand hostile names through real shells: they come back byte for byte, and the canary never appears."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.posix.hostile import ACCEPTS, CANARY, IMPOSSIBLE, SONGS, accepted, hostile, sayable
from tests.posix.saying import Names, Said, ops, task_alone
from tests.posix.shells import NAMES, Shell, shell

COUNT = 100_000
ROUNDS = 4
LOOSE = ("content", "word", "value", "script", "stdin", "folder")  # said as they are, whatever is in them
SETSID = "#!/bin/dash\nprintf '%s\\0' \"$@\"\n"
SETSID_AND_ENVIRON = SETSID + "printf '\\0'\ncat /proc/$$/environ\n"


@pytest.fixture(scope="module")
def names() -> list[str]:
    return hostile(1, COUNT)


@pytest.fixture(scope="module")
def let_through(names: list[str]) -> dict[str, list[str]]:
    return by_kind(names)


def by_kind(names: list[str]) -> dict[str, list[str]]:
    """Return who is let through as what; what is only said is tried with what cannot be seen in it too."""
    few = names[:6_000]
    found = {k: [n for n in few if (ACCEPTS[k](n) if k in LOOSE else accepted(k, n)) and sayable(n)] for k in ACCEPTS}
    assert min(map(len, found.values())) >= 60, {k: len(v) for k, v in found.items()}
    return found


def evaluated(used: Shell, text: str, folder: Path, setsid: str = SETSID) -> list[str]:
    """Evaluate a script in a shell, with nothing in reach but what it needs; return what was shown."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/setsid").write_text(setsid)
    (folder / "bin/setsid").chmod(0o755)
    (folder / "script").write_text(text, encoding="utf-8", newline="")
    (folder / "here").mkdir(exist_ok=True)
    env = {**used.env, "PATH": f"{folder / 'bin'}:{used.env['PATH']}"}
    argv = [*used.argv, str(folder / "script")]
    done = subprocess.run(argv, capture_output=True, cwd=folder / "here", env=env, timeout=300, check=False)
    assert (done.returncode, done.stderr[:2000]) == (0, b"")
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


def same(shown: list[str], wanted: list[str]) -> None:
    """Compare, and name the first that differs: a diff of a hundred thousand takes an hour."""
    for at, (one, other) in enumerate(zip(shown, wanted, strict=False)):
        assert one == other, f"number {at}"
    assert len(shown) == len(wanted)


@pytest.mark.bad("B31", "B32", "B33", "B45", "B79", "B80")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_thousand_names_come_back_and_none_is_run(
    name: str, names: list[str], let_through: dict[str, list[str]], tmp_path: Path
) -> None:
    said = ops(Names(let_through, random.Random(NAMES.index(name))), ROUNDS)
    said.values([n for n in names if sayable(n)])
    same(evaluated(shell(name, tmp_path), "".join(said.text), tmp_path), said.wanted)
    assert len(said.wanted) >= COUNT
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("name", NAMES)
def test_a_million_more(name: str, seed: int, tmp_path: Path) -> None:
    others = hostile(seed, COUNT)
    said = ops(Names(by_kind(others), random.Random(seed)), 4 * ROUNDS)
    said.values([n for n in others if sayable(n)])
    same(evaluated(shell(name, tmp_path), "".join(said.text), tmp_path), said.wanted)
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.bad("B79")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_every_variable_as_it_was_given(
    name: str, let_through: dict[str, list[str]], tmp_path: Path
) -> None:
    chosen = Names(let_through, random.Random(7))
    for _ in range(4):
        text, words, given = task_alone(chosen)
        shown = evaluated(shell(name, tmp_path), text, tmp_path, SETSID_AND_ENVIRON)
        at = shown.index("", len(words))
        assert shown[:at] == words
        assert _variables(shown[at + 1 :], given) == given
    assert list((tmp_path / "here").iterdir()) == []


def _variables(entries: list[str], given: Mapping[str, str]) -> dict[str, str]:
    found = dict(e.partition("=")[::2] for e in entries)
    return {name: found[name] for name in given if name in found}


@pytest.mark.timeout(120)
def test_what_is_let_through_can_be_said(names: list[str]) -> None:
    """Nothing that validation accepts is met again as a ValueError of a step."""
    hopeless = [n for n in hostile(3, 4000) if not sayable(n)]
    assert len(hopeless) > 50
    assert [(kind, n) for kind in ACCEPTS for n in hopeless if accepted(kind, n)] == []
    assert {c for n in hopeless for c in n if not sayable(c)} == set(IMPOSSIBLE)


@pytest.mark.parametrize("kind", [k for k in ACCEPTS if k not in LOOSE and k not in ("root", "shared", "left out")])
def test_no_song_is_a_name(kind: str, names: list[str]) -> None:
    """What is only a name has nothing in it that a shell would act on, quoted or not."""
    assert [n for n in names[:10_000] if any(s in n for s in SONGS) and ACCEPTS[kind](n)] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_canary_sings_where_nothing_is_quoted(name: str, tmp_path: Path) -> None:
    said = Said()
    said.text.append("".join(f'v="{song}"\n' for song in SONGS[:2]))
    evaluated(shell(name, tmp_path), "".join(said.text), tmp_path)
    assert os.listdir(tmp_path / "here") == [CANARY]
