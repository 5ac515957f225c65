"""The sinks: a line or an object per event, nothing obeyed, nothing broken by a reader that left."""

from __future__ import annotations

import io
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from rollout.model.event import Note, Record
from rollout.model.host import HostName
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.ports import Sink
from rollout.report.console import ConsoleSink
from rollout.report.jsonlines import JsonSink
from rollout.report.plain import PlainSink, QuietSink
from rollout.report.sinks import draws, sink_for
from tests.report import journals
from tests.report.journals import Script
from tests.report.test_text import HOSTILE


def hostile() -> list[Record]:
    """A journal in which every field that others can write is hostile."""
    evil = "[/foo][bold]" + "".join(HOSTILE.values())
    script = Script()
    of = script.begin(hosts=2, batches=(1,))
    script.stage(of)
    bad = Outcome(verdict=Verdict.FAILED, cause=Cause.RELEASE, summary=evil, tail=(evil, f"error {evil}"))
    script.forward(of, HostName("web1"), upto=3, outcome=bad)
    script.finish("halted", evil, 3)
    return script.records


def feed(sink: Sink, records: list[Record], note: str = "") -> None:
    for record in records:
        sink.event(record)
        if note:
            sink.note(Note(about="retry", host=HostName("web1"), text=note))
            sink.note(Note(about="waiting", text=note))
    sink.close()


def test_plain_is_one_line_per_event_and_the_recap() -> None:
    out = io.StringIO()
    records = journals.good()
    feed(PlainSink(out), records)
    lines, recap = out.getvalue().split("\n\n")
    assert len(lines.splitlines()) == len(records)
    assert all(re.match(r"\d\d:\d\d:\d\d .{12}  \S", line) for line in lines.splitlines())
    assert recap.startswith("DONE: shop 2.0.0")


def test_a_failure_shows_what_the_host_said_at_once() -> None:
    out = io.StringIO()
    feed(PlainSink(out), journals.reverted())
    lines = out.getvalue().splitlines()
    at = next(n for n, line in enumerate(lines) if "FAILED checking the health" in line)
    assert lines[at + 3].endswith(
        "web2            | 03:12:09 shop[811]: sqlite3.OperationalError: no such table: orders"
    )


def test_quiet_says_nothing_but_the_recap() -> None:
    out = io.StringIO()
    feed(QuietSink(out), journals.reverted(), note="x")
    assert out.getvalue().strip().startswith("REVERTED: shop")


def test_json_is_one_object_a_line() -> None:
    out = io.StringIO()
    records = journals.reverted()
    feed(JsonSink(out), records, note="again")
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    events = [one for one in said if one["type"] == "event"]
    assert [one["seq"] for one in events] == list(range(1, len(records) + 1))
    assert events[-1]["event"]["end"] == "reverted"
    assert {one["about"] for one in said if one["type"] == "note"} == {"retry", "waiting"}


@pytest.mark.parametrize("kind", [PlainSink, QuietSink, JsonSink])
def test_nothing_hostile_reaches_the_terminal(kind: type[PlainSink] | type[JsonSink]) -> None:
    out = io.StringIO()
    feed(kind(out), hostile(), note="".join(HOSTILE.values()))
    assert all(line.isprintable() for line in out.getvalue().split("\n"))
    assert "owned" in out.getvalue()


@pytest.mark.bad("B88")
def test_ascii_is_all_that_an_ascii_place_gets() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii")
    feed(PlainSink(out), hostile(), note="é→✓")
    raw_lines = raw.getvalue()
    assert raw_lines.isascii()
    assert b"HALTED" in raw_lines


@pytest.mark.parametrize("kind", [PlainSink, QuietSink, JsonSink])
@pytest.mark.fault("F8")
def test_a_reader_that_left_breaks_nothing(kind: type[PlainSink] | type[JsonSink]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    out = os.fdopen(writer, "w")
    feed(kind(out), journals.good())
    with suppress(BrokenPipeError):
        out.close()


@pytest.mark.fault("F8")
def test_a_full_log_disk_breaks_nothing() -> None:
    with Path("/dev/full").open("w") as out:
        feed(PlainSink(out), journals.good())
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


CURSOR = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*m|2K|1A|\d*[AG])")  # what rich itself writes


