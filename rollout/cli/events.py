"""``rollout events``: one rollout's journal, record by record."""

from __future__ import annotations

import click

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json
from rollout.report.jsonlines import record_object
from rollout.report.show import timeline


@command("events")
@click.argument("id")
@state_option
@json_option
def events(id: str, state: str | None, output: str) -> int:
    """Write a rollout's journal, record by record, after its chain of hashes was checked.

    ID may be cut short. With --json one object a line, the hashes included.
    """
    with reading(state) as store:
        if store is None:
            return 8
        records = store.journal(store.find(id).id).read()
    if output == "json":
        for record in records:
            say_json(record_object(record))
    else:
        say(f"{record.seq:5d} {line}" for record, line in zip(records, timeline(records), strict=True))
    return 0
