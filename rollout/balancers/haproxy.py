"""A backend of HAProxy, read and written through its runtime socket.

Nothing written here survives a reload or a restart; ``PoolState.generation`` tells of one, and whoever
holds members out must look. After a reload the sessions of the old process are not counted: the new
one does not know them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from rollout.balancers import tables
from rollout.balancers.runtime import DEADLINE_S, RuntimeSocket, Talk
from rollout.errors import BalancerError
from rollout.model.pool import HaproxyPool, Member, MemberState, PoolState, Rotation

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,256}")  # nothing that could begin another command
LINE_BYTES = 4000  # HAProxy takes as much as fits its buffer (16 KiB unless tuned down)
TRIES = 3
SHOWN = 20  # names in one message

# `health down` is what makes CHECKING: a server that leaves maint is up at once, on no evidence at
# all (seen on 2.6.12, also when it had been down before), until fresh checks say otherwise.
COMMANDS: Mapping[Rotation, tuple[str, ...]] = {
    Rotation.READY: ("state ready",),
    Rotation.DRAIN: ("state drain",),
    Rotation.MAINT: ("state maint",),
    Rotation.CHECKING: ("state drain", "health down"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Haproxy:
    """One backend behind one HAProxy (2.4 or newer); a ``ports.Balancer``."""

    backend: str
    socket: str = ""
    tcp: str = ""
    deadline_s: float = DEADLINE_S  # around each conversation, connecting included
    over: Talk | None = None  # how the socket is spoken to, where it is not on this machine
    seen: dict[Member, tables.Row] = field(default_factory=dict, compare=False, repr=False)  # by the last reading

    @classmethod
    def of(cls, pool: HaproxyPool, over: Talk | None = None) -> Haproxy:
        """Make the adapter of a pool."""
        return cls(backend=pool.backend, socket=pool.socket, tcp=pool.tcp, over=over)

    def read(self) -> PoolState:
        """Read every member; over one connection, so that all of it is one process's, and not one on its way out."""
        _named("backend", self.backend)
        for _ in range(TRIES):
            seen = self._state(self._socket.ask(self._shows))
            if seen is not None:
                return seen
        raise BalancerError(
            f"HAProxy at {self._socket.place} kept changing while it was read (a reload, or servers that come and go)."
            " Try again when it is over."
        )

    @property
    def _shows(self) -> str:
        """The line that a reading is made of: only the last reply may hold what applications said."""
        return f"show info;show cli level;show servers state {self.backend};show stat {self.backend} 4 -1"

    def _state(self, reply: str) -> PoolState | None:
        """Read the reply to that line; None when HAProxy is on its way out, or its servers changed meanwhile."""
        process, rest = self._process(reply)
        level, rest = tables.level(rest)
        state, rest = self._shown("show servers state", rest, tables.servers)
        stat = self._table("show stat", rest, lambda table: tables.stats(table, self.backend))
        self._remember(state)
        if process.stopping or state.keys() != stat.keys():
            return None
        members = self._parsed(lambda: _members(state, stat))
        return PoolState(generation=process.generation, members=members, read_only=self._read_only(level))

    def _read_only(self, level: str) -> str:
        """Say why it would not heed us; a level that we do not know is tried."""
        if level not in ("user", "operator"):
            return ""
        return f"HAProxy at {self._socket.place} lets us read only: its `stats socket` line must say `level admin`."

    def set(self, wanted: Mapping[Member, Rotation]) -> PoolState | None:
        """Write the members' rotation, as few lines as possible; name each that was refused.

        Where the socket is on another host what is so afterwards is read in the same round trip, and returned.
        CHECKING forces health down only where a check of the member's own would bring it up again.
        It is meant for members in MAINT: others may lose sessions by `on-marked-down`.
        """
        if not wanted:
            return None
        for name in (self.backend, *wanted):
            _named("backend" if name == self.backend else "server", name)
        unchecked = self._unchecked(wanted) if Rotation.CHECKING in wanted.values() else frozenset()
        refusals: dict[str, dict[Member, None]] = {}
        said, shown = self._say(_commands(self.backend, wanted, unchecked), self._shows if self.over else "")
        for member, reply in said:
            refusals.setdefault(reply, {})[member] = None
        if refusals:
            raise BalancerError("\n".join(self._refusal(reply, *members) for reply, members in refusals.items()))
        return self._state(shown) if shown else None

    def shut_sessions(self, member: Member, limit: int) -> None:
        """Cut at most ``limit`` sessions of a member, one by one (`shutdown sessions server` would cut all)."""
        _named("backend", self.backend)
        _named("server", member)
        self._row(member)
        with closing(self._socket.lines("show sess")) as lines:
            ids = list(islice(_session_ids(lines, self.backend, member), max(limit, 0)))
        replies, _ = self._say([(member, f"shutdown session {session}") for session in ids])
        refusals = [reply for _, reply in replies if not reply.startswith("No such session")]
        if refusals:
            raise BalancerError(self._refusal(refusals[0], member))

    @property
    def _socket(self) -> Talk:
        if self.over is not None:
            return self.over
        if bool(self.socket) == bool(self.tcp):
            raise BalancerError(f"Backend {self.backend}: name either `socket` or `tcp`, one of the two.")
        return RuntimeSocket(path=self.socket, tcp=self.tcp, deadline_s=self.deadline_s)

    def _process(self, reply: str) -> tuple[tables.Process, str]:
        """Read the reply to ``show info``; return it, and what follows."""
        info, _, rest = reply.partition("\n\n")
        return self._parsed(lambda: tables.process(info)), rest

    def _shown(self, command: str, reply: str, parse: Callable[[str], T]) -> tuple[T, str]:
        """Read a table; return it, and what follows."""
        table, _, rest = reply.partition("\n\n")
        return self._table(command, table, parse), rest

    def _table(self, command: str, table: str, parse: Callable[[str], T]) -> T:
        """Read one table."""
        if not table.strip():
            raise BalancerError(
                f"HAProxy at {self._socket.place} closed before `{command}` was answered. Is it being restarted?"
            )
        if table.startswith(("Can't find backend", "No such proxy", "No such backend")):
            raise BalancerError(self._refusal("No such backend."))
        return self._parsed(lambda: parse(table))

    def _parsed(self, parse: Callable[[], T]) -> T:
        """Parse, and say in our words when it is not what HAProxy prints."""
        try:
            return parse()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BalancerError(
                f"What listens at {self._socket.place} does not answer as HAProxy 2.4 or newer does"
                f" ({_printable(repr(error))}). Check `socket` or `tcp` in the playbook, and the version."
            ) from error

    def _unchecked(self, wanted: Mapping[Member, Rotation]) -> frozenset[Member]:
        """Find the members without a check of their own; refuse unknown ones before anything is written."""
        there = self._known()
        rows = {member: self._row(member, there) for member in wanted}
        return self._parsed(lambda: frozenset(m for m, row in rows.items() if not tables.runs_checks(row)))

    def _remember(self, state: Mapping[Member, tables.Row]) -> None:
        self.seen.clear()
        self.seen.update(state)

    def _known(self) -> Mapping[Member, tables.Row]:
        """Return the rows of the last reading where each question is a round trip; elsewhere they are read anew."""
        return self.seen if self.over is not None and self.seen else self._rows()

    def _rows(self) -> dict[Member, tables.Row]:
        command = f"show servers state {self.backend}"
        return self._shown(command, self._process(self._socket.ask(f"show info;{command}"))[1], tables.servers)[0]

    def _row(self, member: Member, rows: Mapping[Member, tables.Row] | None = None) -> tables.Row:
        """Return a member's row of `show servers state`, or raise as HAProxy would."""
        row = (self._known() if rows is None else rows).get(member)
        if row is None:
            raise BalancerError(self._refusal("No such server.", member))
        return row

    def _say(self, commands: Sequence[tuple[Member, str]], then: str = "") -> tuple[list[tuple[Member, str]], str]:
        """Say the commands, many on a line, and ``then`` behind the last of them.

        Return the members whose reply was not the empty one, and the reply to what was said then.
        """
        lines = list(_lines(commands))
        told = [";".join(command for _, command in line) for line in lines]
        told[-1:] = [f"{line};{then}" if then else line for line in told[-1:]]
        refused: list[tuple[Member, str]] = []
        rest = ""
        for line, reply in zip(lines, self._socket.ask_all(told, changes=True), strict=True):
            said, rest = self._refused(line, reply, then if line is lines[-1] else "")
            refused += said
        return refused, rest

    def _refused(
        self, line: Sequence[tuple[Member, str]], reply: str, then: str
    ) -> tuple[list[tuple[Member, str]], str]:
        """Return the members whose reply was not the empty one, and the reply to what was said behind it."""
        replies, rest = _split_replies(reply, len(line))
        if len(replies) != len(line) or (rest and not then):
            more = _split_replies(rest, rest.count("\n"))[0] if not then else []
            raise BalancerError(
                f"HAProxy at {self._socket.place} answered {len(replies) + len(more)} of {len(line)} commands for"
                f" {self.backend}/{line[0][0]} to {self.backend}/{line[-1][0]}: what took effect is unknown"
                f" until it is read. It said: {_printable(reply.strip()) or 'nothing'}"
            )
        return [(member, said) for (member, _), said in zip(line, replies, strict=True) if said], rest

    def _refusal(self, reply: str, *members: Member) -> str:
        """Say what was refused and what to do next."""
        names = [f"{self.backend}/{member}" for member in members] or [self.backend]
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        return f"HAProxy at {self._socket.place} refused {shown}: {_printable(reply)} {self._advice(reply)}"

    def _advice(self, reply: str) -> str:
        if reply.startswith("No such server"):
            return f"`server` must be the name that follows `server` in `backend {self.backend}`."
        if reply.startswith("No such backend"):
            return f"`backend` must be a name from its configuration{self._nearest_backend()}."
        if reply.startswith("Permission denied"):
            return "Its `stats socket` line must say `level admin`."
        return "Nothing more was tried with it; see HAProxy's log."

    def _nearest_backend(self) -> str:
        """Suggest a backend that is there, if that can be found out."""
        try:
            names = [line for line in self._socket.ask("show backend").splitlines() if NAME.fullmatch(line)]
        except BalancerError:
            return ""
        near = difflib.get_close_matches(self.backend, names, n=1) or names[:1]
        return f"; did you mean '{near[0]}'?" if near else ""


