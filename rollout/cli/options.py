"""Options that several commands share, and the decorator of a command."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich_click import RichCommand

from rollout.errors import InputError, Problem

F = TypeVar("F", bound=Callable[..., Any])

OUTPUTS = ("auto", "plain", "json", "github", "gitlab", "quiet")


def standing(*paths: str) -> None:
    """Refuse relative paths where the folder that they begin at is gone."""
    try:
        if not all(map(os.path.isabs, paths)):
            os.getcwd()
    except FileNotFoundError:
        what = "the folder in which this was typed is not there any more."
        raise InputError(Problem(file="rollout", code="E_CWD", what=what, instead="Type cd, to one that is.")) from None


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command whose help rich renders; what it returns is the exit code."""
    return click.command(name, cls=RichCommand, context_settings={"help_option_names": ["-h", "--help"]})


def state_option(function: F) -> F:
    """Add ``--state``: where the journal is."""
    said = "Where the state is: a path, postgresql://… or ssh://HOST/PATH (else $ROLLOUT_STATE, or a file of yours)."
    return click.option("--state", metavar="URL", default=None, help=said)(function)


def output_option(function: F) -> F:
    """Add ``--output`` for commands that act, and ``--json`` for ``--output json``."""
    said = f"How to show what happens: {', '.join(OUTPUTS)}."
    function = click.option("--json", "output", flag_value="json", help="The same as --output json.")(function)
    return click.option(
        "--output", metavar="KIND", default="auto", show_default=True, callback=_known_output, help=said
    )(function)


def json_option(function: F) -> F:
    """Add ``--json`` for commands that only read, and the ``--output`` that it stands for."""
    function = click.option("--json", "output", flag_value="json", help="The same as --output json.")(function)
    return click.option(
        "--output", metavar="KIND", default="auto", callback=_known_output, help="auto, plain, json or quiet."
    )(function)


def lock_wait_option(whom: str, example: str) -> Callable[[F], F]:
    """Return ``--lock-wait``: how long somebody else's lease is waited for."""
    said = f"How long to wait for {whom} at work, as in {example}."
    return click.option("--lock-wait", type=Duration(), default="0s", metavar="TIME", help=said)


class FileName(click.Path):
    """The name of a file; an empty one is what a variable that nobody set leaves behind."""

    def __init__(self) -> None:
        """Take it as a Path."""
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or say that there is none."""
        if value == "":
            self.fail("it is empty. Write the name of a file.", param, ctx)
        return super().convert(value, param, ctx)


class Duration(click.ParamType[float]):
    """A duration as playbooks write it; its seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say how it is written."""
        from pydantic_core import PydanticCustomError

        from rollout.playbook.words import seconds

        try:
            return seconds(value)
        except PydanticCustomError:
            self.fail(
                f"{str(value)[:40]!r} is no duration. Write a number and a unit, as in 30s, 5m or 1h.", param, ctx
            )


def _known_output(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Refuse what is no output."""
    if value in OUTPUTS:
        return value
    what = f"{value[:40]!r} is no kind of output."
    raise InputError(Problem(file="--output", code="E_OUTPUT", what=what, instead=f"Choose {', '.join(OUTPUTS)}."))
