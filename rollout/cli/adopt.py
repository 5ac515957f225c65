"""``rollout adopt``: take over a fleet that something else deployed."""

from __future__ import annotations

from typing import Any

import click

from rollout.cli.operation import asked, operation_options
from rollout.cli.options import command, output_option, state_option
from rollout.cli.request import playbook_options
from rollout.errors import InputError, Problem


@command("adopt")
@playbook_options
@click.option("--leave-out", multiple=True, metavar="PATH", help="A path of the release that may differ or change.")
@click.option("--state-lost", is_flag=True, help="Begin a new state for a fleet whose old one is lost.")
@operation_options
@state_option
@output_option
def adopt(leave_out: tuple[str, ...], state_lost: bool, **options: Any) -> int:
    """Take over a fleet that Capistrano, Deployer, Ansible or a person deployed.

    What `current` names is read and hashed on every host, compared, checked as the playbook says, and recorded
    as a release: the next apply has a way back. Nothing is restarted and nothing leaves rotation; on the hosts
    `.rollout/` and a manifest in the release are written.
    """
    from rollout.app.adopt import Taking, adopt

    request, shown, check = asked(options)
    return adopt(request, shown, Taking(leave_out=_paths(leave_out), check=check, state_lost=state_lost))


def _paths(said: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths in a fixed order; refuse those that lie in no release."""
    for path in said:
        parts = path.split("/")
        if not path.isprintable() or "" in parts or "." in parts or ".." in parts:
            what = f"{path[:80]!r} is no path below a release."
            raise InputError(Problem(file="--leave-out", code="E_PATH", what=what, instead="Such as config/db.yml"))
    return tuple(sorted(set(said)))
