"""The store: what was done, what is held, and what is known of each release."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial

from sqlalchemy import ColumnElement, Connection, select

from rollout.errors import Fenced, StoreError
from rollout.model.event import RolloutStarted
from rollout.model.host import HostName
from rollout.store import leasing, ordering, owned, pins
from rollout.store.codec import unicode
from rollout.store.database import Database
from rollout.store.journal import StoredJournal
from rollout.store.leasing import Hold
from rollout.store.place import database_at
from rollout.store.rows import (
    Lease,
    OrderKind,
    StoredDrain,
    StoredOrder,
    StoredOwn,
    StoredRelease,
    StoredRollout,
    StoredSignature,
)
from rollout.store.schema import drains, leases, reached, releases, rollouts, signed
from rollout.store.standing import standing


def open_store(url_or_path: str, *, create: bool = True, now: Callable[[], str] | None = None) -> Store:
    """Open the state at a path, ``sqlite:///…`` or ``postgresql://…``; made where missing unless ``create`` is false.

    Raises InputError for a kind of store that there is none of, StoreError for all else.
    """
    return Store(database_at(url_or_path, create=create), now)


class Store:
    """The state of every rollout. Raises StoreError; ``take`` and ``retake`` also Held."""

    def __init__(
        self, database: Database, now: Callable[[], str] | None = None, closing: Callable[[], None] = lambda: None
    ) -> None:
        """Keep the database; ``now`` gives the time of records and leases, where it is not the database's."""
        self._closing = closing
        self.database, self.now = database, now or database.now
        self._holds: dict[str, Hold] = {}  # by rollouts that this process took

    @property
    def place(self) -> str:
        """Name where it is, for messages."""
        return self.database.place

    def close(self) -> None:
        """Close the database, and the way to it."""
        self.database.close()
        self._closing()

    # --- leases

    def take(
        self,
        environment: str,
        apps: str | Iterable[str],
        rollout: str,
        holder: str,
        above: int = 0,
        silent: Collection[str] = (),
    ) -> int:
        """Take the leases for a new rollout of these apps; return the epoch's number. Raise Held, naming the other.

        ``above``: the number is greater than this one too, which hosts have seen from a state that was lost.
        ``silent``: heartbeats of holders that are known to have been silent for long enough since.
        """
        wanted = sorted({apps} if isinstance(apps, str) else set(apps))
        take = partial(leasing.take, environment=environment, apps=wanted, rollout=rollout, holder=holder, above=above)
        return self._taken(rollout, lambda connection: take(connection, now=self.now(), silent=silent))

    def ahead(self, rollout: str) -> str:
        """Return the heartbeat of a rollout's holder that is yet to come and tells nothing of it, or ""."""
        with self.database.reading(fresh=True) as connection:
            return leasing.ahead(connection, rollout, self.now())

    def retake(self, rollout: str, holder: str, silent: str = "") -> int:
        """Take an unfinished rollout over, under a higher number; Held while its process may live.

        ``silent``: the heartbeat of a holder that is known to have been silent for long enough since.
        """
        return self._taken(rollout, lambda connection: leasing.retake(connection, rollout, holder, self.now(), silent))

    def _taken(self, rollout: str, take: Callable[[Connection], int]) -> int:
        """Take leases; where the answer was lost, see whether they are this process's all the same."""
        try:
            hold = self.database.write(lambda connection: leasing.taking(connection, rollout, take))
        except StoreError:
            with suppress(StoreError), self.database.reading(fresh=True) as connection:
                hold = leasing.hold_of(connection, rollout, leasing.mine(connection, rollout))
                if hold.number > self._hold(rollout).number:
                    self._holds[rollout] = hold
                    return hold.number
            raise
        self._holds[rollout] = hold
        self.database.expect_appends()
        return hold.number

    def _hold(self, rollout: str) -> Hold:
        """Return what this process took of a rollout."""
        return self._holds.get(rollout, Hold())

    def release(self, rollout: str) -> None:
        """Give the lease back. An unfinished rollout holds its app all the same."""
        hold = self._holds.pop(rollout, None)
        if hold is not None:
            self.database.write(lambda connection: leasing.release(connection, rollout, hold))

    def heartbeat(self, rollout: str) -> None:
        """Say that this process lives; raise Fenced when another took the rollout over."""
        hold = self._hold(rollout)

        def beat(connection: Connection) -> bool:
            ours = leasing.beat(connection, rollout, hold, self.now())
            return ours or leasing.went_back(connection, hold, self.now())

        if not self.database.write(beat):
            raise _fenced(rollout)

    def holds(self, rollout: str) -> bool:
        """Say whether the lease is still this process's, or at least nobody else's by now: read anew."""
        hold = self._hold(rollout)
        with self.database.reading(fresh=True) as connection:
            return leasing.holds(connection, rollout, hold) or leasing.went_back(connection, hold, self.now())

    def insist(self, rollout: str) -> None:
        """Raise Fenced where the lease is another's by now."""
        if not self.holds(rollout):
            raise _fenced(rollout)

    def lease(self, environment: str, app: str) -> Lease:
        """Return who holds an app; ``rollout`` is empty when nobody does."""
        with self.database.reading() as connection:
            return leasing.lease_of(connection, environment, app)

    # --- journals and history

    def journal(self, rollout: str) -> StoredJournal:
        """Return the journal of a rollout. It can be appended to only by the process that took it."""
        return StoredJournal(self.database, rollout, self.now, self._hold(rollout))

    def rollouts(
        self, environment: str | None = None, app: str | None = None, limit: int = 50
    ) -> tuple[StoredRollout, ...]:
        """Return the newest rollouts first."""
        wanted = [] if environment is None else [rollouts.c.environment == environment]
        with self.database.reading() as connection:
            found = _rollouts(connection, *wanted)
        return tuple(r for r in found if app is None or app in r.app.split(","))[:limit]

    def find(self, id_or_prefix: str) -> StoredRollout:
        """Return the one rollout that is meant; StoreError says why there is none (B92)."""
        with self.database.reading() as connection:
            found = _rollouts(connection, rollouts.c.id.startswith(id_or_prefix, autoescape=True))
            exact = [r for r in found if r.id == id_or_prefix] or found
            if len(exact) == 1 and id_or_prefix:
                return exact[0]
            raise StoreError(_not_one(connection, id_or_prefix, exact, self.place))

    def knows(self, rollout: str) -> bool:
        """Say whether a rollout of exactly this id is on record."""
        with self.database.reading() as connection:
            return bool(_rollouts(connection, rollouts.c.id == rollout))

    def unfinished(self, environment: str, app: str) -> StoredRollout | None:
        """Return the rollout of this app that has no end yet."""
        with self.database.reading() as connection:
            found = _rollouts(connection, rollouts.c.environment == environment, rollouts.c.finished == "")
        return next((r for r in found if app in r.app.split(",")), None)

    def ended(self, environment: str, app: str, limit: int = 20) -> tuple[str, ...]:
        """Return the newest rollouts of this app that have ended: whatever a host says, these are over."""
        return tuple(r.id for r in self.rollouts(environment, app, limit) if r.finished)

    def reached(self, environment: str, app: str) -> dict[str, int]:
        """Return the newest epoch's number that each host of an app is known to have seen."""
        mine = (reached.c.environment == environment, reached.c.app == app)
        with self.database.reading() as connection:
            return {r.host: r.number for r in connection.execute(select(reached.c.host, reached.c.number).where(*mine))}

    def hosts(self, environment: str) -> frozenset[str]:
        """Return the hosts that a rollout of any app is known to have reached in an environment."""
        with self.database.reading() as connection:
            found = connection.execute(select(reached.c.host).where(reached.c.environment == environment).distinct())
            return frozenset(row.host for row in found)

    # --- orders to a rollout that is at work

    def order(self, rollout: str, kind: OrderKind, by: str, reason: str = "") -> int:
        """Leave an order to a rollout; return its number. StoreError when it has ended."""
        return self.database.write(lambda c: ordering.give(c, rollout, kind, by, unicode(reason), self.now()))

    def orders(self, rollout: str, after: int = 0) -> tuple[StoredOrder, ...]:
        """Return the orders to a rollout that came after this one, in order."""
        with self.database.reading(fresh=True) as connection:
            return ordering.given(connection, rollout, after)

    # --- what people did by hand

    def drained(self, environment: str | None = None, app: str | None = None) -> tuple[StoredDrain, ...]:
        """Return the hosts that a person drained through us and did not register since."""
        wanted = [] if environment is None else [drains.c.environment == environment]
        wanted += [] if app is None else [drains.c.app == app]
        with self.database.reading() as connection:
            rows = connection.execute(select(drains).where(*wanted).order_by(drains.c.at, drains.c.host))
            return tuple(StoredDrain(**row._mapping) for row in rows)

    def standing(self, environment: str, app: str) -> tuple[str, ...]:
        """Return the releases that the whole fleet was on, the newest last; going back takes the later ones away."""
        history = self.rollouts(environment, app, 1_000_000)
        return standing(reversed(history), app, lambda rollout: self._hosts_of(rollout.id, app))

    def _hosts_of(self, rollout: str, app: str) -> frozenset[HostName]:
        """Return the hosts of an app that a rollout was about, none where its plan can be read no more."""
        with suppress(StoreError):
            begun = self.journal(rollout).first()
            plays = begun.plan.plays if isinstance(begun, RolloutStarted) else ()
            return frozenset(host for play in plays if play.app == app for host in play.concerned)
        return frozenset()

    # --- policies

    def policy(self, environment: str) -> tuple[str, str]:
        """Return the digest and the text of the policy that an environment is held to, both "" where there is none."""
        with self.database.reading() as connection:
            return pins.pinned(connection, environment)

    def pin(self, environment: str, digest: str, text: str, by: str) -> None:
        """Hold an environment to a policy from now on."""
        self.database.write(lambda c: pins.pin(c, environment, digest, text, unicode(by), self.now()))

    # --- releases

    def release_named(self, environment: str, app: str, release: str) -> StoredRelease | None:
        """Return what is on record for a release id."""
        return next(iter(self._releases(environment, app, releases.c.id == release)), None)

    def releases_by_digest(self, environment: str, app: str, artifact: str) -> tuple[StoredRelease, ...]:
        """Return the releases of an artifact's digest, oldest first: known content keeps its id."""
        return self._releases(environment, app, releases.c.artifact == artifact)

    def condemned(self, environment: str, app: str) -> frozenset[str]:
        """Return the ids of releases that were reverted for a cause of their own."""
        return frozenset(r.id for r in self._releases(environment, app, releases.c.verdict == "bad"))

    def signed(self, environment: str, app: str) -> tuple[StoredSignature, ...]:
        """Return who answered for what was ever rolled out of an app, the newest statement last."""
        named = [signed.c[name] for name in ("rollout", "release", "of", "identity", "key", "created")]
        mine = (signed.c.environment == environment, signed.c.app == app, rollouts.c.id == signed.c.rollout)
        wanted = select(*named, rollouts.c.end).where(*mine).order_by(signed.c.created, rollouts.c.number)
        with self.database.reading() as connection:
            return tuple(StoredSignature(**row._mapping) for row in connection.execute(wanted))

    def manifest_of(self, environment: str, app: str, release: str) -> str:
        """Return the manifest's digest on record, "" when there is none: only such a release is a way back."""
        found = self.release_named(environment, app, release)
        return found.manifest if found else ""

    def owned(self, environment: str, app: str, names: Collection[str]) -> dict[str, dict[str, StoredOwn]]:
        """Return what these releases have of their own, by release and host; nothing of one that is equal on all."""
        if not names:
            return {}
        with self.database.reading() as connection:
            return owned.owned(connection, environment, app, names)

    def key(self) -> bytes:
        """Return the key of this state, which seals what is secret in the manifests of hosts."""
        self.database.ensure_key()
        with self.database.reading() as connection:
            return owned.key_of(connection)

    def releases(self, environment: str, app: str) -> tuple[StoredRelease, ...]:
        """Return every release of an app, oldest first."""
        return self._releases(environment, app)

    def _releases(self, environment: str, app: str, *wanted: ColumnElement[bool]) -> tuple[StoredRelease, ...]:
        """Return releases of an app, oldest first."""
        mine = (releases.c.environment == environment, releases.c.app == app, *wanted)
        with self.database.reading() as connection:
            rows = connection.execute(select(releases).where(*mine).order_by(releases.c.at, releases.c.id))
            return tuple(StoredRelease(**row._mapping) for row in rows)


