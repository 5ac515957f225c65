"""The real outside: effects performed with blocking calls through the ports."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, BinaryIO

from rollout.errors import NoTrailer, OutcomeUnknown, RolloutError, Unreachable, spent
from rollout.model.check import CheckSpec, Probed
from rollout.model.host import Connection, HostName
from rollout.model.pool import PoolName
from rollout.perform.effects import (
    Command,
    Effect,
    Mailbox,
    Probe,
    ReadPool,
    Receive,
    SetPool,
    ShutSessions,
    Sleep,
    Tell,
    Together,
)
from rollout.perform.here import run_here
from rollout.ports import Balancer, Check, Raw, Session, Transport
from rollout.posix import frame
from rollout.posix.op import READ_ONLY, Close, Op, Reply
from rollout.posix.sanitise import line as inert
from rollout.secrets.keyring import Keyring, SecretFault, keyring

CLOSE_S = 10.0
WORDS = 160  # of what a shell said last
GRACE_S = 5.0  # over a step's own time, for its lock and its trailer to come through


class Closed(RolloutError):
    """The sessions were closed: nothing more is said to anybody."""

    exit_code = 130


Way = tuple[HostName, Connection]  # a host, and how it is reached


@dataclass(slots=True, kw_only=True)
class Sessions:
    """One connection per host for the whole rollout, opened when first needed and again when lost.

    ``connections`` are those of one play; two plays that reach a host in the same way share its session.
    """

    transports: Callable[[str], Transport]
    connections: Mapping[HostName, Connection]
    live: dict[Way, Session] = field(default_factory=dict)
    locks: dict[Way, threading.Lock] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def closed(self) -> bool:
        """Whether none is opened any more."""
        return self.over.is_set()

    def of(self, connections: Mapping[HostName, Connection]) -> Sessions:
        """Return the same sessions, for another play's connections."""
        return replace(self, connections=connections)

    def get(self, host: HostName) -> Session:
        """Return the host's session; raise Unreachable when there is none to be had."""
        connection = self.connections[host]
        way = (host, connection)
        with self.guard:
            lock = self.locks.setdefault(way, threading.Lock())
        with lock:
            if self.closed:
                raise Closed("sessions are closed")
            if way not in self.live:
                self.live[way] = self._opened(host, connection)
            if self.closed:  # while it was opened: whoever closed them all may not have seen it
                _shut(self.live.pop(way, None))
                raise Closed("sessions are closed")
            return self.live[way]

    def _opened(self, host: HostName, connection: Connection) -> Session:
        try:
            return self.transports(connection.transport).open(host, connection)
        except (OSError, RuntimeError, MemoryError) as error:
            if not spent(error):
                raise
            raise Unreachable(f"{host}: no connection can be made: this machine has no more {spent(error)}") from error

    def drop(self, host: HostName, session: Session) -> None:
        """Forget a session that is of no more use."""
        way = (host, self.connections[host])
        if self.live.get(way) is session:
            del self.live[way]
        _shut(session)

    def close(self) -> None:
        """Close every session of every play, and open none any more."""
        self.over.set()
        for way, session in list(self.live.items()):
            self.live.pop(way, None)
            _shut(session)


def _shut(session: Session | None) -> None:
    """Close a session that nobody needs. Where that fails, what went wrong before is told, and the others close."""
    if session is not None:
        with suppress(Exception):
            session.close()


