"""``rollout doctor``: weak settings, each with its fix."""

from __future__ import annotations

from typing import Any

import click

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import say, say_json
from rollout.cli.request import playbook_options, request_of


@command("doctor")
@playbook_options
@click.option("--policy", default="", metavar="FILE", help="The policy: a file, or git:REF:PATH.")
@state_option
@json_option
def doctor(output: str, **options: Any) -> int:
    """Name each weak setting of a playbook and of what is around it, with its fix.

    No host is asked. What is named is no error: the exit code is 0.
    """
    from rollout.app.doctor import examined
    from rollout.report.text import inert

    found = examined(request_of(options))
    if output == "json":
        say_json([{"name": one.name, "what": one.what, "fix": one.fix} for one in found])
        return 0
    say(line for one in found for line in (inert(f"{one.name}: {one.what}"), f"    {one.fix}"))
    say([] if found else ["nothing weak is known of it"])
    return 0
