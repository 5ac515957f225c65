"""``rollout sudoers``: the rights that hosts must give, and no more."""

from __future__ import annotations

from typing import Any

import click

from rollout.cli.options import command
from rollout.cli.request import playbook_options, request_of


@command("sudoers")
@playbook_options
def sudoers(**options: Any) -> int:
    """Print a sudoers file for the hosts of a playbook: full paths, every argument, no wildcards.

    Nothing is contacted. Keep it as /etc/sudoers.d/rollout (0440), after `visudo -cf FILE`.
    """
    from rollout.app.provenance import user
    from rollout.app.request import plays_of
    from rollout.posix.sudoers import rights, way_to

    found, without, users = dict[str, None](), dict[str, None](), dict[str, None]()
    for play in plays_of(request_of(options), released=False):
        for ask in play.resolve(dict.fromkeys(play.hosts, play.release_id or "0")).values():
            name = ask.connection.user or user()
            become = ask.connection.become.user if ask.connection.become else ""
            needed = rights(ask.owner or name, become, ask.service, ask.tasks)
            way = (way_to(name, ask.owner),) if ask.owner else ()
            found |= dict.fromkeys((*way, *needed.lines))
            without |= dict.fromkeys(needed.without)
            users |= {name: None} if way or needed.lines else {}
            users |= {ask.owner: None} if way and needed.lines else {}
    lines = [*(f"Defaults:{name} !requiretty" for name in users), *found] or ["# Nothing is run as another user."]
    click.echo("\n".join(["# What rollout runs by sudo; made by `rollout sudoers`.", *lines]))
    for command_left_out in without:
        click.echo(f"warning: no line allows just this: {command_left_out}", err=True)
    return 0