def _named(kind: str, name: str) -> None:
    """Refuse a name that could carry more than a name to the socket."""
    if not NAME.fullmatch(name):
        raise BalancerError(
            f"E_LB_NAME: '{_printable(name)}' is no {kind} name. HAProxy would read more than a name in it."
            " Use letters, digits, '_', '.', ':' and '-'."
        )


def _members(state: Mapping[Member, tables.Row], stat: Mapping[Member, tables.Row]) -> dict[Member, MemberState]:
    return {member: tables.member_state(row, stat[member]) for member, row in state.items()}


def _commands(
    backend: str, wanted: Mapping[Member, Rotation], unchecked: frozenset[Member]
) -> list[tuple[Member, str]]:
    """List the commands for each member; nothing would bring an unchecked one back from `health down`."""
    return [
        (member, f"set server {backend}/{member} {command}")
        for member, rotation in wanted.items()
        for command in COMMANDS[rotation]
        if command != "health down" or member not in unchecked
    ]


def _lines(commands: Iterable[tuple[Member, str]]) -> Iterator[list[tuple[Member, str]]]:
    """Cut the commands into lines that fit HAProxy's buffer."""
    line: list[tuple[Member, str]] = []
    size = 0
    for member, command in commands:
        if line and size + len(command) + 1 > LINE_BYTES:
            yield line
            line, size = [], 0
        line.append((member, command))
        size += len(command) + 1
    if line:
        yield line


def _split_replies(reply: str, count: int) -> tuple[list[str], str]:
    """Split at the empty lines that end the first so many replies; success is an empty text."""
    replies: list[str] = []
    while len(replies) < count:
        said, ended, rest = reply.partition("\n") if reply.startswith("\n") else reply.partition("\n\n")
        if not ended:
            break
        replies.append(" ".join(said.split("\n")).strip())
        reply = rest
    return replies, reply


def _session_ids(lines: Iterable[str], backend: str, member: Member) -> Iterator[str]:
    """Pick the ids of a member's sessions out of `show sess`."""
    for line in lines:
        session, _, rest = line.partition(": ")
        fields = rest.split()
        if f"be={backend}" in fields and f"srv={member}" in fields and re.fullmatch(r"0x[0-9a-f]+", session):
            yield session


def _printable(text: str) -> str:
    """Make what the other side said fit for a message: one line, no controls, 200 characters at most."""
    return "".join(c if c.isprintable() else " " for c in text[:200])
