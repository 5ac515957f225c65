"""What it costs to be told what there is to type: nothing heavy may be imported for it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

MOST = 12
RUNS = 9
BARE = [sys.executable, "-c", "pass"]
ROLLOUT = str(Path(sys.executable).with_name("rollout"))


def cpu_s(argv: list[str]) -> float:
    """Return what one process took of a CPU: little of what others do on the machine is in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.alone
@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_costs_little_more_than_an_interpreter(word: str) -> None:
    cpu_s([ROLLOUT, word])  # compiled once
    taken = [(cpu_s([ROLLOUT, word]), cpu_s(BARE)) for _ in range(RUNS)]
    ours, bare = (median(column) for column in zip(*taken, strict=True))
    said = f"rollout {word} takes {ours * 1000:.0f} ms, {ours / bare:.1f} times as much as python -c pass"
    print(said)
    assert ours <= MOST * bare, said
