"""What hosts print is inert and bounded wherever it is shown."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.posix.sanitise import line, sanitise, tail

SHOWN = {
    "plain ünïcode ✓\n\ttabs stay": "plain ünïcode ✓\n\ttabs stay",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link": "\\x1b]8;;http://x\\x1b\\link",
    "\x1b]52;c;aGk=\x07": r"\x1b]52;c;aGk=\x07",
    "ok\rFAILED": r"ok\x0dFAILED",
    "a\x00b\x7f\x9b31m": r"a\x00b\x7f\x9b31m",
    "user\u202etxt.exe\u2066": r"user\u202etxt.exe\u2066",
    "zero\u200bwidth\ufeff": r"zero\u200bwidth\ufeff",
    "line\u2028break": r"line\u2028break",
    "tag\U000e0041": r"tag\U000e0041",
    "[/bold] {{ 7*7 }} $(x)": "[/bold] {{ 7*7 }} $(x)",
}


@pytest.mark.parametrize("said", SHOWN)
def test_it_is_made_visible(said: str) -> None:
    assert sanitise(said) == SHOWN[said]


def test_every_character_that_only_directs_others_is_made_visible() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    directing = [c for c in every if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"]
    assert [hex(ord(c)) for c in directing if c in sanitise(c)] == []


def test_bytes_of_no_language_are_shown() -> None:
    assert sanitise(b"a\xff\xfe\xc3") == r"a\xff\xfe\xc3"


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)), st.integers(1, 60))
def test_nothing_that_a_terminal_obeys_is_left_and_nothing_is_longer_than_asked(said: str | bytes, limit: int) -> None:
    for shown in (sanitise(said, limit), line(said, limit)):
        assert len(shown) <= limit
        assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"]
        shown.encode()
    assert "\n" not in line(said, limit)


BLANK = "\u115f\u1160\u3164\ufffc"  # by their categories letters and a symbol, and nothing can be seen of them


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters=BLANK), max_size=200))
def test_what_is_harmless_stays_as_it_is(said: str) -> None:
    assert sanitise(said) == said


def test_the_end_is_kept_of_many_lines() -> None:
    said = b"".join(b"%d\n" % n for n in range(100_000))
    assert tail(said, lines=3) == ("99997", "99998", "99999")
    assert tail(b"") == ()
    assert tail(b"x" * 10_000_000, lines=2, width=10) == ("x" * 9 + "…",)
    assert tail("a\r\n\n\x1b[2Jb\n") == ("a", "", r"\x1b[2Jb")
