"""What is shown is words; what others wrote is inert (S7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.cli.reading import say
from rollout.report.text import ascii_only, between, count, duration, folded, inert, names, size, table

HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "link": "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "overwrite": "FAILED\rPASSED",
    "backspace": "bad\x08\x08\x08ok ",
    "c1": "\x9b31mred",
    "bidi": "user\u202egpj.exe",
    "isolate": "\u2066x\u2069",
    "line separator": "a\u2028b",
    "delete": "a\x7fb",
    "newline": "a\nb",
    "surrogate": "a\udc9bb",
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_a_terminal_would_obey_is_shown_instead(said: str) -> None:
    shown = inert(said)
    assert shown.isprintable(), shown
    assert "\\" in shown


@given(st.text())
def test_nothing_that_moves_a_cursor_is_left(said: str) -> None:
    shown = inert(said)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x2028 <= ord(c) <= 0x202E for c in shown)


@given(st.text())
def test_what_is_for_a_plain_place_is_ascii(said: str) -> None:
    assert ascii_only(said).isascii()


def test_long_text_is_cut_visibly() -> None:
    assert len(inert("x" * 10_000, 100)) == 100
    assert inert("x" * 10_000, 100).endswith("…")
    assert inert("  indented [/foo] {{ 7*7 }}") == "  indented [/foo] {{ 7*7 }}"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0s"), (-1, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m 00s"), (192, "3m 12s"),
     (3599.7, "1h 00m"), (3840, "1h 04m"), (90_000, "25h 00m")],
)  # fmt: skip
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_words() -> None:
    assert (count(1, "host"), count(0, "host"), count(2, "batch", "batches")) == ("1 host", "0 hosts", "2 batches")
    assert (size(0), size(999), size(1500), size(20_000_000)) == ("0 B", "999 B", "1.5 kB", "20 MB")
    assert names(["a", "b"]) == "a, b"
    assert names([f"h{n}" for n in range(9)], 3) == "h0, h1, h2 and 6 more"
    assert between("2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.500Z") == 60.5
    assert between("", "2026-01-01T00:01:00.500Z") == 0
    assert table(("A", "LONG"), [("x", ""), ("yyy", "z")]) == ["A    LONG", "x", "yyy  z"]


LINE = "  1.  staging (while it serves)  noting the staged release as unverified, then a task of the operator's own"


@pytest.mark.parametrize("width", [40, 60, 72, 80])
def test_a_long_line_is_broken_at_words_and_under_its_column(width: int) -> None:
    first, *more = folded(LINE, width)
    assert all(len(part) <= width for part in (first, *more))
    assert " ".join((first, *(part.strip() for part in more))) == LINE, "no word is lost or cut"
    column = 33 if width * 0.6 >= 33 else 6
    assert {len(part) - len(part.lstrip()) for part in more} == {column}


def test_what_fits_and_what_has_no_words_is_left_as_it_is() -> None:
    assert folded(LINE, 200) == [LINE]
    assert folded(LINE, 0) == [LINE], "no terminal"
    assert folded(LINE, 20) == [LINE], "nothing can be shown well there"
    assert folded("digest " + "a" * 64, 50) == ["digest", "  " + "a" * 64], "to be copied whole"
    assert folded("  a task beside the batches, with a name of its own", 40)[1].startswith("    ")


@pytest.mark.bad("B89")
@pytest.mark.parametrize(("terminal", "lines"), [(True, 3), (False, 1)])
def test_only_a_terminal_is_folded_for(
    terminal: bool, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    say([LINE])
    assert len(capsys.readouterr().out.splitlines()) == lines
