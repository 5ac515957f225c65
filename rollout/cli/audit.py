"""``rollout audit``: what a rollout's journal proves, for those who were not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from rich_click import RichGroup

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json
from rollout.engine.lint import violations
from rollout.errors import StoreError
from rollout.model.event import Record
from rollout.report.jsonlines import record_object
from rollout.report.text import count, inert
from rollout.store.store import Store

SHOWN = 20


class Head(click.ParamType[str]):
    """The head of a chain; an empty one is what a variable that nobody set leaves behind, and proves nothing."""

    name = "hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the hash, or say that there is none."""
        head = str(value).strip()
        if not head:
            self.fail("it is empty. Write the head that the recap printed, or leave --head out.", param, ctx)
        return head


@click.group("audit", cls=RichGroup, context_settings={"help_option_names": ["-h", "--help"]})
def audit() -> None:
    """Check a rollout's journal, or hand it out."""


@command("verify")
@click.argument("id")
@click.option(
    "--head", type=Head(), metavar="HASH", help="The head that the recap printed: the chain has to end there."
)
@state_option
@json_option
def verify(id: str, head: str | None, state: str | None, output: str) -> int:
    """Check the chain of hashes of rollout ID, and the order of what it says; 8 when one of them is broken.

    ID may be cut short. The recap of each rollout prints the head of its chain: give it with --head, and a
    journal that was cut off or written anew, together with what is kept beside it, shows too.
    """
    with reading(state) as store:
        if store is None:
            return 8
        rollout = store.find(id).id
        records = _checked(store, rollout)
    _hold_to(records, head)
    found = {"rollout": rollout, "records": len(records), "head": records[-1].hash}
    if output == "json":
        say_json(found)
    else:
        say([f"rollout {rollout}: {count(len(records), 'record')}, chain and order hold", f"head {found['head']}"])
    return 0


@command("export")
@click.argument("id")
@state_option
def export(id: str, state: str | None) -> int:
    """Write the journal of rollout ID as JSON, a record a line, hashes included, once both checks hold.

    ID may be cut short. A record's hash is the SHA-256 of the canonical JSON (keys sorted, no spaces, UTF-8
    with nothing escaped that need not be) of [rollout, seq, at, the event's canonical JSON as a text, the hash
    before it]. The event is what was written then, by whichever version.
    """
    with reading(state) as store:
        if store is None:
            return 8
        for record in _checked(store, store.find(id).id):
            say_json(record_object(record))
    return 0


def _checked(store: Store, rollout: str) -> Sequence[Record]:
    """Return the records of a sound journal; raise StoreError for one that is not."""
    records = store.journal(rollout).read()
    if not records:  # a damaged index finds the rollout and not its records
        raise StoreError(f"E_CHAIN: record 1 of rollout {rollout}: it is missing, and history knows of it.")
    wrong = violations(record.event for record in records)
    if wrong:
        shown = "; ".join(f"record {number}: {inert(what, 200)}" for number, what in wrong[:SHOWN])
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise StoreError(
            f"E_ORDER: the journal of rollout {rollout} tells of steps out of turn: {shown}{more}. Its hashes hold, so "
            "that is what was written: do not rely on what this rollout says, and report it."
        )
    return records


def _hold_to(records: Sequence[Record], head: str | None) -> None:
    """Raise StoreError when the chain does not end where somebody saw it end."""
    last = records[-1]
    if head is None or head == last.hash:
        return
    seen = next((record.seq for record in records if record.hash == head), 0)
    cut = "no record of it has that hash: it was cut or rewritten"
    where = f"that is record {seen}, and it goes on" if seen else cut
    raise StoreError(
        f"E_HEAD: the journal of rollout {last.rollout} ends with record {last.seq}, {last.hash}, not with "
        f"{inert(head, 80)}: {where}."
    )


audit.add_command(verify)
audit.add_command(export)
