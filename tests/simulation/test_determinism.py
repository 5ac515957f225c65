"""The same seed gives the same journal, byte for byte, whatever order Python keeps its sets in (I17)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SEEDS = 20
PAIRS = 20
PROGRAM = f"""
import hashlib
from tests.simulation.single import drawn_pair, tried
from tests.simulation.soup import run
texts = [run(seed).text for seed in range({SEEDS})] + [tried(drawn_pair(seed)).text for seed in range({PAIRS})]
print(hashlib.sha256("".join(texts).encode()).hexdigest())
"""


def journals(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_a_seed_is_a_journal(hash_seed: str) -> None:
    assert journals(hash_seed) == journals("0") != ""
