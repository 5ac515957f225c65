"""What people write and type, and the very answer: nobody is contacted for it, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.badinput.places import PROBLEM
from tests.badinput.running import answers
from tests.badinput.transcript import Transcript, read

TYPED = [read(path) for path in sorted((Path(__file__).parent / "typed").glob("*.txt"))]
Record = Callable[[str, object], None]


def _matches(expected: str, said: str) -> bool:
    """Whether an answer is the expected one; three dots stand for anything."""
    return re.fullmatch("(?s:.*?)".join(map(re.escape, expected.split("..."))), said) is not None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("transcript", [pytest.param(t, id=t.name, marks=pytest.mark.bad(*t.rows)) for t in TYPED])
def test_every_transcript_is_answered_as_written_in_it(
    transcript: Transcript, tmp_path: Path, record_property: Record
) -> None:
    for answer in answers(transcript, tmp_path):
        assert _matches(answer.command.answer, answer.text), f"$ {answer.command.line}\n{answer.text}"
        assert answer.seen.nothing, answer.seen
        assert answer.misplaced == []
        codes = sorted({m["code"] for m in PROBLEM.finditer(answer.text)})
        places = [m.group().rsplit(": ", 2)[0] for m in PROBLEM.finditer(answer.text) if m["line"]]
        record_property("said", {"codes": codes, "places": places[:1], "typed": answer.command.line})


def test_a_transcript_types_something() -> None:
    assert all(t.rows and any(hasattr(s, "argv") for s in t.steps) for t in TYPED)
