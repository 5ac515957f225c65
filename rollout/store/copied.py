"""The copy in memory of a state that lies on a host: its database, and what a transaction in it is to add there.

Triggers note what is changed: each kind of row that outlives a process is a kind of entry in a line of the journal, and
leases are written anew, all of them.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select, text
from sqlalchemy.pool import StaticPool

from rollout.store.schema import leases

OUTBOX = (
    "CREATE TABLE outbox (kind TEXT NOT NULL, line TEXT NOT NULL)",
    "CREATE TRIGGER said AFTER INSERT ON records BEGIN INSERT INTO outbox VALUES ('records', json_object("
    "'rollout', NEW.rollout, 'seq', NEW.seq, 'at', NEW.at, 'body', NEW.body, "
    "'previous_hash', NEW.previous_hash, 'hash', NEW.hash)); END",
    "CREATE TRIGGER ordered AFTER INSERT ON orders BEGIN INSERT INTO outbox VALUES ('orders', json_object("
    "'rollout', NEW.rollout, 'number', NEW.number, 'kind', NEW.kind, 'by', NEW.by, 'at', NEW.at, "
    "'reason', NEW.reason)); END",
    "CREATE TRIGGER pinned AFTER INSERT ON policies BEGIN INSERT INTO outbox VALUES ('policies', json_object("
    "'environment', NEW.environment, 'digest', NEW.digest, 'text', NEW.text, 'by', NEW.by, 'at', NEW.at)); END",
    "CREATE TRIGGER keyed AFTER INSERT ON keys BEGIN INSERT INTO outbox VALUES ('keys', json_object("
    "'name', NEW.name, 'value', NEW.value)); END",
    *(
        f"CREATE TRIGGER leases_{what} AFTER {what} ON leases BEGIN INSERT INTO outbox VALUES ('leases', ''); END"  # noqa: S608
        for what in ("INSERT", "UPDATE", "DELETE")
    ),
)


def engine() -> Engine:
    """Return a database in memory with one connection, whose transactions are ours to begin."""
    made = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})

    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    event.listen(made, "connect", prepare)
    event.listen(made, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return made


def outbox(connection: Connection) -> dict[str, list[Any]]:
    """Return what the transaction has changed, by kind, and forget it."""
    found: dict[str, list[Any]] = {}
    for kind, line in connection.execute(text("SELECT kind, line FROM outbox ORDER BY rowid")):
        found.setdefault(kind, []).append(json.loads(line) if line else None)
    connection.execute(text("DELETE FROM outbox"))
    return found


def ascii_line(value: object) -> bytes:
    """Return one line of JSON that any shell carries."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def leases_text(connection: Connection, size: int, digest: str) -> bytes:
    """Return all of leases.jsonl: how much of the journal is committed, its digest, and the leases."""
    rows = connection.execute(select(leases).order_by(leases.c.environment, leases.c.app))
    return header(size, digest) + b"".join(ascii_line(dict(row._mapping)) for row in rows)


def header(size: int, digest: str) -> bytes:
    """Return the first line of leases.jsonl, which is all of it where nobody ever held anything."""
    return ascii_line({"size": size, "sha256": digest})
