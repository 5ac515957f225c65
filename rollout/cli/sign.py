"""``rollout sign``: say under one's name what may be rolled out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import click

from rollout.cli.options import Duration, FileName, command
from rollout.errors import InputError, Problem
from rollout.model.release import APP_NAME, RELEASE_ID


@command("sign")
@click.argument("artifact", type=FileName())
@click.option("--app", required=True, metavar="NAME", help="The app that it is a release of.")
@click.option("--id", "release", required=True, metavar="ID", help="The release's id.")
@click.option("--key", required=True, type=FileName(), metavar="FILE", help="SSH key; the public one of an agent too.")
@click.option("--expires", type=Duration(), default=None, metavar="TIME", help="Not to be rolled out after, as in 30d.")
@click.option("-o", "--out", type=FileName(), default=None, metavar="FILE", help="Else ARTIFACT.rollout-sig.")
@click.option("--strip", type=click.Choice(["auto", "none"]), default="auto", help="As the play says.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="As the play says.")
@click.option("--as", "as_name", default="", metavar="NAME", help="As the play says: the artifact is a single file.")
@click.option("--mode", type=click.Choice(["0644", "0755"]), default="0644", help="Of that file.")
@click.option("--allow-link", multiple=True, metavar="PATH", help="As `allow_links` of the play.")
def sign(
    artifact: Path,
    app: str,
    release: str,
    key: Path,
    expires: float | None,
    out: Path | None,
    strip: Literal["auto", "none"],
    mode: Literal["0644", "0755"],
    **options: Any,
) -> int:
    """Sign a release: its app, its id, and what is in it, to the last byte.

    The artifact is read and checked as apply does it. The statement with its signature goes into one file, which
    `release.signature` of a playbook names. Nothing is contacted.
    """
    from rollout.app.signing import Signing, sign
    from rollout.model.play import ArtifactAsk

    _named(app, release)
    ask = ArtifactAsk(
        path=str(artifact),
        strip=strip,
        exclude=options["exclude"],
        as_name=options["as_name"],
        mode=mode,
        allow_links=options["allow_link"],
    )
    made = sign(Signing(artifact=ask, app=app, release=release, key=key, expires_s=expires or 0.0, out=out))
    click.echo(f"signed: {app} {release}, in {made}")
    return 0


def _named(app: str, release: str) -> None:
    """Refuse names that no play can have."""
    wrong = []
    if not re.fullmatch(APP_NAME, app):
        what, instead = f"{app[:80]!r} is no name of an app.", "Write a-z, 0-9, `_` and `-`."
        wrong.append(Problem(file="--app", code="E_APP", what=what, instead=instead))
    if not re.fullmatch(RELEASE_ID, release):
        what, instead = f"{release[:80]!r} is no id of a release.", "Write letters, digits, `.`, `_`, `+` and `-`."
        wrong.append(Problem(file="--id", code="E_ID", what=what, instead=instead))
    if wrong:
        raise InputError(*wrong)
