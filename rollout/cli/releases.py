"""``rollout releases``: what is on record of an app, and on which hosts it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json
from rollout.cli.request import narrowing_options, request_of, showing
from rollout.errors import InputError, Problem
from rollout.model.release import APP_NAME

if TYPE_CHECKING:
    from rollout.report.releases import Shelf


@command("releases")
@click.argument("what", metavar="PLAYBOOK|APP")
@narrowing_options
@click.option("-l", "--limit", default=None, metavar="PATTERN", help="Ask only these hosts.")
@state_option
@json_option
def releases(what: str, state: str | None, output: str, **options: Any) -> int:
    """Show the releases of an app: what became of them, on which hosts they are, and the way back.

    With a PLAYBOOK its hosts are asked, and nothing is written; with an APP it is what the state has on record.
    """
    shelves = _asked(Path(what), state, options) if Path(what).is_file() else _recorded(what, state, options)
    if output == "json":
        from rollout.report.releases import shelf_object

        say_json([shelf_object(s) for s in shelves])
        return 0
    from rollout.report.releases import shelf_lines

    for number, shelf in enumerate(shelves):
        say([*([""] if number else []), *shelf_lines(shelf)])
    return 0


def _asked(playbook: Path, state: str | None, options: dict[str, Any]) -> list[Shelf]:
    from rollout.app.releases import on_hosts

    request = request_of({**options, "playbook": playbook, "state": state})
    return on_hosts(request, showing("quiet"))


def _recorded(app: str, state: str | None, options: dict[str, Any]) -> list[Shelf]:
    from rollout.app.releases import on_record

    if not re.fullmatch(APP_NAME, app):
        what = f"{app[:80]!r} is no playbook that is there, and no name of an app."
        how = "Write an app's name, or the playbook's place."
        raise InputError(Problem(file="PLAYBOOK|APP", code="E_APP", what=what, instead=how))
    with reading(state) as store:
        return [on_record(store, app, options["environment"])] if store else []
