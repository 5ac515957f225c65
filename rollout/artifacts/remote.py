"""What stands between fetching and those who are asked: an answer, and the two ways in which there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

PIECE = 1024 * 1024  # bytes that are asked for at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited, in seconds, and how often it is tried again without a byte of progress."""

    connect_s: float = 10.0
    read_s: float = 30.0
    total_s: float = 1800.0
    attempts: int = 5
    pause_s: float = 0.5  # doubled each time


PATIENCE = Patience()


def quiet(*names: str) -> None:
    """Have libraries log nothing that nobody asked for: what a server says would reach the terminal raw."""
    for logger in map(logging.getLogger, names):
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)


class NotFetched(Exception):
    """It cannot be had, and trying again would not help: what is so, and what to do."""

    def __init__(self, what: str, instead: str = "") -> None:
        super().__init__(what)
        self.what, self.instead = what, instead


class Interrupted(Exception):
    """It could not be had this time. ``again``: what was fetched is of something else by now."""

    def __init__(self, what: str, *, again: bool = False) -> None:
        super().__init__(what)
        self.what, self.again = what, again


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An open answer. ``start``: where its bytes begin, 0 where the server begins anew.

    ``size``: of the whole file, -1 where it is not said. ``tag``: what the server calls these very
    bytes, "" where it does not. ``read`` returns some bytes and b"" at the end, within the
    patience, or raises Interrupted.
    """

    start: int
    size: int
    tag: str
    read: Callable[[], bytes]
    close: Callable[[], None]


class Source(Protocol):
    """Who is asked for what a URL names. Registered as an entry point of ``rollout.artifacts``, by scheme."""

    def open(self, start: int, tag: str, patience: Patience) -> Answer:
        """Ask for the bytes from ``start`` on, of the file that is still ``tag``; from 0 where ``start`` is 0.

        Raises NotFetched or Interrupted.
        """
