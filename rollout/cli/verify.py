"""``rollout verify``: whether what is on the hosts is still what was installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json
from rollout.cli.request import asked_password, narrowing_options, request_of, showing
from rollout.errors import InputError, Problem
from rollout.model.release import APP_NAME, RELEASE_ID

if TYPE_CHECKING:
    from rollout.report.drift import Checked


@command("verify")
@click.argument("what", metavar="PLAYBOOK|APP")
@narrowing_options
@click.option("-l", "--limit", default=None, metavar="PATTERN", help="Ask only these hosts; of an APP, their names.")
@click.option("--release", default="", metavar="ID", help="This release instead of the current one.")
@state_option
@json_option
def verify(what: str, release: str, state: str | None, output: str, **options: Any) -> int:
    """Hash the release on each host, and say file by file what is not as it was installed.

    Nothing is written. With an APP the hosts are reached as its newest rollout reached them. The exit code is 0
    when every host is as installed, and 6 when one has drifted or cannot be proven.
    """
    _named(release)
    found = _asked(Path(what), state, release, options) if Path(what).is_file() else _app(what, state, release, options)
    if output == "json":
        from rollout.report.drift import checked_object

        say_json([checked_object(c) for c in found])
    elif output != "quiet":
        from rollout.report.drift import checked_lines

        for number, checked in enumerate(found):
            say([*([""] if number else []), *checked_lines(checked)])
    return 0 if all(c.sound for c in found) else 6


def _named(release: str) -> None:
    if release and not re.fullmatch(RELEASE_ID + r"(~[0-9]+)?", release):
        what = f"{release[:80]!r} is no id of a release."
        raise InputError(Problem(file="--release", code="E_RELEASE_ID", what=what, instead="See: rollout releases"))


def _asked(playbook: Path, state: str | None, release: str, options: dict[str, Any]) -> list[Checked]:
    from rollout.app.verify import of_playbook

    request = request_of({**options, "playbook": playbook, "state": state})
    return of_playbook(request, showing("quiet"), release)


def _app(app: str, state: str | None, release: str, options: dict[str, Any]) -> list[Checked]:
    from rollout.app.verify import of_record

    if not re.fullmatch(APP_NAME, app):
        what = f"{app[:80]!r} is no playbook that is there, and no name of an app."
        how = "Write an app's name, or the playbook's place."
        raise InputError(Problem(file="PLAYBOOK|APP", code="E_APP", what=what, instead=how))
    if options["ask_become_pass"]:
        asked_password()
    with reading(state) as store:
        return of_record(store, app, options["environment"], options["limit"] or "", release) if store else []
