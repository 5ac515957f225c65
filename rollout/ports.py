"""Ports: what the inside asks of the outside. Three methods or so each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from rollout.model.check import Probed
from rollout.model.event import Event, Note, Record
from rollout.model.host import Connection, HostName
from rollout.model.pool import Member, PoolState, Rotation


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What one remote command printed, bounded, and how it ended (None: nothing was said)."""

    stdout: bytes
    stderr: bytes = b""
    exit_status: int | None = None
    truncated: bool = False


class ByteStream(Protocol):
    """A connected TCP stream, such as a direct-tcpip channel."""

    def send(self, data: bytes, /) -> int:
        """Send some bytes."""

    def recv(self, size: int, /) -> bytes:
        """Receive at most ``size`` bytes; empty at the end."""

    def settimeout(self, timeout_s: float | None, /) -> None:
        """Bound each of the calls above."""

    def close(self) -> None:
        """Close it."""


class Session(Protocol):
    """One connection to one host, for the whole rollout."""

    def run(self, script: bytes, payload: BinaryIO | None, *, deadline_s: float, until: bytes | None = None) -> Raw:
        """Send the constant command, the counted script and the payload; collect what it prints.

        ``script`` is already framed (its length line included). ``until``: stop at the end of the
        line of standard output that holds these bytes (a step ends at its trailer, not when all
        that it started has let go of the stream). Raises Unreachable when nothing
        was sent, OutcomeUnknown when something was and the command did not end in time or the
        connection was lost; the socket is closed then.
        """

    def dial(self, host: str, port: int, *, timeout_s: float) -> ByteStream:
        """Open a TCP stream from the host; ``host`` "" is the address sshd itself sees.

        Raises OSError when refused there, Unreachable when the host itself cannot be asked.
        """

    def close(self) -> None:
        """Close the socket and wait for its threads, within a second."""


class Transport(Protocol):
    """Opens sessions. Verifies host keys, always."""

    def open(self, host: HostName, connection: Connection) -> Session:
        """Connect, authenticate, all within ``connection.connect_timeout_s``, or raise Unreachable."""


class Balancer(Protocol):
    """One pool behind one load balancer."""

    def read(self) -> PoolState:
        """Read every member, and the balancer's generation; raise BalancerError."""

    def set(self, wanted: Mapping[Member, Rotation]) -> PoolState | None:
        """Write these members' rotation; replies are parsed; raise BalancerError.

        Returns what was read after the writing, where that cost nothing more; None: it is to be read back.
        """

    def shut_sessions(self, member: Member, limit: int) -> None:
        """Cut at most ``limit`` sessions of a member; raise BalancerError."""


class Check(Protocol):
    """A probe of one host."""

    def probe(self, timeout_s: float) -> Probed:
        """Ask once, within the time; never raises for what the host does."""


class Clock(Protocol):
    """Time for the effects; the engine knows none."""

    def now(self) -> float:
        """Monotonic seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Sink(Protocol):
    """A reader of the stream. One that raises is dropped with a note."""

    def event(self, record: Record) -> None:
        """See a durable event."""

    def note(self, note: Note) -> None:
        """See a note."""

    def close(self) -> None:
        """Flush."""


class Journal(Protocol):
    """The journal of one rollout: durable when ``append`` returns."""

    def append(self, events: Sequence[Event]) -> Sequence[Record]:
        """Write the events in one transaction, fsynced, chained; raise StoreError."""

    def read(self) -> Sequence[Record]:
        """Read all records in order, the chain checked; raise StoreError."""
