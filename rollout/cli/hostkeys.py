"""``rollout hostkeys``: the keys by which hosts are known."""

from __future__ import annotations

from typing import Any

import click
from rich_click import RichGroup

from rollout.cli.options import FileName, command
from rollout.cli.request import confirm, narrowing_options, on_terminal, playbook_options, request_of, said_aside


@click.group("hostkeys", cls=RichGroup, context_settings={"help_option_names": ["-h", "--help"]})
def hostkeys() -> None:
    """The keys by which hosts are known: shown with their fingerprints, and never trusted unasked."""


@command("scan")
@playbook_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask: the fingerprints were compared already.")
def scan(yes: bool, **options: Any) -> int:
    """Show the key of every host of the playbook, and record those that are new in its known_hosts file."""
    from rollout.app.hostkeys import scan as look

    return look(request_of(options), said_aside, lambda question: yes or (on_terminal() and confirm(question)))


@command("replace")
@click.argument("host")
@click.option("-p", "--playbook", required=True, type=FileName(), envvar="ROLLOUT_PLAYBOOK")
@narrowing_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask: the fingerprint was compared already.")
def replace(host: str, yes: bool, **options: Any) -> int:
    """Replace the recorded key of a HOST that was rebuilt, by the one that it shows now."""
    from rollout.app.hostkeys import swap

    request = request_of({"limit": None, **options})
    return swap(request, host, said_aside, lambda question: yes or (on_terminal() and confirm(question)))


hostkeys.add_command(scan)
hostkeys.add_command(replace)
