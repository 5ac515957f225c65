"""A moment as people write it: a time, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from rollout.store.database import rfc3339


class Moment(click.ParamType[str]):
    """A moment in the past; as the journal writes it, in UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read ``2026-11-23 14:00`` (local time where no zone is said), RFC 3339, or ``2h`` for two hours ago."""
        from pydantic_core import PydanticCustomError

        from rollout.playbook.words import seconds

        said = str(value).strip().removesuffix("ago").strip()
        try:
            return rfc3339(datetime.fromisoformat(said).astimezone())
        except (ValueError, OverflowError):
            pass
        try:
            return rfc3339(datetime.now(UTC) - timedelta(seconds=seconds(said)))
        except (PydanticCustomError, OverflowError):
            self.fail(f"{said[:40]!r} is no time. Write 2026-11-23T14:00, or 2h for two hours ago.", param, ctx)
