"""The lines of a journal on a host: each is one transaction, read into the tables that answer questions."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, insert

from rollout.errors import RolloutError, StoreError
from rollout.model.event import Record
from rollout.posix.sanitise import line as inert
from rollout.store.codec import decode
from rollout.store.journal import chained, decoded
from rollout.store.projection import HEAD, enter, project
from rollout.store.schema import keys, orders, policies, records

BEGINS = '"kind":"rollout_started"'
TELLING = ('"kind":"revert_started"', '"kind":"rollout_finished"')
_KEPT = {  # what lines of the journal hold, by kind; earlier versions wrote the first two
    "records": insert(records),
    "orders": insert(orders),
    "policies": insert(policies).prefix_with("OR REPLACE"),  # the newest pin of an environment
    "keys": insert(keys),
}
_NAMED = re.compile(rb'"rollout":"([^"]*)","seq":(\d+)')


class Newer(Exception):
    """A rollout was begun by a newer version: who does not know of it would begin another over it."""


def take_in(connection: Connection, line: bytes) -> None:
    """Take in one transaction that somebody wrote; raise Newer, or anything where it is not what was written."""
    said = json.loads(line)
    for kind, table in _KEPT.items():
        if new := said.get(kind):
            connection.execute(table, new)
    _projected(connection, said.get("records", []))


def named(piece: bytes | bytearray) -> list[str]:
    """Return the records that a piece of the journal tells of, as far as it can be read."""
    found = _NAMED.findall(piece)
    return [f"record {seq.decode()} of rollout {inert(rollout.decode('utf-8', 'replace'))}" for rollout, seq in found]


def wrong_in(line: bytes) -> str:
    """Return what of a line is not what was written: a record, or a few of which it is one."""
    with suppress(Exception):
        for row in json.loads(line)["records"]:
            if row["hash"] != chained(*(row[name] for name in ("rollout", "seq", "at", "body", "previous_hash"))):
                return f"record {int(row['seq'])} of rollout {inert(row['rollout'])}"
    first, *more = named(line) or ["a record or an order that cannot be told"]
    return f"{first} to {more[-1]}" if more else first


def _begun(row: dict[str, Any]) -> Record:
    """Return the record that begins a rollout; ValueError where it is not what was written."""
    kept = SimpleNamespace(**row)
    if kept.hash != chained(kept.rollout, kept.seq, kept.at, kept.body, kept.previous_hash):
        raise ValueError("its hash does not fit what it says")
    try:
        return decoded(kept.rollout, kept)
    except StoreError as error:
        raise Newer(str(error)) from error


def _projected(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Bring the tables that people ask up to date.

    A record that cannot be read is found when its journal is, but for one that begins a rollout, which nobody would
    look for then.
    """
    begun = [_begun(row) for row in rows if BEGINS in row["body"]]
    telling = [row for row in rows if any(kind in row["body"] for kind in TELLING)]
    with suppress(RolloutError):
        enter(connection, begun)
        chain = [Record(**{k: v for k, v in r.items() if k != "body"}, event=decode(r["body"])) for r in telling]
        if chain:
            project(connection, chain)
    for row in rows[-1:]:
        connection.execute(HEAD, {"mine": row["rollout"], "newest": row["hash"]})
