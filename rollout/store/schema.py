"""The tables. ``VERSION`` changes whenever they or the meaning of a record do."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table, Text

VERSION = 6

metadata = MetaData()
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")  # sorted by bytes, as SQLite does


def _text(name: str, *, key: bool = False) -> Column[str]:
    """Return a text column that is never NULL: nothing said is the empty text."""
    return Column(name, _TEXT, primary_key=key, nullable=False, server_default=None if key else "")


rollout_schema = Table("rollout_schema", metadata, Column("version", Integer, nullable=False))

rollouts = Table(
    "rollouts",
    metadata,
    _text("id", key=True),
    *map(_text, ("environment", "app", "release", "plan_digest", "started", "finished", "end", "reason")),
    Column("exit_code", Integer, nullable=False, server_default="-1"),
    *map(_text, ("by", "message", "head")),
    Column("purpose", Text, nullable=False, server_default="apply"),
    Column("limited", Integer, nullable=False, server_default="0"),
    Column("number", Integer, nullable=False, server_default="0"),
    Index("rollouts_by_app", "environment", "app", "started"),
)

records = Table(
    "records",
    metadata,
    Column("rollout", Text, ForeignKey("rollouts.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    *map(_text, ("at", "body", "previous_hash", "hash")),
    sqlite_with_rowid=False,
)

leases = Table(
    "leases",
    metadata,
    _text("environment", key=True),
    _text("app", key=True),
    *map(_text, ("rollout", "holder", "host", "machine")),
    Column("pid", Integer, nullable=False, server_default="0"),
    *map(_text, ("started", "since", "heartbeat")),
    Column("number", Integer, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    *(_text(name, key=True) for name in ("environment", "app", "id")),
    *map(_text, ("artifact", "manifest", "verdict", "rollout", "at")),
    Index("releases_by_artifact", "environment", "app", "artifact"),
)

manifests = Table(  # of releases that are not the same on every host
    "manifests",
    metadata,
    *(_text(name, key=True) for name in ("environment", "app", "release", "host")),
    *map(_text, ("manifest", "rollout")),
)

keys = Table("keys", metadata, _text("name", key=True), _text("value"))

drains = Table(
    "drains",
    metadata,
    *(_text(name, key=True) for name in ("environment", "app", "host")),
    *map(_text, ("by", "at", "message", "rollout")),
)

reached = Table(
    "reached",
    metadata,
    *(_text(name, key=True) for name in ("environment", "app", "host")),
    Column("number", Integer, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    _text("environment", key=True),
    *map(_text, ("digest", "text", "by", "at")),
)

orders = Table(
    "orders",
    metadata,
    _text("rollout", key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    *map(_text, ("kind", "by", "at", "reason")),
)

signed = Table(
    "signed",
    metadata,
    _text("rollout", key=True),
    _text("app", key=True),
    *map(_text, ("environment", "release", "of", "identity", "key", "created", "expires")),
    Index("signed_by_app", "environment", "app", "created"),
)
