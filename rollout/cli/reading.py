"""What the commands share that only read the store."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from rollout.app.states import open_state
from rollout.report.jsonlines import json_line
from rollout.report.text import ascii_only, folded
from rollout.store.place import path_of, state_url
from rollout.store.store import Store


@contextmanager
def reading(option: str | None) -> Iterator[Store | None]:
    """Open the state that is meant, making nothing; None when nobody ever recorded anything there by default."""
    url, is_default = state_url(option)
    path = path_of(url)
    if is_default and path is not None and not path.exists():
        click.echo(f"Nothing is recorded yet in {url}.", err=True)
        yield None
        return
    store = open_state(url, create=False)
    try:
        yield store
    finally:
        store.close()


def say(lines: Iterable[str]) -> None:
    """Write lines to stdout, in ASCII where it can do no more, and broken at words on a terminal."""
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in lines:
        for part in folded(line, width):
            click.echo(part if unicode else ascii_only(part))


def width() -> int:
    """Return how many columns there are to write in: as many as one likes where nobody looks."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


def say_json(value: object) -> None:
    """Write one JSON object on one line."""
    click.echo(json_line(value))