def drawn(records: list[Record], *, height: int = 40, note: str = "", every: int = 1) -> tuple[str, list[str]]:
    """Return what a terminal got, and each board as text."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=height, legacy_windows=False, highlight=False)
    at = [records[0].at]
    sink = ConsoleSink(console, now=lambda: at[0])
    boards = []
    for number, record in enumerate(records):
        at[0] = record.at
        sink.event(record)
        if note:
            sink.note(Note(about="retry", host=HostName("web1"), text=note))
        if number % every:
            continue
        plain = Console(file=io.StringIO(), width=100, height=height)
        plain.print(sink.view())
        boards.append(plain.file.getvalue())  # type: ignore[attr-defined]
    sink.close()
    return out.getvalue(), boards


def test_the_board_shows_hostile_text_and_obeys_none_of_it() -> None:
    written, boards = drawn(hostile(), note="[/foo]" + "".join(HOSTILE.values()))
    left = CURSOR.sub("", written).replace("\r", "")
    assert all(line.isprintable() for line in left.split("\n"))
    assert "[/foo]" in "".join(boards)
    assert "[/foo][bold]" in left, "markup was obeyed"


def test_the_board_gives_way_to_the_recap() -> None:
    written, _ = drawn(journals.reverted())
    left = CURSOR.sub("", written)
    assert "REVERTED: shop 2.0.0" in left
    assert "rollout show r1 has the evidence" in left
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is not given back"


@pytest.mark.parametrize("height", [12, 24, 60])
@pytest.mark.parametrize("hosts", [6, 200])
def test_the_board_fits_the_terminal_and_says_what_matters(hosts: int, height: int) -> None:
    batches = (1, 10, hosts - 11) if hosts > 11 else (1, 2, 3)
    _, boards = drawn(journals.good(hosts, batches), height=height, every=hosts // 6)
    for board in boards[2:-1]:
        assert len(board.splitlines()) <= max(height, 16), board
    rolling = next(board for board in boards if "rolling" in board and "batch" in board)
    assert re.search(rf"\d+ of {hosts} in service, floor {hosts - 2}", rolling)


def test_capacity_counts_the_host_that_is_out() -> None:
    _, boards = drawn(journals.reverted())
    said = [re.search(r"(\d) of 6 in service", board) for board in boards]
    assert {found.group(1) for found in said if found} == {"5", "6"}
    assert "2 of 6 hosts, 20 MB each; nobody has left rotation" in boards[5]


@pytest.mark.parametrize("kind", [PlainSink, QuietSink])
def test_after_a_takeover_the_recap_tells_the_whole_story(kind: type[PlainSink]) -> None:
    records = journals.reverted()
    out = io.StringIO()
    sink = kind(out)
    sink.catch_up(records[:30])
    feed(sink, records[30:])
    assert "2 hosts back on 1.0.0, in rotation: web1, web2" in out.getvalue()
    assert "staging" not in out.getvalue()


def test_what_was_shown_of_the_rollout_before_is_not_of_the_next_one() -> None:
    """A heal takes several over, one after the other."""
    sink = ConsoleSink(Console(file=io.StringIO(), width=120))
    sink.note(Note(about="draining", host=HostName("web1"), text="3 sessions"))
    sink.catch_up(journals.orphaned())
    assert not sink.notes
    assert not sink.last


@pytest.mark.bad("B89")
def test_which_sink_shows_it() -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    terminal = Terminal(io.BytesIO(), "utf-8")
    assert isinstance(sink_for("auto", terminal, {"TERM": "xterm"}), ConsoleSink)
    for output, out, term, kind in [
        ("auto", terminal, "dumb", PlainSink),
        ("auto", Terminal(io.BytesIO(), "ascii"), "xterm", PlainSink),
        ("auto", io.StringIO(), "xterm", PlainSink),
        ("plain", terminal, "xterm", PlainSink),
        ("json", terminal, "xterm", JsonSink),
        ("quiet", terminal, "xterm", QuietSink),
    ]:
        assert type(sink_for(output, out, {"TERM": term})) is kind
    assert not draws(terminal, {})
