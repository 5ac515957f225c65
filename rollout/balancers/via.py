"""A balancer's runtime socket on another host, spoken to over SSH: one round trip for each reading or writing.

What is said is an Op (posix/converse.py). Writes go under the host's lock and fence, each with a number of its own,
so that one which is delivered late can undo nothing; therefore they go out one after the other.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from rollout.balancers.runtime import DEADLINE_S
from rollout.errors import BalancerDoubt, BalancerError, BalancerFenced, OutcomeUnknown, Unreachable
from rollout.model.host import HostName
from rollout.model.release import Site
from rollout.ports import Raw, Session
from rollout.posix import frame
from rollout.posix.converse import MOST_BYTES
from rollout.posix.layout import HOME
from rollout.posix.op import AskBalancer, Close, Epoch, Op, Reply, Settle, TellBalancer
from rollout.posix.sanitise import line as inert

CLOSE_S = 10.0
GRACE_S = 5.0  # over the time that the conversation itself may take


class Connecting(Protocol):
    """Where sessions come from: one for each host, opened again when it was dropped."""

    def get(self, host: HostName) -> Session:
        """Return the host's session; raise Unreachable."""

    def drop(self, host: HostName, session: Session) -> None:
        """Forget a session that is of no more use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """On whose behalf balancers are written: compared on their hosts. Number 0 never writes."""

    environment: str
    app: str
    rollout: str
    number: int = 0
    over: tuple[str, ...] = ()  # rollouts known to have ended


@dataclass(slots=True, kw_only=True)
class ViaHost:
    """A host that balancers are reached through. ``tool``: what speaks to sockets there, once that is known."""

    host: HostName
    connecting: Connecting
    fence: Fence
    tool: str = ""
    _sequence: int = 0
    _open: bool = False  # its pair, since something was written
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, deed: AskBalancer | TellBalancer, become: str, timeout_s: float) -> Reply:
        """Say it, writes one after the other; raise BalancerError when nothing is proven to have been answered."""
        if isinstance(deed, AskBalancer):
            return self._said(deed, become, timeout_s, 0)
        with self._writing:
            self._sequence += 1
            self._open = True
            return self._said(deed, become, timeout_s, self._sequence)

    def enter(self, timeout_s: float) -> Reply:
        """Have the lock once under this rollout's number: what a controller that is gone has said here is over then.

        Raises BalancerError when the host cannot be asked.
        """
        with self._writing:
            self._sequence += 1
            self._open = True
            return self._said(Settle(op="-"), "", timeout_s, self._sequence)

    def leave(self) -> None:
        """Close the pair, where something was written: the rollout is over. Where that fails, the store knows it."""
        with self._writing, suppress(BalancerError):
            if self._open:
                self._open = False
                self._sequence += 1
                self._said(Close(), "", CLOSE_S, self._sequence)

    def _said(
        self, deed: AskBalancer | TellBalancer | Close | Settle, become: str, timeout_s: float, sequence: int
    ) -> Reply:
        fence = self.fence
        op = Op(
            id=f"{fence.rollout}.{deed.kind}.{sequence}",
            epoch=Epoch(
                number=fence.number,
                rollout=fence.rollout,
                sequence=sequence,
                over=fence.over,
                closing=isinstance(deed, Close),
            ),
            site=Site(root=HOME, app=fence.app, environment=fence.environment),
            do=deed if isinstance(deed, Close | Settle) else replace(deed, tool=self.tool),
            become=become,
            timeout_s=timeout_s,
        )
        nonce = secrets.token_hex(16)
        raw = self._sent(frame.render(op, nonce), nonce, timeout_s + GRACE_S)
        reply = frame.parse(nonce, raw.stdout)
        if raw.truncated or reply is None:
            why = "answered with more than can be taken in" if raw.truncated else "did not answer to the end"
            raise BalancerDoubt(f"{self.host} {why}: what took effect is unknown until it is read.")
        self.tool = reply.fields.get("tool", self.tool)[:16]
        return reply

    def _sent(self, script: bytes, nonce: str, deadline_s: float) -> Raw:
        try:
            session = self.connecting.get(self.host)
        except Unreachable as error:
            raise BalancerError(f"its host cannot be reached: {inert(str(error))}") from error
        try:
            return session.run(script, None, deadline_s=deadline_s, until=f"{nonce} end ".encode())
        except (Unreachable, OutcomeUnknown) as error:
            self.connecting.drop(self.host, session)
            raise BalancerDoubt(f"its host was asked, and did not answer: {inert(str(error))}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ViaSocket:
    """A runtime socket on another host; says and returns what RuntimeSocket does."""

    via: ViaHost
    path: str = ""
    tcp: str = ""
    become: str = ""
    deadline_s: float = DEADLINE_S

    @property
    def place(self) -> str:
        """Name the socket for messages."""
        return f"{self.path or f'tcp {self.tcp}'} on {self.via.host}"

    @property
    def tool(self) -> str:
        """Return what speaks to it, as far as is known."""
        return {"nc": "nc -U"}.get(self.via.tool, self.via.tool) if self.path else self.via.tool

    def ask(self, line: str) -> str:
        """Say one line that changes nothing."""
        return self.ask_all((line,))[0]

    def lines(self, line: str) -> Generator[str, None, None]:
        """Say one line and yield the reply line by line; one that is too long ends early."""
        yield from self._answers((line,), changes=False)[0].splitlines()

    def ask_all(self, lines: Sequence[str], *, changes: bool = False) -> list[str]:
        """Say lines in one round trip; return each one's whole reply, or raise BalancerError."""
        answers = self._answers(lines, changes=changes)
        if any(len(answer) >= MOST_BYTES for answer in answers):
            raise BalancerError(
                f"What listens at {self.place} answered with more than {MOST_BYTES >> 10} KiB: either it is not"
                " HAProxy, or the backend has more servers than can be read over SSH. Check `socket` and `backend`."
            )
        return answers

    def _answers(self, lines: Sequence[str], *, changes: bool) -> list[str]:
        kind = TellBalancer if changes else AskBalancer
        deed = kind(lines=tuple(lines), socket=self.path, tcp=self.tcp, patience_s=self.deadline_s)
        try:
            reply = self.via.tell(deed, self.become, self.deadline_s * (len(lines) + 1))
        except BalancerError as error:
            raise type(error)(f"HAProxy at {self.place}: {error}") from error
        if reply.status != "done":
            raise self._refused(reply)
        answers, complaints = _told(reply.tail)
        if len(answers) != len(lines) or not all(answers):
            raise BalancerError(f"HAProxy at {self.place} {self._advice(complaints)}")
        return answers

    def _refused(self, reply: Reply) -> BalancerError:
        said = inert(f"{self.place}: {reply.code}: {reply.summary}")
        return BalancerFenced(said) if reply.code == "E_FENCED" else BalancerError(said)

    def _advice(self, complaints: Sequence[str]) -> str:
        """Say what to do about a socket that did not answer."""
        words = [c for c in dict.fromkeys(complaints) if not c.startswith("status ")]
        said, user = inert(" ".join(words))[:300], self.become or "this user"
        for word, advice in _ADVICE:
            if word in said:
                return f"cannot be asked ({said}): {advice.format(user=user)}"
        if said and not any(word in said for word in _LATE):
            return f"cannot be asked: {said}. It was tried with {self.tool or 'nothing'}."
        return f"did not answer within {self.deadline_s:g} s. Is it alive, and is the socket its own?"


_LATE = ("Alarm clock", "timed out", "timeout")  # as perl's shell, python and nc say it
_ADVICE = (
    ("sudo", "may {user} run it there? `sudo -n` must not ask for a password; see `become` of the balancer."),
    ("No such file", "there is no such socket. Is HAProxy running, with this path in a `stats socket` line?"),
    (
        "Permission denied",
        "{user} may not open it. Add the user to the socket's group (`stats socket … group …`), or write"
        " `become: {{ user: root }}` into the balancer's entry.",
    ),
    ("refused", "nobody listens there. Is HAProxy running?"),
)


def _told(tail: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take the tail apart: an answer for each line, and what was complained of."""
    answers: list[list[str]] = []
    complaints: list[str] = []
    for line in tail:
        if line == "#":
            answers.append([])
        elif line.startswith("|") and answers:
            answers[-1].append(line[1:])
        else:
            complaints.append(line)
    return ["".join(f"{said}\n" for said in answer) for answer in answers], complaints
