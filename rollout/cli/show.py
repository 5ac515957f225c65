"""``rollout show``: one rollout's story, with the evidence."""

from __future__ import annotations

import click

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json
from rollout.report.jsonlines import record_object
from rollout.report.show import story
from rollout.store.store import Store


@command("show")
@click.argument("id")
@click.option("--no-evidence", is_flag=True, help="Leave out what failing hosts said.")
@state_option
@json_option
def show(id: str, no_evidence: bool, state: str | None, output: str) -> int:
    """Show one rollout's story: the recap, who began it and why, what happened when, and the evidence.

    ID may be cut short.
    """
    with reading(state) as store:
        if store is None:
            return 8
        return _show(store, id, output, evidence=not no_evidence)


def _show(store: Store, id: str, output: str, *, evidence: bool) -> int:
    """Write the story of the rollout that is meant."""
    rollout = store.find(id)
    records = store.journal(rollout.id).read()
    if output == "json":
        say_json({"rollout": rollout.id, "end": rollout.end, "records": [record_object(r) for r in records]})
    else:
        say(story(records, evidence=evidence))
    return 0
