"""Host keys are shown and asked about: never trusted silently, and replaced for one host alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.lab import Lab

pytestmark = pytest.mark.lab


def scan(lab: Lab, known: Path, *more: str) -> tuple[int, str]:
    book, inventory = str(lab.folder / "shop.yml"), str(lab.fleet.inventory)
    done = lab.type("hostkeys", "scan", book, "-i", inventory, "-e", f"known_hosts={known}", *more)
    return done.returncode, done.stderr


def test_keys_are_recorded_when_somebody_says_so_and_replaced_one_by_one(lab: Lab, tmp_path: Path) -> None:
    lab.playbook()
    known = tmp_path / "known_hosts"
    code, said = scan(lab, known)
    assert (code, known.exists()) == (6, False), "nobody was there to ask, and keys were recorded"
    assert said.count("SHA256:") == 4
    assert scan(lab, known, "-y")[0] == 0
    lines = known.read_text().splitlines()
    assert len(lines) == 4
    assert scan(lab, known)[0] == 0, "what is known needs nobody"
    words = lines[1].split()
    known.write_text("\n".join([lines[0], f"{words[0]},elsewhere {lines[0].split(' ', 1)[1]}", *lines[2:]]) + "\n")
    code, said = scan(lab, known, "-y")
    assert code == 6
    assert "CHANGED" in said
    assert "hostkeys replace lab2" in said
    swap = ("hostkeys", "replace", "lab2", "-p", str(lab.folder / "shop.yml"), "-i", str(lab.fleet.inventory))
    refused = lab.type(*swap, "-e", f"known_hosts={known}")
    assert refused.returncode == 6
    assert refused.stderr.count("SHA256:") == 2, "both fingerprints are shown"
    done = lab.type(*swap, "-e", f"known_hosts={known}", "-y")
    assert done.returncode == 0, done.stderr
    after = known.read_text().splitlines()
    assert set(after) >= {lines[0], lines[2], lines[3]}, "the lines of other hosts stay as they are"
    assert any(line.startswith("elsewhere ") for line in after), "another name of the same line keeps its key"
    assert scan(lab, known)[0] == 0
