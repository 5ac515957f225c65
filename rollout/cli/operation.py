"""What the commands beside apply share: rollback, converge, restart, drain, register and adopt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rollout.cli.options import FileName
from rollout.cli.request import confirm, narrowing_options, on_terminal, policy_options, request_of, showing

if TYPE_CHECKING:
    from rollout.app.apply import Showing
    from rollout.app.request import Request
    from rollout.model.plan import Purpose

F = TypeVar("F", bound=Callable[..., Any])


def operation_options(function: F) -> F:
    """Add ``-m``, ``-y``, ``-C`` and what the command is held to."""
    function = policy_options(function)
    options = (
        click.option("-m", "--message", default="", help="Why; goes into the journal."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("-C", "--check", is_flag=True, help="Only show the plan."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def host_options(function: F) -> F:
    """Add the hosts, ``-p PLAYBOOK`` and what the commands with a playbook have, but for ``--limit``."""
    function = narrowing_options(function)
    function = click.option(
        "-p",
        "--playbook",
        required=True,
        type=FileName(),
        envvar="ROLLOUT_PLAYBOOK",
        help="The playbook whose play they are of (or ROLLOUT_PLAYBOOK).",
    )(function)
    return click.argument("hosts", nargs=-1, required=True, metavar="HOST...")(function)


def asked(options: dict[str, Any]) -> tuple[Request, Showing, bool]:
    """Return what is asked for, how it is shown, and whether the plan is only to be shown."""
    output, check = options.pop("output"), options.pop("check")
    more = {name: options.pop(name) for name in ("message", "yes", "allow_bad") if name in options}
    ask = confirm if on_terminal() and output in ("auto", "plain") else None
    return request_of({"limit": None, **options}, output=output, confirm=ask, **more), showing(output), check


def operated(purpose: Purpose, options: dict[str, Any], *, to: str = "", hosts: tuple[str, ...] = ()) -> int:
    """Run one of them, as its options say."""
    from rollout.app.operate import Work, operate

    request, shown, check = asked(options)
    return operate(request, shown, Work(purpose=purpose, to=to, hosts=hosts, check=check))
