"""The ``fabric`` transport: fabric and paramiko, with everything that they leave open closed (facts.md, section 6)."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rollout.errors import HostKeyRefused, Unreachable
from rollout.model.host import Connection, HostName
from rollout.posix.frame import CONSTANT
from rollout.posix.sanitise import line as one_line
from rollout.transports import ciphers
from rollout.transports.addresses import Addresses
from rollout.transports.deadline import Deadline, bounded
from rollout.transports.governor import Dropped, Governor, insist
from rollout.transports.hostkeyfiles import KnownHosts
from rollout.transports.hostkeys import Key
from rollout.transports.login import KeyFiles, Login, NotLetIn, local_user
from rollout.transports.session import ForwardingRefused, SshSession
from rollout.transports.tunnel import tunnel
from rollout.transports.ways import Passage, Ways

KEEPALIVE_S = 15
BANNED = (
    "its SSH server turns this machine away for a while (PerSourcePenalties): logins from this address have failed"
    " there. Mend those, and wait some minutes."
)
SILENCE_MS = 30_000  # the kernel gives up on a peer that acknowledges nothing for so long


@dataclass(slots=True)
class FabricTransport:
    """Opens sessions over SSH. One of these serves a whole rollout: it holds the governor and what was read once.

    ``command`` is what every session runs; tests put other shells into it.
    """

    command: str = CONSTANT
    governor: Governor = field(default_factory=Governor)
    known_hosts: KnownHosts = field(default_factory=KnownHosts)
    key_files: KeyFiles = field(default_factory=KeyFiles)
    addresses: Addresses = field(default_factory=Addresses)
    ways: Ways = field(default_factory=Ways)
    _config: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, host: HostName, connection: Connection) -> SshSession:
        """Connect, verify the host key and authenticate, all within ``connect_timeout_s``, jump hosts included.

        Raises HostKeyRefused, or Unreachable with what to do. Waiting for a place among the
        logins of others is not counted.
        """
        label = named(host, connection)
        if not connection.jump:
            return self._opened(label, connection, None)
        passage = self.passage(label, connection)
        try:
            session = self._opened(label, connection, passage)
        except BaseException:
            passage.leave()
            raise
        session.parting = passage.leave
        return session

    def passage(self, label: str, connection: Connection) -> Passage:
        """Return a use of the session to the last hop before a host; raise Unreachable, or HostKeyRefused."""
        hop, to = HostName(connection.jump[-1].name), connection.to_last_hop()
        try:
            return self.ways.through(to, lambda: self.open(hop, to))
        except HostKeyRefused as e:
            raise HostKeyRefused(f"{label}: its jump {e}") from None
        except Unreachable as e:
            raise Unreachable(f"{label}: its jump {e}") from None

    def _opened(self, label: str, connection: Connection, passage: Passage | None) -> SshSession:
        address = connection.address.lower() + connection.way  # the same address elsewhere is another host
        with self.governor.place((address, connection.port)):
            deadline = Deadline.after(connection.connect_timeout_s - (passage.took_s if passage else 0.0))
            try:
                session = insist(partial(self._attempt, label, connection, deadline, passage), deadline)
            except (Dropped, NotLetIn) as e:
                raise Unreachable(f"{label}: {e}") from None
            except HostKeyRefused as e:
                raise HostKeyRefused(f"{label}: {e}") from None
            except TimeoutError as e:
                took = f"no SSH session within {connection.connect_timeout_s:g} s (connect_timeout)"
                raise Unreachable(f"{label}: {took}: {e}?") from None
            except OSError as e:
                raise Unreachable(f"{label}: {_network(e, connection)}") from None
            session.took_s = connection.connect_timeout_s - deadline.left()
            return session

    def _attempt(self, label: str, connection: Connection, deadline: Deadline, passage: Passage | None) -> SshSession:
        knock = Knock(self, label, connection, deadline, passage)
        try:
            return bounded(knock.connect, deadline, abandon=knock.abandon, late=SshSession.close)
        except TimeoutError:
            raise TimeoutError(knock.waits_for) from None

    def config(self) -> Any:
        """Return fabric's configuration, built once: no file of the user's or the machine's is read into it."""
        import fabric

        with self._lock:
            if self._config is None:
                off = {"load_ssh_configs": False, "forward_agent": False}
                self._config = fabric.Config(lazy=True, overrides=off)
            return self._config


