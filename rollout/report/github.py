"""For GitHub Actions: parts of the log that fold, annotations, and a summary of the step.

A line that begins with two colons is a command to the runner there, and so is one with ``##[`` anywhere in it.
Only what is made here is one: everything that others wrote is changed visibly before it is a line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import TextIO

from rollout.errors import Problem
from rollout.model.event import Provenance, Record, RolloutFinished
from rollout.model.verdict import Cause
from rollout.report.board import Board
from rollout.report.boards import Boards
from rollout.report.groups import closes, opened_by
from rollout.report.plain import PlainSink
from rollout.report.recap import Line
from rollout.report.recaps import recap_of_all
from rollout.report.text import inert

SUMMARY = "GITHUB_STEP_SUMMARY"
TITLES = {"stranded": "rollout: a person is needed", "reverted": "rollout: reverted", "halted": "rollout: halted"}
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]()#+-.!|~>@:/"} | {"<": "&lt;", "&": "&amp;"})


class GithubSink(PlainSink):
    """Plain lines in groups; what failed is annotated, and the recap is the step's summary."""

    def __init__(self, out: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
        """Write to ``out``; the file of the summary is named by the environment."""
        super().__init__(out)
        self._environ = os.environ if environ is None else environ
        self._open = False
        self._by = Provenance()

    def event(self, record: Record) -> None:
        """Write the line of an event, in its group; annotate what failed."""
        event = record.event
        title = opened_by(self.boards, event)
        if title or isinstance(event, RolloutFinished):
            self._close()
        if title:
            self._raw(f"::group::{data(title)}")
            self._open = True
        super().event(record)
        self._by = self.boards.plays[0].by
        outcome = getattr(event, "outcome", None)
        if outcome is not None and not outcome.passed and outcome.cause != "none":
            host = getattr(event, "host", "")
            self._annotate("error", f"{host or 'a task'} failed", outcome.summary, getattr(event, "play", 0))
        if closes(event):
            self._close()
        if isinstance(event, RolloutFinished):
            self._ended(event)

    def close(self) -> None:
        """End the group that is open."""
        self._close()

    def _ended(self, event: RolloutFinished) -> None:
        if event.end != "succeeded":
            missed = _at_fault(self.boards, event)
            self._annotate("error", TITLES[event.end], event.reason or event.end, missed)
        elif event.exit_code:
            missed = next((b.index for b in self.boards.plays if _off_target(b)), 0)
            self._annotate("warning", "rollout: hosts off target", "some hosts are not on the release", missed)
        self._summarise(recap_of_all(self.boards))

    def _annotate(self, level: str, title: str, text: str, play: int = 0) -> None:
        """Annotate the playbook, at the line where the play begins that it is about."""
        place = f"file={prop(self._by.playbook)}," if self._by.playbook else ""
        if place and play < len(self._by.lines):
            place += f"line={self._by.lines[play]},"
        self._raw(f"::{level} {place}title={prop(title)}::{data(text)}")

    def _close(self) -> None:
        if self._open:
            self._raw("::endgroup::")
        self._open = False

    def _write(self, line: str) -> None:
        """Write a line that the runner does not obey."""
        super()._write(harmless(line))

    def _raw(self, line: str) -> None:
        """Write a line that is ours to be obeyed."""
        super()._write(line)

    def _summarise(self, lines: Iterable[Line]) -> None:
        place = self._environ.get(SUMMARY, "")
        if not place:
            return
        try:
            with open(place, "a", encoding="utf-8") as file:
                file.write(summary(lines))
        except OSError as error:
            self._write(f"the summary of the step could not be written: {inert(error)}")


def _at_fault(boards: Boards, event: RolloutFinished) -> int:
    """Return the play whose reason is that of the end: the first that was not only halted for another one's sake."""
    own = (b.index for b in boards.plays if b.halt is not None and b.halt.cause is not Cause.PLAY)
    missed = (b.index for b in boards.plays if event.end_of(b.index) != "succeeded")
    return next(chain(own, missed), 0)


def _off_target(board: Board) -> bool:
    """Whether hosts of a play that succeeded are not on its release."""
    return bool(board.first_failure or (board.play and board.play.off_target))


def data(text: str) -> str:
    """Return a text as the data of a command."""
    return inert(text, 1_000).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace("##[", "## [")


def prop(text: str) -> str:
    """Return a text as a property of a command."""
    return data(text).replace(":", "%3A").replace(",", "%2C")


def harmless(line: str) -> str:
    """Return a line that is no command to the runner."""
    quiet = line.replace("##[", "## [")
    return f".{quiet}" if quiet.lstrip().startswith("::") else quiet


def line_for(output: str) -> Callable[[str], str]:
    """Return what a line goes through that is said beside the sink, with an ``--output``."""
    return harmless if output == "github" else str


def markdown(text: str) -> str:
    """Return a text as Markdown shows it and does nothing else."""
    return inert(text, 2_000).translate(_MARKDOWN)


def summary(lines: Iterable[Line]) -> str:
    """Return the recap as Markdown: the end as a heading, each line as a row."""
    head, *rows = lines
    said = [f"### {markdown(head.text)}", "", "| | |", "| --- | --- |"]
    said += [f"| {markdown(row.label)} | {markdown(row.text)} |" for row in rows]
    return "\n".join(said) + "\n\n"


def annotated(problems: Iterable[Problem], out: TextIO | None = None) -> None:
    """Annotate what is wrong in files, each at its line and column."""
    out = out or sys.stdout
    for problem in problems:
        place = "" if problem.file.startswith("-") else f"file={prop(problem.file)}"  # an option is no file
        if problem.line and place:
            place += f",line={problem.line},col={problem.column or 1}"
        said = " ".join(s for s in (problem.what, problem.why, problem.instead) if s)
        title = f"title={prop(problem.code)}"
        out.write(f"::error {f'{place},' if place else ''}{title}::{data(said)}\n")
