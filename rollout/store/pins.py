"""The policy of each environment, as it was when somebody first rolled out under it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from rollout.store.schema import policies


def pin(connection: Connection, environment: str, digest: str, text: str, by: str, at: str) -> None:
    """Remember a policy in the place of the one before."""
    connection.execute(delete(policies).where(policies.c.environment == environment))
    connection.execute(insert(policies).values(environment=environment, digest=digest, text=text, by=by, at=at))


def pinned(connection: Connection, environment: str) -> tuple[str, str]:
    """Return the digest and the text of an environment's policy, both "" where there is none."""
    found = connection.execute(select(policies).where(policies.c.environment == environment)).first()
    return (found.digest, found.text) if found is not None else ("", "")
