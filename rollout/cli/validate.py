"""``rollout validate``: everything that can be known without running or contacting anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollout.cli.options import command, json_option
from rollout.cli.reading import say_json
from rollout.cli.request import playbook_options, request_of
from rollout.errors import InputError


@command("validate")
@playbook_options
@json_option
def validate(output: str, **options: Any) -> int:
    """Check a playbook and its inventory: all errors at once, with file, line and column.

    Nothing is run and nothing is contacted: safe on a stranger's pull request.
    """
    from rollout.inventory import load_inventory
    from rollout.inventory.project import folder_of
    from rollout.playbook.load import validate as check
    from rollout.playbook.options import Options
    from rollout.report.github import line_for

    request = request_of(options)
    inventory = load_inventory([Path(i) for i in request.inventory], folder_of(request.playbook))
    asked = Options(
        limit=request.limit,
        extra_vars=request.extra_vars,
        granted=request.granted,
        environment=request.environment,
        forks=request.forks,
        user=request.user,
        private_key=request.private_key,
        become=request.become,
    )
    report = check(request.playbook, inventory, asked)
    if output == "json":
        found = {"problems": [str(p) for p in report.problems], "warnings": list(report.warnings)}
        say_json({**found, "left_out": list(report.left_out)})
        return 2 if report.problems else 0
    fit = line_for(output)
    for warning in report.warnings:
        click.echo(fit(f"warning: {warning}"), err=True)
    if report.problems:
        raise InputError(*report.problems)
    for sentence in report.left_out:
        click.echo(fit(sentence))
    counts = [f"{len(p.hosts)} host{'' if len(p.hosts) == 1 else 's'}" for p in report.plays]
    each = [f"{p.app} on {count}" for p, count in zip(report.plays, counts, strict=True)]
    said = f"{request.playbook}: in order, for {', '.join(counts if len(each) == 1 else each) or 'no play'}"
    click.echo(fit(said))
    return 0
