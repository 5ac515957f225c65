"""A session over one authenticated SSH connection: commands, and TCP streams from the host."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from rollout.errors import OutcomeUnknown, Unreachable
from rollout.ports import ByteStream, Raw
from rollout.posix.sanitise import line as one_line
from rollout.transports.capture import Capture
from rollout.transports.deadline import Deadline
from rollout.transports.exchange import Exchange
from rollout.transports.governor import Dropped, insist
from rollout.transports.turns import Turns

FORWARDING_REFUSED = "forwarding refused"
PATIENCE_S = 5.0  # how long a refused channel is asked for again: an ended command frees its place a little later
ASKING_S = 30.0
_WHERE = b'printf "%s\\n" "$SSH_CONNECTION"\n'


class ForwardingRefused(OSError):
    """The host's sshd does not let TCP streams start there (AllowTcpForwarding, PermitOpen, a forced command)."""


@dataclass(slots=True, kw_only=True)
class SshSession:
    """One connection to one host. Commands and streams may run at once, from several threads."""

    label: str  # how errors name it: ``web1 (deploy@192.0.2.1:22)``
    line: Any  # paramiko's Transport
    sock: socket.socket
    owner: Any  # fabric's Connection: kept, since closing it closes the client
    command: str
    took_s: float = 0.0  # how long the login took, those of the hops before it included
    parting: Callable[[], None] | None = None  # what is to be done once it is closed, once
    _turns: Turns = field(default_factory=Turns)
    _answer: Future[str] | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def run(self, script: bytes, payload: BinaryIO | None, *, deadline_s: float, until: bytes | None = None) -> Raw:
        """Send the constant command, the script and the payload; see ports.Session.

        ``until``: stop at the end of the line of standard output that holds these bytes.
        """
        deadline = Deadline.after(deadline_s)
        try:
            patience = Deadline.after(min(PATIENCE_S, deadline_s))
            return insist(lambda: self._once(script, payload, deadline, until or b""), patience)
        except Dropped as e:
            raise Unreachable(f"{self.label}: {e}") from None
        except TimeoutError:
            raise Unreachable(f"{self.label}: other commands held the connection for {deadline_s:g} s.") from None

    def _once(self, script: bytes, payload: BinaryIO | None, deadline: Deadline, until: bytes) -> Raw:
        with self._turns.turn(deadline):
            exchange = Exchange(self._channel(deadline), deadline, Capture(until=until))
            raw = exchange.perform(self.command, script, payload)
        if raw is not None:
            return raw
        late = exchange.deadline.over
        self.sever()  # from here on no byte goes out: what is not sent by now never will be
        why = "it did not end in time, and the connection was closed" if late else "the connection was lost"
        if exchange.sent:
            raise OutcomeUnknown(f"{self.label}: {why}; what was sent may have been done.")
        detail = f" ({one_line(exchange.failure)})" if exchange.failure else ""
        raise Unreachable(f"{self.label}: no command could be started: {why}{detail}.")

    def _channel(self, deadline: Deadline) -> Any:
        import paramiko

        try:
            return self.line.open_session(timeout=deadline.left())
        except (paramiko.SSHException, EOFError, OSError) as e:
            why = one_line(str(e)) or "end of stream"
            if self.alive and not deadline.over:
                self._turns.refused()
                raise Dropped(f"sshd opens no more sessions on this connection (MaxSessions): {why}") from None
            self.sever()
            raise Unreachable(f"{self.label}: the connection is gone: {why}") from None

    def dial(self, host: str, port: int, *, timeout_s: float) -> ByteStream:
        """Open a TCP stream from the host; ``host`` "" is the address that sshd itself sees.

        Raises ForwardingRefused, another OSError when the host reached nobody there, and
        Unreachable when the host itself does not answer.
        """
        deadline = Deadline.after(timeout_s)
        to = host or self._seen_address(deadline)
        try:
            return insist(lambda: self._stream(to, port, deadline), deadline)
        except Dropped as e:
            raise ConnectionRefusedError(str(e)) from None

    def _stream(self, host: str, port: int, deadline: Deadline) -> ByteStream:
        import paramiko

        place = f"{host}:{port}"
        waiting = Deadline.after(0.75 * deadline.left())  # the rest is for asking whether the host itself answers
        try:
            stream: ByteStream = self.line.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=waiting.left()
            )
        except paramiko.ChannelException as e:
            raise _refused(e, place) from None
        except (paramiko.SSHException, EOFError, OSError) as e:
            if not self.line.is_active():
                raise Unreachable(f"{self.label}: the connection is gone.") from None
            if not waiting.over:  # refused; who was refused for which reason got lost between two threads
                raise Dropped(f"{place} refused the connection.") from None
            self._prove_alive(deadline)
            raise TimeoutError(f"{place} does not answer the host: {one_line(str(e))}") from None
        stream.settimeout(max(0.001, deadline.left()))
        return stream

    def _prove_alive(self, deadline: Deadline) -> None:
        """Open and close a session without a command: only a host that answers can do that."""
        import paramiko

        try:
            self.line.open_session(timeout=max(0.01, deadline.left())).close()
        except paramiko.ChannelException:
            return  # refused is an answer
        except (paramiko.SSHException, EOFError, OSError):
            raise Unreachable(f"{self.label}: the host does not answer on its connection.") from None

    def _seen_address(self, deadline: Deadline) -> str:
        """Return the third field of SSH_CONNECTION, asked for once.

        The question has a time of its own: a shell may be slow to start, and a command that is cut
        off takes the connection with it.
        """
        with self._asking:
            if self._answer is None or (self._answer.done() and self._answer.exception() is not None):
                self._answer = Future()
                threading.Thread(target=self._ask_address, args=(self._answer,), daemon=True).start()
        try:
            return self._answer.result(deadline.left())
        except TimeoutError:
            raise Unreachable(f"{self.label}: it has not said yet at which address it is reached.") from None
        except OutcomeUnknown as e:
            raise Unreachable(str(e)) from None

    def _ask_address(self, answer: Future[str]) -> None:
        try:
            raw = self.run(b"%d\n" % len(_WHERE) + _WHERE, None, deadline_s=ASKING_S)
            words = raw.stdout.decode("ascii", "replace").split()[-4:]
            if len(words) != 4:
                raise OSError("the host does not say at which address it was reached (SSH_CONNECTION)")
            answer.set_result(words[2])
        except BaseException as e:
            answer.set_exception(e)

    @property
    def alive(self) -> bool:
        """Whether the connection is up, as far as this side has seen."""
        return bool(self.line.is_active())

    def sever(self) -> None:
        """Close the socket at once: every wait on the connection ends."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.line.close()

    def close(self) -> None:
        """Close the socket and wait for the thread, within a second."""
        self.sever()
        self.owner.close()
        if self.line.is_alive() and self.line is not threading.current_thread():
            self.line.join(1.0)
        parting, self.parting = self.parting, None
        if parting is not None:
            parting()


def _refused(error: Any, place: str) -> OSError:
    if error.code == 1:  # administratively prohibited
        return ForwardingRefused(f"{FORWARDING_REFUSED} by the host's sshd")
    return ConnectionRefusedError(f"{place} refused the connection: {one_line(str(error.text))}")
