"""Inventories that were good once are answered with places; what is let through is what Ansible reads."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from rollout.errors import InputError, Problem
from rollout.inventory import load_inventory
from rollout.inventory.ini import words
from tests.badinput.mutating import PIECES, mutated, spoiled
from tests.inventory.oracle import listed
from tests.inventory.test_oracle import FILES, HOSTS, variables, written
from tests.inventory.test_yaml import HOSTS as YAML_HOSTS

INI = [HOSTS, "[web]\nweb[1:4] http_port=80 a='b c'\n[web:vars]\nx=1\n[all_web:children]\nweb\n"]
YAML = [YAML_HOSTS, 'web: { hosts: { web1: { http_port: 80 } }, vars: { x: [1, "a b"] } }\n']
SECONDS = 10.0
MANY = 250  # fuzzed values that Ansible is asked about at once


def read(texts: dict[str, bytes]) -> Sequence[Problem]:
    """Read an inventory with its files; nothing but an InputError may come of it, with places inside the files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in texts.items():
            Path(folder, name).parent.mkdir(exist_ok=True)
            Path(folder, name).write_bytes(data)
        began = time.process_time()
        try:
            load_inventory([Path(folder, next(iter(texts)))], None)
            found: Sequence[Problem] = ()
        except InputError as error:
            found = error.problems
            assert found
        assert time.process_time() - began < SECONDS
        for one in found:
            inside(one, folder, texts)
    return found


def inside(found: Problem, folder: str, texts: dict[str, bytes]) -> None:
    """A problem has a code, and a place inside one of the files."""
    assert found.code.startswith("E_")
    assert len(str(found)) < 1500, found
    name = found.file.removeprefix(f"{folder}/")
    lines = texts[name].decode("utf-8-sig", "replace").split("\n")
    assert 1 <= found.line <= len(lines), found
    assert 1 <= found.column <= len(lines[found.line - 1]) + 1, found


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoiled(mutated(INI)) | mutated(INI).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_an_ini_that_was_good_once_is_answered(data: bytes) -> None:
    read({"hosts.ini": data})


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoiled(mutated(YAML)) | mutated(YAML).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_a_yaml_that_was_good_once_is_answered(data: bytes) -> None:
    read({"hosts.yml": data})
    read({"hosts.ini": b"[web]\nweb1\n", "group_vars/web.yml": data})


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated([*INI, *YAML], 8).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_twenty_thousand_more_are_answered(data: bytes) -> None:
    read({"hosts": data})
    read({"hosts.ini": data})
    read({"hosts.yml": data})


def token(dice: random.Random) -> str:
    """Return something that may stand behind an equals sign."""
    pieces = [
        p for p in PIECES if len(p) < 40 and p.isprintable() and "{{" not in p and "{%" not in p and "{#" not in p
    ]
    plain = (
        "1",
        "0",
        "-3",
        "1.5",
        "True",
        "true",
        "None",
        "a",
        "a-b",
        "'q'",
        '"d"',
        "[1, 2]",
        "{'a': 1}",
        "(1,)",
        "''",
    )
    return "".join(dice.choices([*pieces, *plain, *plain], k=dice.randint(1, 3)))


def let_through(lines: list[str], folder: Path) -> list[str]:
    """Return the lines that make an inventory of ours when each stands alone."""
    found = []
    for line in lines:
        (folder / "one.ini").write_text(f"{line}\n")
        try:
            if words(line) and len(load_inventory([folder / "one.ini"], None).hosts) == 1:
                found.append(line)
        except (InputError, ValueError):
            continue
    return found


def compared(seed: int, folder: Path) -> None:
    """Let Ansible read what we let through, inline and below a section, and compare every value."""
    dice = random.Random(seed)
    inline = let_through([f"h{n} v={token(dice)} w={token(dice)}" for n in range(MANY)], folder)
    below = let_through([f"g{n}\n[g{n}_:vars]\nv={token(dice)}\n[g{n}_]\ng{n}" for n in range(MANY // 5)], folder)
    assert len(inline) > MANY // 5
    assert len(below) > MANY // 10
    (folder / "hosts.ini").write_text("\n".join([*inline, *below, ""]))
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_text("\n".join([*_mapping(dice), ""]))
    ours = variables(load_inventory([folder / "hosts.ini"], None))
    theirs = listed([str(folder / "hosts.ini")], folder)["_meta"]["hostvars"]
    for host, one in ours.items():
        assert one == theirs.get(host, {}), [line for line in [*inline, *below] if line.startswith(f"{host}")]


def _mapping(dice: random.Random) -> list[str]:
    """Return lines of variables that YAML reads, and that JSON can tell."""
    found = []
    for number in range(MANY // 2):
        line = f"y{number}: {token(dice)}"
        try:
            value = yaml.safe_load(line)
            json.dumps(value, allow_nan=False)
        except (yaml.YAMLError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError):
            continue
        if isinstance(value, dict) and set(value) == {f"y{number}"} and not set("&*%") & set(line):  # no anchors
            found.append(line)
    return found


@pytest.mark.timeout(180)
def test_what_is_let_through_is_what_ansible_reads(tmp_path: Path) -> None:
    compared(1, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 32))
def test_more_of_it_is_what_ansible_reads(seed: int, tmp_path: Path) -> None:
    compared(seed, tmp_path)


def test_the_sources_of_the_mutants_are_good(tmp_path: Path) -> None:
    written(tmp_path, FILES)
    for number, text in enumerate([*INI, *YAML]):
        assert read({f"hosts{number}.{'ini' if text in INI else 'yml'}": text.encode()}) == ()
