"""``rollout plan``: what apply would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollout.cli.options import FileName, command, output_option, state_option
from rollout.cli.reading import say_json
from rollout.cli.request import playbook_options, policy_options, request_of, showing, trust_options


@command("plan")
@playbook_options
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 when there is something to do.")
@click.option("--allow-bad", is_flag=True, help="Also a release that was reverted before.")
@trust_options
@click.option("--out", type=FileName(), default=None, metavar="FILE", help="Keep the plan in FILE.")
@policy_options
@state_option
@output_option
def plan(detailed_exitcode: bool, allow_bad: bool, out: Path | None, output: str, **options: Any) -> int:
    """Observe the fleet and show the plan: batches and waves, the capacity, each host's way back.

    Nothing is changed anywhere. With --out the plan is kept for `rollout apply --plan FILE`.
    """
    from dataclasses import replace

    from rollout.app.plan import plan as look

    shown = showing(output)
    if output == "json":
        from rollout.engine.review import plain_review
        from rollout.model.event import RolloutStarted
        from rollout.store.codec import plain

        said: dict[str, Any] = {}
        shown = replace(
            shown,
            plan=lambda made: said.update(plain(RolloutStarted(plan=made))["plan"]),
            review=lambda found: say_json({**said, "review": plain_review(found)}),
        )
    return look(request_of(options, allow_bad=allow_bad, output=output), shown, detailed=detailed_exitcode, out=out)
