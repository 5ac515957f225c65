"""Playbooks that were good once: whatever became of them, the answer is plays or problems with places in the file."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.errors import InputError, Problem
from rollout.playbook.source import open_playbook
from tests.badinput.mutating import mutated, spoiled
from tests.badinput.running import answers
from tests.badinput.transcript import Command, File, Transcript

CHECKOUT = Path(__file__).parents[2]
FILES = [*sorted(CHECKOUT.glob("playbooks/*.yml")), *sorted((Path(__file__).parent / "bad").glob("*.yml"))]
SOURCES = ["\n".join(line for line in f.read_text().split("\n") if not line.startswith("#=")) for f in FILES]
INVENTORIES = [(CHECKOUT / "inventories/demo.ini").read_text(), "[web]\nweb[1:4] http_port=80\n[db]\ndb1\n"]
SECONDS = 10.0  # of processor time for one file; milliseconds are usual
GROWTH_KB = 400_000  # of all files together

TEXTS = mutated(SOURCES)
COMMANDS = st.tuples(mutated(SOURCES), mutated(INVENTORIES, 2) | st.sampled_from(INVENTORIES))


@pytest.fixture(scope="module", autouse=True)
def _bounded() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH_KB


def opened(data: bytes) -> Sequence[Problem]:
    """Read a playbook, and return what is wrong with it; nothing but an InputError may come of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "play.yml")
        path.write_bytes(data)
        began = time.process_time()
        try:
            found: Sequence[Problem] = open_playbook(str(path), "default").problems
        except InputError as error:
            found = error.problems
            assert found
        assert time.process_time() - began < SECONDS
        inside(found, str(path), data.decode("utf-8-sig", "replace"))
    return found


def inside(problems: Sequence[Problem], file: str, text: str) -> None:
    """Every problem has a code and a place inside the file, and is said in a few words, each once."""
    lines = text.split("\n")
    assert len(set(problems)) == len(problems)
    for found in problems:
        assert found.code.startswith("E_")
        assert len(str(found)) < 1500, found
        if found.file == "--env":
            continue
        assert found.file == file
        if found.line or found.code not in ("E_SIZE", "E_ENCODING", "E_NOT_FILE"):
            assert 1 <= found.line <= len(lines), found
            assert 1 <= found.column <= len(lines[found.line - 1]) + 1, found


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXTS)
def test_a_playbook_that_was_good_once_is_answered(text: str) -> None:
    opened(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoiled(TEXTS))
def test_bytes_that_were_a_playbook_are_answered(data: bytes) -> None:
    opened(data)


def typed(play: str, inventory: str) -> None:
    """Type ``rollout validate``: it ends with 0 or 2, contacts nobody and writes nothing."""
    command = Command(line="rollout validate play.yml -i hosts.ini", answer="")
    steps = (File(name="play.yml", text=play), File(name="hosts.ini", text=inventory), command)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        (answer,) = answers(Transcript(name="fuzz", rows=(), about="", steps=steps), Path(folder))
        assert time.process_time() - began < SECONDS
    assert answer.text.startswith(("exit 0\n", "exit 2\n")), answer.text
    assert answer.seen.nothing, answer.seen
    assert "Traceback" not in answer.text


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(COMMANDS)
def test_the_command_ends_in_words(both: tuple[str, str]) -> None:
    typed(*both)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoiled(TEXTS) | TEXTS.map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_twenty_thousand_more_are_answered(data: bytes) -> None:
    opened(data)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck))
@given(COMMANDS)
def test_fifteen_hundred_more_commands_end_in_words(both: tuple[str, str]) -> None:
    typed(*both)
