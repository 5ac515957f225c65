"""``rollout apply``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollout.cli.options import FileName, command, lock_wait_option, output_option, state_option
from rollout.cli.request import (
    confirm,
    on_terminal,
    playbook_options,
    policy_options,
    request_of,
    showing,
    trust_options,
)


@command("apply")
@playbook_options
@click.option("-m", "--message", default="", help="Why; goes into the journal.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-C", "--check", is_flag=True, help="Only plan: the same as `rollout plan`.")
@click.option("--allow-bad", is_flag=True, help="Also a release that was reverted before.")
@trust_options
@click.option("--recover", is_flag=True, help="First end what a rollout left whose process is gone; for pipelines.")
@click.option("--supersede", default="", metavar="ID", help="First end this rollout, which is at work or left.")
@lock_wait_option("a rollout of the app that is", "5m")
@click.option(
    "--plan",
    "plan_file",
    type=FileName(),
    default=None,
    metavar="FILE",
    help="Only if nothing drifted since `rollout plan --out FILE`.",
)
@policy_options
@state_option
@output_option
def apply(
    message: str,
    yes: bool,
    check: bool,
    allow_bad: bool,
    recover: bool,
    supersede: str,
    lock_wait: float,
    plan_file: Path | None,
    output: str,
    **options: Any,
) -> int:
    """Roll the playbook's release out, batch by batch, and bring it back when it is bad.

    On a terminal the plan is shown and asked about once; without one nothing is ever asked.
    """
    ask = confirm if on_terminal() and output in ("auto", "plain") else None
    words = {"message": message, "yes": yes, "allow_bad": allow_bad, "output": output, "plan_file": plan_file}
    request = request_of(options, **words, lock_wait_s=lock_wait, confirm=ask)
    if check and plan_file is not None:
        raise click.UsageError("--check and --plan exclude each other: --check would not look at the file.")
    if check:
        from rollout.app.plan import plan

        return plan(request, showing(output))
    if supersede:
        from rollout.app.takeover import supersede as end_that

        if code := end_that(request, supersede, showing(output)):
            return code
    if recover:
        from rollout.app.takeover import recover as end_first

        if code := end_first(request, showing(output)):
            return code
    from rollout.app.apply import apply as roll_out

    return roll_out(request, showing(output))
