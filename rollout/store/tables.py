"""The tables of a database: laid where there are none, grown where they are of an earlier version, never guessed."""

from __future__ import annotations

from sqlalchemy import Connection, insert, inspect, select, update
from sqlalchemy.schema import CreateColumn

from rollout.errors import StoreError
from rollout.store import schema
from rollout.store.owned import lay_key


def are_laid(connection: Connection, place: str) -> bool:
    """Return whether our tables are there, in this version; refuse another program's, and newer ones of ours."""
    return not _is_empty(connection, place) and _version(connection) == schema.VERSION


def are_older(connection: Connection, place: str) -> bool:
    """Return whether our tables are there, laid by an earlier version: they are to grow."""
    return not _is_empty(connection, place) and _version(connection) < schema.VERSION


def lay(connection: Connection, place: str, *, key: bool = True) -> None:
    """Lay or grow the tables, unless another process did since somebody looked.

    ``key``: with the key of the state, which a copy of one that lies elsewhere does not make.
    """
    if _is_empty(connection, place):
        schema.metadata.create_all(connection)
        if key:
            lay_key(connection)
        connection.execute(insert(schema.rollout_schema).values(version=schema.VERSION))
    elif _version(connection) < schema.VERSION:
        _grow(connection)


def _is_empty(connection: Connection, place: str) -> bool:
    names = inspect(connection).get_table_names()
    if not names:
        return True
    if schema.rollout_schema.name not in names:
        raise StoreError(
            f"E_NOT_OURS: {place} is the database of another program. Name another one with --state PATH or URL."
        )
    version = _version(connection)
    if version > schema.VERSION:
        raise StoreError(
            f"E_STATE_NEWER: {place} was written by a newer rollout (schema {version}; this one knows up to "
            f"{schema.VERSION}). Nothing was read. Use that newer version."
        )
    return False


def _version(connection: Connection) -> int:
    """Return the version of the tables that are there."""
    return int(connection.execute(select(schema.rollout_schema.c.version)).scalar_one())


def _grow(connection: Connection) -> None:
    """Add the tables and columns that came later; what is there stays as it is, and so older rows read as before."""
    schema.metadata.create_all(connection)
    lay_key(connection)
    for name, table in schema.metadata.tables.items():
        there = {column["name"] for column in inspect(connection).get_columns(name)}
        for column in table.columns:
            if column.name not in there:
                made = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {made}")
    connection.execute(update(schema.rollout_schema).values(version=schema.VERSION))
