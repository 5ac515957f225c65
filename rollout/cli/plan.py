"""``rollout plan``: what apply would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollout.cli.options import FileName, command, output_option, state_option
from rollout.cli.reading import say, say_json
from rollout.cli.request import WORDS, playbook_options, policy_options, request_of, showing, trust_options


@command("plan")
@playbook_options
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 when there is something to do.")
@click.option("--allow-bad", is_flag=True, help="Also a release that was reverted before.")
@trust_options
@click.option("--out", type=FileName(), default=None, metavar="FILE", help="Keep the plan in FILE.")
@click.option("--offline", is_flag=True, help="From what the state last had; nothing is contacted or run.")
@policy_options
@state_option
@output_option
def plan(detailed_exitcode: bool, allow_bad: bool, out: Path | None, offline: bool, output: str, **options: Any) -> int:
    """Observe the fleet and show the plan: batches and waves, the capacity, each host's way back.

    Nothing is changed anywhere. With --out the plan is kept for `rollout apply --plan FILE`. With --offline it
    is made of what the state last had of the hosts, and says so: nothing carries that one out.
    """
    from dataclasses import replace

    from rollout.app.plan import plan as look

    if offline:
        _alone(out, options)
    shown, said = showing(output), dict[str, Any]()
    if output == "json":
        from rollout.engine.review import plain_review
        from rollout.model.event import RolloutStarted
        from rollout.store.codec import plain

        shown = replace(
            shown,
            plan=lambda made: said.update(plain(RolloutStarted(plan=made))["plan"]),
            review=lambda found: say_json({**said, "review": plain_review(found)}),
        )
    if offline:
        from rollout.app.offline import offline as remembered
        from rollout.report.github import line_for
        from rollout.report.offlineview import Marks, marks_lines, marks_object

        def mark(marks: Marks) -> None:
            said.update(offline=marks_object(marks))
            say(map(line_for(output), marks_lines(marks)) if output in WORDS else ())

        request = request_of(options, allow_bad=allow_bad, output=output)
        return remembered(request, shown, mark, detailed=detailed_exitcode)
    return look(request_of(options, allow_bad=allow_bad, output=output), shown, detailed=detailed_exitcode, out=out)


def _alone(out: Path | None, options: dict[str, Any]) -> None:
    """Refuse what an offline plan has no use for: a file of it, and whatever would have to be asked."""
    if out is not None:
        raise click.UsageError("--offline and --out exclude each other: nobody has looked, so nothing carries it out.")
    asked = {"policy": "--policy", "override_policy": "--override-policy", "ask_become_pass": "-K"}
    if given := [name for key, name in asked.items() if options.get(key)]:
        raise click.UsageError(f"--offline and {given[0]} exclude each other: an offline plan is held to nothing.")
