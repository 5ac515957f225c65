"""What the commands share that only read the store."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rollout.report.jsonlines import json_line
from rollout.report.text import ascii_only
from rollout.store.place import path_of, state_url
from rollout.store.store import Store, open_store


@contextmanager
def reading(option: str | None) -> Iterator[Store | None]:
    """Open the state that is meant, making nothing; None when nobody ever recorded anything there by default."""
    url, is_default = state_url(option)
    if is_default and not Path(path_of(url)).exists():
        click.echo(f"Nothing is recorded yet in {url}.", err=True)
        yield None
        return
    store = open_store(url, create=False)
    try:
        yield store
    finally:
        store.close()


def say(lines: Iterable[str]) -> None:
    """Write lines to stdout, in ASCII where it can do no more."""
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    for line in lines:
        click.echo(line if unicode else ascii_only(line))


def say_json(value: object) -> None:
    """Write one JSON object on one line."""
    click.echo(json_line(value))