@dataclass(slots=True, kw_only=True)
class Outside:
    """Performs one effect at a time for whichever thread calls; knows sessions, balancers and probes."""

    sessions: Sessions
    delegates: Sessions  # to hosts that only run tasks
    balancers: Mapping[PoolName, Balancer]
    probe: Callable[[CheckSpec, Session | None, Connection], Check]
    payload: Callable[[Op], tuple[BinaryIO, int] | Reply | None]  # a Reply: why it is not said at all
    threads: Executor
    holding: Callable[[], None] = lambda: None  # raises BalancerFenced where the lease is another's by now
    entering: Mapping[HostName, Callable[[float], Reply]] = field(default_factory=dict)  # the lock of balancers' hosts
    parting: Sequence[Callable[[], None]] = ()  # what closes the pairs of the balancers' hosts
    unfenced: Collection[PoolName] = ()  # pools that are written from here
    keys: Keyring = field(default_factory=keyring)
    unclosed: dict[tuple[HostName, str], tuple[Sessions, Op]] = field(default_factory=dict)  # by host and root

    def perform(self, effect: Effect) -> Any:
        """Perform an effect and return its answer, or raise: with the secrets in what is sent, and in no answer."""
        if self.sessions.closed:
            raise Closed("sessions are closed")
        try:
            return self.keys.hidden(self._performed(effect))
        except SecretFault as fault:
            return _unsent(effect, str(fault))
        except Exception as error:
            self.keys.hidden(error)
            raise

    def _performed(self, effect: Effect) -> Any:
        match effect:
            case Tell(host=host, op=op, delegate=delegate):
                return self.tell(self.delegates if delegate else self.sessions, host, self.keys.of_op(op))
            case Probe(host=host, check=check):
                return self.ask(host, self.keys.of_check(check))
            case ReadPool(pool=pool):
                return self.balancers[pool].read()
            case SetPool(pool=pool, wanted=wanted):
                return self._writable(pool).set(wanted)
            case ShutSessions(pool=pool, member=member, limit=limit):
                return self._writable(pool).shut_sessions(member, limit)
            case Command(task=task, facts=facts):
                return run_here(self.keys.of_task(task), facts)
            case Sleep(seconds=seconds):
                return time.sleep(seconds)
            case Receive(mailbox=mailbox, timeout_s=timeout_s):
                return receive(mailbox, timeout_s)
            case Together(effects=effects):
                return self.together(effects)
        raise TypeError(f"no such effect: {effect}")

    def _writable(self, pool: PoolName) -> Balancer:
        """Return a balancer to write to; where no host of its own keeps a fence, the lease is read first."""
        if pool in self.unfenced:
            self.holding()
        return self.balancers[pool]

    def tell(self, sessions: Sessions, host: HostName, op: Op) -> Reply:
        """Say an Op over the host's session; what did not reach it is Unreachable, what may have is unknown."""
        session = sessions.get(host)
        nonce = secrets.token_hex(16)
        payload = self.payload(op)
        if isinstance(payload, Reply):
            return payload
        stream, size = payload if payload is not None else (None, 0)
        script = frame.render(op, nonce, size)
        try:
            raw = session.run(script, stream, deadline_s=op.timeout_s + GRACE_S, until=f"{nonce} end ".encode())
        except (Unreachable, OutcomeUnknown):
            sessions.drop(host, session)
            raise
        except (OSError, RuntimeError, MemoryError) as error:
            sessions.drop(host, session)
            if not spent(error):
                raise
            raise OutcomeUnknown(f"this machine has no more {spent(error)}") from error
        finally:
            if stream is not None:
                stream.close()
        reply = frame.parse(nonce, raw.stdout)
        if reply is None:
            raise NoTrailer(_untold(raw))
        self._entered(sessions, host, op)
        return reply

    def _entered(self, sessions: Sessions, host: HostName, op: Op) -> None:
        """Remember where this rollout's pair is open."""
        if op.epoch.closing:
            self.unclosed.pop((host, op.site.root), None)
        elif not isinstance(op.do, READ_ONLY):
            self.unclosed[host, op.site.root] = (sessions, op)

    def leave(self) -> None:
        """Close the pair wherever it is open: the rollout is over. Where that fails, the store knows it too."""
        hosts = [partial(self._closed, where) for where in self.unclosed]
        for _ in self.threads.map(lambda close: close(), [*hosts, *self.parting]):
            pass

    def _closed(self, where: tuple[HostName, str]) -> None:
        sessions, last = self.unclosed[where]
        epoch = replace(last.epoch, sequence=last.epoch.sequence + 1, closing=True)
        op = replace(last, id=f"{last.id}.close", epoch=epoch, do=Close(), timeout_s=CLOSE_S)
        with suppress(RolloutError):
            self.tell(sessions, where[0], op)

    def ask(self, host: HostName, check: CheckSpec) -> Probed:
        """Probe a host from where the check says; over a new connection where the old one turns out to be lost."""
        seen = self.asked_once(host, check)
        return seen if seen.reachable else self.asked_once(host, check)

    def asked_once(self, host: HostName, check: CheckSpec) -> Probed:
        """Probe a host once; forget a session that proves to be of no more use."""
        connection = self.sessions.connections[host]
        session: Session | None = None
        try:
            if getattr(check, "vantage", "host") == "host":
                session = self.sessions.get(host)
            seen = self.probe(check, session, connection).probe(getattr(check, "timeout_s", 5.0))
        except Unreachable as error:
            return Probed(ok=False, reachable=False, summary=str(error))
        if not seen.reachable and session is not None:
            self.sessions.drop(host, session)
        return seen

    def together(self, effects: tuple[Effect, ...]) -> tuple[Any, ...]:
        """Perform several at once; what one raises is its answer."""
        if len(effects) == 1:
            return (self.caught(effects[0]),)
        try:
            return tuple(self.threads.map(self.caught, effects))
        except RuntimeError as error:
            if not spent(error):
                raise
            return tuple(map(self.caught, effects))  # one after the other: they are questions

    def caught(self, effect: Effect) -> Any:
        """Perform one; return what it raises."""
        try:
            return self.perform(effect)
        except Exception as error:
            return error


def _unsent(effect: Effect, why: str) -> Reply | Probed:
    """Say that something was not sent: its secret cannot be had."""
    if isinstance(effect, Probe):
        return Probed(ok=False, reachable=False, summary=why)
    return Reply(status="refused", code="E_SECRET", summary=why.removeprefix("E_SECRET: "))


def _untold(raw: Raw) -> str:
    """Say how a command ended that did not say how its step went, with its own last words."""
    ended = "was killed" if raw.exit_status is None else f"exit status {raw.exit_status}"
    lines = [line for line in (raw.stderr or raw.stdout).split(b"\n") if line.strip()]
    words = inert(lines[-1].decode("utf-8", "replace"))[:WORDS] if lines else ""
    said = f"; it said: {words}" if words else ""
    return f"the step ended without its trailer ({ended}{said})"


def receive(mailbox: Mailbox, timeout_s: float) -> tuple[Any, ...]:
    """Wait for messages; return all that are there, or nothing when the time is over."""
    here = threading.Event()
    mailbox.wake = here.set
    if not mailbox.waiting:
        here.wait(min(timeout_s, threading.TIMEOUT_MAX))
    found = []
    while mailbox.waiting:
        found.append(mailbox.waiting.popleft())
    return tuple(found)