@dataclass(slots=True)
class Knock:
    """One attempt to connect: holds the socket, so that the deadline can close it."""

    transport: FabricTransport
    label: str
    connection: Connection
    deadline: Deadline
    passage: Passage | None = None  # through the hop before it
    sock: socket.socket | None = None
    line: Any = None
    given_up: bool = False
    named: bool = False  # its name has been resolved

    @property
    def waits_for(self) -> str:
        """Say what it waits for, and what to look at when that does not come."""
        if not self.named:
            return "its name is still being resolved. Is the name server slow"
        if self.sock is None:
            who = self.connection.jump[-1].name if self.connection.jump else "this machine"
            return f"nobody answers there. Is it up, and may {who} reach its port"
        if self.line is None or not self.line.remote_version:
            return "the connection was accepted, and nothing was said. Does its sshd hang, or is it another server"
        if not self.line.initial_kex_done:
            return "the key exchange does not end. Do large packets get lost on the way (MTU, a VPN)"
        return "the login does not end. Does an agent wait for a touch, or its sshd for a directory of users"

    def connect(self) -> SshSession:
        """Return a session, or raise Dropped, NotLetIn, HostKeyRefused or OSError; nothing is left open then."""
        try:
            return self._connect()
        except ConnectionResetError as e:
            self.abandon()
            raise Dropped(f"its SSH server hung up before it said a word ({one_line(str(e))}).") from None
        except BaseException:
            self.abandon()
            raise

    def _connect(self) -> SshSession:
        to = self.connection
        sock = self.sock = self._dialled(to) if self.passage is None else self._through(to, self.passage)
        self._turned_away(sock)
        if self.given_up:
            raise TimeoutError
        recorded = self.transport.known_hosts.about(to.known_hosts, to.address, to.port).types
        owner = self._owner(sock, recorded)
        self._open(owner)
        self.line.set_keepalive(KEEPALIVE_S)
        return SshSession(label=self.label, line=self.line, sock=sock, owner=owner, command=self.transport.command)

    def _dialled(self, to: Connection) -> socket.socket:
        self.transport.addresses.of(to.address, to.port)
        self.named = True
        sock = self.transport.addresses.connect(to.address, to.port, self.deadline)
        _tune(sock)
        return sock

    def _through(self, to: Connection, passage: Passage) -> socket.socket:
        """Return a socket that comes out at the hop before it, which also resolves the name."""
        self.named = True
        try:
            return tunnel(passage.session.dial(to.address, to.port, timeout_s=self.deadline.left()))
        except Unreachable as e:
            raise Unreachable(f"{self.label}: its jump {e}") from None

    def _turned_away(self, sock: socket.socket) -> None:
        """Read, and leave to be read, the first word of a server: some say that they will not talk, and hang up."""
        sock.settimeout(max(0.001, self.deadline.left()))
        said = sock.recv(64, socket.MSG_PEEK)
        if said.startswith(b"Not allowed at this time"):
            raise NotLetIn(BANNED)
        if said.startswith(b"Exceeded MaxStartups"):
            raise Dropped("its SSH server has too many logins at once (MaxStartups).")

    def _owner(self, sock: socket.socket, recorded: tuple[str, ...]) -> Any:
        import fabric

        to = self.connection
        user = to.user or local_user()
        asked = {
            "sock": sock,
            "transport_factory": partial(self._wire, recorded),
            "auth_strategy": Login(self.transport.key_files, user, to.key_files),
            "timeout": self.deadline.left() + 5,  # ours ends first, and says so
        }
        # A Connection writes an attribute that it does not declare into its configuration, which is then made anew from
        # nothing: under the eyes of all other threads, since they share it (KeyError, seldom).
        quiet = type("Connection", (fabric.Connection,), {"inline_ssh_env": None})
        owner = quiet(
            "host", user=user, port=to.port, config=self.transport.config(), gateway=False, connect_kwargs=asked
        )
        owner.client.set_missing_host_key_policy(Verified(self))
        return owner

    def _wire(self, recorded: tuple[str, ...], sock: Any, **_: Any) -> Any:
        self.line = ciphers.wire(sock, recorded, self.deadline.left() + 5)
        return self.line

    def _open(self, owner: Any) -> None:
        import paramiko

        try:
            owner.open()
        except (paramiko.IncompatiblePeer, paramiko.MessageOrderError) as e:
            raise NotLetIn(
                f"no common ground with its SSH server, whose algorithms are too old: {one_line(str(e))}."
            ) from None
        except (paramiko.SSHException, EOFError, ConnectionError) as e:
            # Before a key was offered: too many logins at once, or an sshd that is stopping.
            said = one_line(str(e)) or "end of stream"
            raise Dropped(f"its SSH server hung up before a key was offered ({said}).") from None

    def abandon(self) -> None:
        """Close whatever is open: every wait on it ends."""
        self.given_up = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
            self.sock.close()
        if self.line is not None:
            self.line.packetizer.complete_handshake()  # its timer is a thread that would outlive this
            self.line.close()


@dataclass(slots=True)
class Verified:
    """The policy that the SSH client asks about every host key (it is given no key to compare by itself)."""

    knock: Knock

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """Accept the key, or raise HostKeyRefused."""
        del client, hostname  # the library's idea of the name; ours is what the play says
        to = self.knock.connection
        self.knock.transport.known_hosts.judge(
            Key(type=key.get_name(), blob=key.asbytes()),
            to.known_hosts,
            to.address,
            to.port,
            accept_new=to.host_keys == "accept-new",
        )


def _tune(sock: socket.socket) -> None:
    """Small messages leave at once, and a peer that is gone is noticed by the kernel, since the library does not."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    silence = getattr(socket, "TCP_USER_TIMEOUT", None)
    if silence is not None:
        sock.setsockopt(socket.IPPROTO_TCP, silence, SILENCE_MS)


def named(host: str, connection: Connection) -> str:
    """Return how errors name a host: ``web1 (deploy@192.0.2.1:22 through bastion)``."""
    where = f"{connection.user or local_user()}@{connection.address}:{connection.port}"
    return f"{host} ({where}{connection.way})"


def _network(error: OSError, to: Connection) -> str:
    if to.jump:
        return _beyond(error, to.jump[-1].name)
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens on that port. Is sshd running there?"
    if isinstance(error, socket.gaierror):
        return f"its name does not resolve ({one_line(str(error.strerror))}). Check the inventory's address."
    return f"no connection: {one_line(str(error))}."


def _beyond(error: OSError, hop: str) -> str:
    if isinstance(error, ForwardingRefused):
        return f"{hop} forwards nothing to it. Have its sshd allow that (AllowTcpForwarding, PermitOpen)."
    if isinstance(error, ConnectionRefusedError):
        return f"{hop} does not get there ({one_line(str(error))}). Is sshd up, and does its name resolve on {hop}?"
    return f"no connection from {hop}: {one_line(str(error))}."
