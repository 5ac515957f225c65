"""What releases have of their own on each host, as it was decided; and the key that seals what is secret in it."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from sqlalchemy import Connection, insert, select

from rollout.errors import StoreError
from rollout.model.plan import PlayPlan
from rollout.store.rows import StoredOwn
from rollout.store.schema import keys, manifests

SEAL = "seal"
KEY_BYTES = 32


def has_key(connection: Connection) -> bool:
    """Return whether the state has its key."""
    return connection.execute(select(keys.c.name).where(keys.c.name == SEAL)).first() is not None


def lay_key(connection: Connection) -> None:
    """Make the key, where there is none: once for a state, and never another one."""
    if not has_key(connection):
        connection.execute(insert(keys).values(name=SEAL, value=secrets.token_hex(KEY_BYTES)))


def key_of(connection: Connection) -> bytes:
    """Return the key."""
    found = connection.execute(select(keys.c.value).where(keys.c.name == SEAL)).scalar()
    if not found:
        raise StoreError("E_STATE: the state has lost its key. Bring back a copy of it that has one.")
    return bytes.fromhex(found)


def owned(
    connection: Connection, environment: str, app: str, releases: Collection[str]
) -> dict[str, dict[str, StoredOwn]]:
    """Return what is on record of these releases, by release and host; nothing of one that is the same everywhere."""
    mine = (manifests.c.environment == environment, manifests.c.app == app, manifests.c.release.in_(sorted(releases)))
    found: dict[str, dict[str, StoredOwn]] = {}
    for row in connection.execute(select(manifests).where(*mine)):
        found.setdefault(row.release, {})[row.host] = StoredOwn(manifest=row.manifest, rollout=row.rollout)
    return found


def own(connection: Connection, rollout: str, environment: str, play: PlayPlan) -> None:
    """Record what a play brings to each host; of one release a host never has two configurations."""
    release = play.release.id
    news = {host: plan.own.manifest for host, plan in play.hosts.items() if plan.own is not None}
    if not news:
        return
    known = owned(connection, environment, play.app, [release]).get(release, {})
    for host in sorted(news.keys() & known.keys()):
        if known[host].manifest != news[host]:
            raise StoreError(
                f"E_RELEASE_CONFLICT: release {release} of {play.app} in {environment} is on record with another "
                f"configuration for {host}. Type the command once more: it takes the next revision."
            )
    rows = [{"host": host, "manifest": digest} for host, digest in news.items() if host not in known]
    if rows:
        same = {"environment": environment, "app": play.app, "release": release, "rollout": rollout}
        connection.execute(insert(manifests), [{**same, **row} for row in rows])
