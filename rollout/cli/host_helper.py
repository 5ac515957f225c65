"""``rollout host-helper``: what a host runs instead of whatever its key asks for."""

from __future__ import annotations

from typing import Any

import click

from rollout.cli.options import command
from rollout.cli.request import playbook_options, request_of
from rollout.errors import InputError, Problem


@command("host-helper")
@playbook_options
@click.option("--app", default="", metavar="NAME", help="Whose play, where there are several.")
@click.option("--allowed-signers", required=True, metavar="PATH", help="Where the hosts have their own, root's alone.")
@click.option("--revoked", default="", metavar="PATH", help="Where they have the keys that count no more.")
def host_helper(app: str, allowed_signers: str, revoked: str, **options: Any) -> int:
    """Print the script that makes a key good for the rollouts of one play, and for nothing else.

    Root installs it on the hosts and names it by `command=` in authorized_keys. It takes signed releases alone,
    verified on the host. Nothing is contacted.
    """
    from rollout.app.hosthelper import Helping, helper

    wrong = [
        Problem(file=name, code="E_PATH", what=f"{path[:80]!r} is no absolute path.", instead="Write it from / on.")
        for name, path in (("--allowed-signers", allowed_signers), ("--revoked", revoked))
        if path and (not path.startswith("/") or not path.isprintable())
    ]
    if wrong or not allowed_signers:
        raise InputError(*(wrong or [Problem(file="--allowed-signers", code="E_PATH", what="it is empty.")]))
    click.echo(
        helper(request_of(options), Helping(app=app, allowed_signers=allowed_signers, revoked=revoked)), nl=False
    )
    return 0
