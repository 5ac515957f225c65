"""A group of commands that imports the one command that was named, and none for the overview."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

import click

Named = Mapping[str, tuple[str, str]]  # name -> (module:command, one line of help)


class LazyGroup(click.Group):
    """Commands named by ``commands_by_name``. The overview shows their one line, and imports nothing.

    The help of a command is rendered by rich-click; the overview is plain text everywhere, since
    rich alone takes longer to import than all the rest.
    """

    def __init__(self, *args: Any, commands_by_name: Named, **kwargs: Any) -> None:
        """Keep the table."""
        super().__init__(*args, **kwargs)
        self.commands_by_name = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names, in the order in which they are read."""
        return list(self.commands_by_name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (as above)
        """Import the command of this name."""
        if cmd_name not in self.commands_by_name:
            return None
        place, _, name = self.commands_by_name[cmd_name][0].partition(":")
        command = getattr(_imported(place), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place}:{name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (as above)
        """Write the overview from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in self.commands_by_name.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a word that is none gets the nearest that is."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.commands_by_name:
            near = get_close_matches(name, self.commands_by_name, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(self.commands_by_name)}."
            ctx.fail(f"No such command {name[:80]!r}.{hint}")
        return super().resolve_command(ctx, args)


def _imported(place: str) -> ModuleType:
    """Import a module without looking for garbage: there is none, and each look is at all that is there already."""
    gc.disable()
    try:
        return import_module(place)
    finally:
        gc.enable()