def _fenced(rollout: str) -> Fenced:
    return Fenced(
        f"E_FENCED: another process took rollout {rollout} over, or its app: this one changes nothing more. "
        "See: rollout status"
    )


def _rollouts(connection: Connection, *wanted: ColumnElement[bool]) -> tuple[StoredRollout, ...]:
    """Return rollouts, the newest first: by the order in which they came, which no clock can change."""
    order = (rollouts.c.number.desc(), rollouts.c.started.desc(), rollouts.c.id.desc())
    newest = select(rollouts).where(*wanted).order_by(*order)
    return tuple(StoredRollout(**row._mapping) for row in connection.execute(newest))


def _not_one(
    connection: Connection, asked: str, found: list[StoredRollout] | tuple[StoredRollout, ...], path: str
) -> str:
    """Say why what was asked for names no single rollout, and what to type."""
    if found:
        names = ", ".join(r.id for r in found[:5])
        return f"E_AMBIGUOUS: {asked!r} begins more than one rollout: {names}. Write more of the id."
    held = connection.execute(select(leases).where(leases.c.rollout == asked)).first() if asked else None
    if held is not None:
        return (
            f"E_NEVER_BEGAN: rollout {asked} took the lease of {held.app} in {held.environment} and wrote no plan: "
            "nothing was changed. The next apply takes over when its process is gone."
        )
    return f"E_NO_ROLLOUT: no rollout {asked[:80]!r} is known in {path}. See: rollout history"
