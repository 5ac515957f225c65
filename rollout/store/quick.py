"""The few statements of every append: on SQLite, compiled once and given to the driver as they are.

What SQLAlchemy does around a statement takes longer there than the disk does. On a server the way to it is what
takes time, and nothing would be saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql import ClauseElement, Executable


class Quick:
    """One statement, whose values are all named."""

    def __init__(self, statement: Executable) -> None:
        """Keep the statement; it is compiled when it is first needed."""
        self._statement = statement
        self._compiled: tuple[str, tuple[str, ...]] | None = None  # SQLite's text, and the order of its values

    def first(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """Return the first row of its answer, None when there is none."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).first()
        row: tuple[Any, ...] | None = self._driven(connection, [values]).fetchone()
        return row

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Do it once for each of these values; return how many rows of the table it met."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, rows, execution_options={"preserve_rowcount": True}).rowcount
        met: int = self._driven(connection, rows).rowcount
        return met

    def _driven(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Any:
        """Give it to the driver; return its cursor."""
        text, order = self._compiled or self._compile(connection)
        driver: Any = connection.connection.driver_connection
        if len(rows) == 1:
            return driver.execute(text, [rows[0][name] for name in order])
        return driver.executemany(text, [[row[name] for name in order] for row in rows])

    def _compile(self, connection: Connection) -> tuple[str, tuple[str, ...]]:
        """Return the text, and the names of its values in their order."""
        assert isinstance(self._statement, ClauseElement)  # noqa: S101 - every Executable that we write is one
        compiled: Any = self._statement.compile(dialect=connection.dialect)
        self._compiled = str(compiled), tuple(compiled.positiontup)
        return self._compiled
