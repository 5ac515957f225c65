"""How a command ends when it does not end well: words and an exit code, never a traceback."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import click

from rollout.errors import InputError, InvalidTransition, Problem, Refused, RolloutError, spent

BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended
INTERRUPTED = 130


@dataclass(slots=True)
class End:
    """The exit code of this run."""

    code: int = 1


@contextmanager
def ending(arguments: Sequence[str]) -> Iterator[End]:
    """Turn whatever ends a command into words on stderr and an exit code."""
    end = End()
    try:
        yield end
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        _say("Interrupted.")
        end.code = INTERRUPTED
    except click.ClickException as error:
        _show(error, arguments)
        end.code = 2
    except RolloutError as error:
        end.code = _known(error, arguments)
    except Exception as error:  # a bug of ours, a reader that left, or a limit: no traceback for any
        end.code = BROKEN_PIPE if _reader_left(error) else _spent(error) or _crashed(error, arguments)


def _spent(error: Exception) -> int:
    """Say what this machine has no more of; 0 where that is not what happened. Nothing was begun yet."""
    if not (what := spent(error)):
        return 0
    from rollout.app.limits import ran_out

    _say(ran_out(what))
    return Refused.exit_code


def _known(error: RolloutError, arguments: Sequence[str]) -> int:
    """Say what one of our own errors says."""
    if isinstance(error, InvalidTransition) or type(error) is RolloutError:
        return _crashed(error, arguments)
    _say(_fit(text_of(error), arguments))
    if isinstance(error, InputError) and _for_github(arguments):
        from rollout.report.github import annotated

        annotated(error.problems)
    return error.exit_code


def _show(error: click.ClickException, arguments: Sequence[str]) -> None:
    """Say what was typed wrong."""
    if not _for_github(arguments):
        error.show()
        return
    told = io.StringIO()
    error.show(told)
    _say(_fit(told.getvalue().rstrip("\n"), arguments))


def _fit(text: str, arguments: Sequence[str]) -> str:
    """Return a text as it may be printed: for GitHub without lines that are commands to the runner."""
    if not _for_github(arguments):
        return text
    from rollout.report.github import harmless

    return "\n".join(map(harmless, text.splitlines()))


def _for_github(arguments: Sequence[str]) -> bool:
    """Whether a runner of GitHub reads what is printed."""
    said = list(arguments)
    return "--output=github" in said or ("--output", "github") in pairwise(said)


def text_of(error: RolloutError) -> str:
    """Return the whole text of an error: every problem with its caret, every reason with its hosts."""
    if isinstance(error, InputError):
        many = len(error.problems)
        last = [] if many < 2 else [f"{many} problems. Nothing was contacted."]
        return "\n".join([*map(problem_text, error.problems), *last])
    if isinstance(error, Refused):
        return "\n".join(["Refused, nothing was changed:", *(f"  {_inert(reason)}" for reason in error.reasons)])
    return "\n".join(map(_inert, str(error).splitlines()))


def problem_text(problem: Problem) -> str:
    """Return one problem, with the line of the file and a caret under the place."""
    said = _inert(problem)
    if not problem.source or not problem.line:
        return said
    margin = f"{problem.line:5d} | "
    column = max(problem.column, 1)
    before = _inert(problem.source[: column - 1])
    shown = before + _inert(problem.source[column - 1 :])
    return f"{said}\n{margin}{shown[:160]}\n{' ' * (len(margin) - 2)}| {' ' * len(before)}^"


def _inert(said: object) -> str:
    """Return it without anything that a terminal would obey, and without secrets that are in use."""
    from rollout.report.text import inert
    from rollout.secrets.redaction import redaction

    return redaction().text(inert(redaction().text(str(said))))


def _crashed(error: Exception, arguments: Sequence[str]) -> int:
    """Write a crash report and say where it is."""
    from rollout.cli.crash import write_report

    _say(f"E_BUG: {type(error).__name__}: this is a bug of rollout, not of yours.")
    _say(write_report(error, arguments))
    return 1


def _say(text: str) -> None:
    """Write to stderr, if anybody listens."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def _reader_left(error: Exception) -> bool:
    """Whether it was stdout's pipe that broke, and no socket's; then silence the last flush too."""
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):  # no real file: nothing that a reader could leave
        return False
    asked = select.poll()
    asked.register(stdout, 0)
    if not any(said & select.POLLERR for _, said in asked.poll(0)):
        return False
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stdout)
    os.close(nothing)
    return True
