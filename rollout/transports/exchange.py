"""One command on one SSH channel: what is sent, two pumps with bounded capture, and when it is over.

A command is over when its mark went by (a step ends at its trailer: what it started may hold standard
output open for ever), when its streams ended and its exit status came, or a short grace after the
exit status alone. All waits are bounded by one deadline; none of them is the library's. While a payload gets on, if
only slowly, the deadline moves on with it: a slow link is no silence, and a trickle is no progress (F52).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from rollout.ports import Raw
from rollout.transports.capture import Capture, for_stderr
from rollout.transports.deadline import Deadline

PIECE = 32_704  # what fits into one packet
SENDING_S, WAITING_S = 0.1, 0.25  # how often a wait looks around, while sending and afterwards
SLOWEST = 16_384  # bytes a second: what each byte that was taken adds to the deadline at most
QUIET_S, GRACE_S = 0.5, 3.0  # after the exit status: silence that ends it, and the longest wait for silence


@dataclass(slots=True)
class Exchange:
    """The state of one command. ``sent`` turns true before the first byte of the script goes out."""

    channel: Any
    deadline: Deadline
    out: Capture
    err: Capture = field(default_factory=for_stderr)
    sent: bool = False
    failure: str = ""
    _pays: bool = False  # whether a payload is sent
    _allowed_s: float = 0.0  # how long nothing may be heard
    _latest: float = 0.0  # when it must be over, whatever gets on
    _over: threading.Event = field(default_factory=threading.Event)

    def perform(self, command: str, script: bytes, payload: BinaryIO | None) -> Raw | None:
        """Return what was printed, or None when the end was not seen: lost, or not in time."""
        self._pays, self._allowed_s, self._latest = payload is not None, self.deadline.left(), self.deadline.at
        self.channel.settimeout(SENDING_S)
        talking = threading.Thread(target=self._talk, args=(command, script, payload), daemon=True)
        hearing = threading.Thread(target=self._hear_errors, daemon=True)
        talking.start()
        hearing.start()
        try:
            if not self._hear():
                return None
            hearing.join(0 if self.out.seen else min(QUIET_S, self.deadline.left()))
        finally:
            self._over.set()
        status = self.channel.exit_status
        return Raw(
            stdout=self.out.value(),
            stderr=self.err.value(),
            exit_status=status if status >= 0 else None,  # -1: ended by a signal, or nothing was said
            truncated=self.out.truncated or self.err.truncated,
        )

    def _talk(self, command: str, script: bytes, payload: BinaryIO | None) -> None:
        """Send everything, then close the channel when it is over: a close may block, so it is done here."""
        try:
            self.channel.exec_command(command)
            self.sent = True
            if all(self._send(piece) for piece in _pieces(script, payload)):
                self.channel.shutdown_write()
            self.channel.settimeout(WAITING_S)
        except Exception as e:  # the library raises what it likes; the end of the exchange decides what it meant
            self.failure = str(e) or type(e).__name__
        self._over.wait()
        try:
            self.channel.close()
        except Exception as e:
            self.failure = self.failure or str(e)

    def _send(self, piece: bytes) -> bool:
        """Send one piece; False when nobody wants it any more."""
        while piece:
            if self._over.is_set():
                return False
            try:
                taken = self.channel.send(piece)
            except TimeoutError:
                continue  # the window is full: the host is printing, or slow
            if not taken:
                return False
            piece = piece[taken:]
            if self._pays:
                self._gets_on(taken)
        return True

    def _gets_on(self, taken: int) -> None:
        """Move the deadline on: as far away as it was at first, and no further than the slowest link needs."""
        self._latest += taken / SLOWEST
        self.deadline = Deadline(min(self._latest, time.monotonic() + self._allowed_s))

    def _hear_errors(self) -> None:
        while not self._over.is_set():
            try:
                data = self.channel.recv_stderr(65_536)
            except TimeoutError:
                continue
            if not data:
                return
            self.err.feed(data)

    def _hear(self) -> bool:
        """Pump standard output until it is over; False when it was not, by the deadline or by a lost connection."""
        ended = last = 0.0
        while not self.deadline.over:
            data = self._next()
            now = time.monotonic()
            if data:
                last = now
                self.out.feed(data)
                if self.out.seen:
                    return True
            elif data is not None:
                return self._ended_properly()
            elif self.failure and not self.sent:
                return False
            if self.channel.exit_status >= 0:
                ended = ended or now
                if now - max(last, ended) > QUIET_S or now - ended > GRACE_S:
                    return True
        return False

    def _next(self) -> bytes | None:
        """Return the next bytes of standard output, empty at its end, None when there are none yet."""
        try:
            return self.channel.recv(65_536)  # type: ignore[no-any-return]
        except TimeoutError:
            return None

    def _ended_properly(self) -> bool:
        """After the end of the stream: wait for the exit status. A lost connection ends streams too, without an EOF."""
        self.channel.status_event.wait(self.deadline.left())
        if self.channel.exit_status >= 0:
            return True
        return bool(self.channel.eof_received and self.channel.closed and self.channel.transport.is_active())


def _pieces(script: bytes, payload: BinaryIO | None) -> Iterator[bytes]:
    yield from (script[at : at + PIECE] for at in range(0, len(script), PIECE))
    while payload is not None and (piece := payload.read(PIECE)):
        yield piece
