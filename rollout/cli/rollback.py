"""``rollout rollback``: go back to an earlier release."""

from __future__ import annotations

from typing import Any

import click

from rollout.cli.operation import operated, operation_options
from rollout.cli.options import command, output_option, state_option
from rollout.cli.request import playbook_options


@command("rollback")
@playbook_options
@click.option("--to", default="", metavar="RELEASE", help="Which; else the one before.")
@click.option("--allow-bad", is_flag=True, help="Also a release that was reverted before.")
@operation_options
@state_option
@output_option
def rollback(to: str, **options: Any) -> int:
    """Bring the fleet back to an earlier release, batch by batch, under the same floor, gates and checks.

    Without --to it is the release that the whole fleet was on before; what hosts still have is not sent
    again. A release that turns out bad is taken back by itself.
    """
    return operated("rollback", options, to=to)
