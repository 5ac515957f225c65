"""``rollout policy``: which policy holds for an environment, and having the state remember one."""

from __future__ import annotations

from typing import Any

import click
from rich_click import RichGroup

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import say_json


@click.group("policy", cls=RichGroup, context_settings={"help_option_names": ["-h", "--help"]})
def policy() -> None:
    """The policy that rollouts of an environment are held to, from outside of the change (docs/policy.md)."""


def _named(function: Any) -> Any:
    said = "The policy: a file, or git:REF:PATH (else the controller's own)."
    function = click.option("--policy", "named", default="", metavar="FILE", help=said)(function)
    return click.option("--env", "environment", default="default", show_default=True, help="The environment's name.")(
        function
    )


@command("show")
@_named
@state_option
@json_option
def show(named: str, environment: str, state: str | None, output: str) -> int:
    """Show the policy that is found here, and the one that the state remembers."""
    from rollout.app.policies import shown

    found = shown(named, environment, state or "")
    if output == "json":
        say_json(found)
        return 0
    for name, value in found.items():
        click.echo(f"{name:<8}  {value or '-'}")
    return 0


@command("pin")
@_named
@click.option("--reason", default="", metavar="WHY", help="Why one that nobody signed takes the place of another.")
@state_option
def pin(named: str, environment: str, reason: str, state: str | None) -> int:
    """Have the state remember a policy: the first, or one that a keeper of the one before has signed.

    With --reason any; what was let pass is said.
    """
    from rollout.app.policies import pinned

    return pinned(named, environment, state or "", reason, lambda line: click.echo(line, err=True))


policy.add_command(show)
policy.add_command(pin)
