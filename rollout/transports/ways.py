"""Sessions to jump hosts: one for each, which all hosts behind it share, so that each sees one login of a rollout.

One that died is opened anew by whoever comes next; those who come meanwhile wait for the same login, and hear of the
same failure. One that nobody goes through any more is closed, unless a rollout keeps it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rollout.errors import HostKeyRefused, RolloutError, Unreachable
from rollout.model.host import Connection
from rollout.transports.session import SshSession


@dataclass(slots=True, eq=False)
class Shared:
    """A session to a jump host, or the login that is to become one, and how many go through it."""

    coming: Future[SshSession] = field(default_factory=Future)
    users: int = 0

    @property
    def usable(self) -> bool:
        """Whether it may be gone through, as far as is known: one that is still coming may."""
        return not self.coming.done() or (self.coming.exception() is None and self.coming.result().alive)

    def close(self) -> None:
        """Close the session, if there ever was one."""
        if self.coming.done() and self.coming.exception() is None:
            self.coming.result().close()


@dataclass(slots=True, kw_only=True)
class Passage:
    """A use of a jump host's session. ``took_s``: how long its login was waited for."""

    ways: Ways
    shared: Shared
    session: SshSession
    took_s: float

    def leave(self) -> None:
        """Go through it no more; to be called once."""
        self.ways.leave(self.shared)


@dataclass(slots=True)
class Ways:
    """The jump hosts that are logged in to, by how they are reached."""

    _shared: dict[Connection, Shared] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _keepers: int = 0

    def through(self, to: Connection, login: Callable[[], SshSession]) -> Passage:
        """Return a use of the session that there is, or that ``login`` makes; raise what that raises."""
        began = time.monotonic()
        shared, first = self._joined(replace(to, connect_timeout_s=0))
        if first:
            _settle(shared.coming, login)
        try:
            session = shared.coming.result()
        except RolloutError as error:
            self.leave(shared)
            kind = HostKeyRefused if isinstance(error, HostKeyRefused) else Unreachable
            raise kind(str(error)) from None
        except BaseException:
            self.leave(shared)
            raise
        took_s = min(session.took_s, time.monotonic() - began)
        return Passage(ways=self, shared=shared, session=session, took_s=took_s)

    def _joined(self, to: Connection) -> tuple[Shared, bool]:
        """Return what is shared of a jump host, and whether it is on us to log in."""
        with self._lock:
            found = self._shared.get(to)
            first = found is None or not found.usable
            shared = self._shared[to] = Shared() if found is None or first else found
            shared.users += 1
        if found is not None and first and not found.users:  # it was kept, and died
            found.close()
        return shared, first

    def leave(self, shared: Shared) -> None:
        """Note that somebody goes through it no more; close what nobody needs."""
        with self._lock:
            shared.users -= 1
            idle = not shared.users and not (self._keepers and shared.usable)
            if idle:
                self._shared = {to: one for to, one in self._shared.items() if one is not shared}
        if idle:
            shared.close()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what is open for as long as a rollout goes on, though all hosts behind it may be away for a while."""
        with self._lock:
            self._keepers += 1
        try:
            yield
        finally:
            for shared in self._unkept():
                shared.close()

    def _unkept(self) -> list[Shared]:
        """Let go as one of the keepers, and return what nobody needs from here on."""
        with self._lock:
            self._keepers -= 1
            idle = [one for one in self._shared.values() if not one.users and not self._keepers]
            self._shared = {to: one for to, one in self._shared.items() if one not in idle}
        return idle


def _settle(coming: Future[SshSession], login: Callable[[], SshSession]) -> None:
    try:
        coming.set_result(login())
    except BaseException as error:
        coming.set_exception(error)
