"""What history shows, kept beside the journal in the same transaction as its records."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, insert, select, update

from rollout.errors import StoreError
from rollout.model.event import Provenance, Record, RevertStarted, RolloutFinished, RolloutStarted
from rollout.model.plan import BRINGS, PlayPlan
from rollout.store.codec import unicode
from rollout.store.drains import moved
from rollout.store.owned import own
from rollout.store.quick import Quick
from rollout.store.reaching import reach
from rollout.store.schema import leases, releases, rollouts, signed

HEAD = update(rollouts).where(rollouts.c.id == bindparam("mine")).values(head=bindparam("newest"))
_NEXT = Quick(HEAD.where(rollouts.c.head == bindparam("previous")))


def enter(connection: Connection, chain: Sequence[Record]) -> None:
    """Write down the rollouts that these new records begin: records of none cannot be."""
    for record in chain:
        if isinstance(record.event, RolloutStarted):
            _began(connection, record, record.event)


def project(connection: Connection, chain: Sequence[Record]) -> None:
    """Bring the tables that people ask up to date with these new records (one at least)."""
    for record in chain:
        match record.event:
            case RevertStarted(condemned=True, play=play):
                _judged(connection, record.rollout, "bad", play)
            case RolloutFinished():
                _ended(connection, record, record.event)
                moved(connection, chain)
                reach(connection, chain)


def follow(connection: Connection, chain: Sequence[Record]) -> bool:
    """Make the last of these records the newest; return whether the first of them follows the one that was."""
    values = {"mine": chain[-1].rollout, "newest": chain[-1].hash, "previous": chain[0].previous_hash}
    return _NEXT.run(connection, [values]) == 1


def _began(connection: Connection, record: Record, event: RolloutStarted) -> None:
    """Write the rollout down, and each release it names."""
    plan = event.plan
    newest = connection.execute(select(func.max(rollouts.c.number))).scalar() or 0
    connection.execute(
        insert(rollouts).values(
            number=newest + 1,
            id=record.rollout,
            environment=plan.environment,
            app=",".join(play.app for play in plan.plays),
            release=",".join(play.release.id for play in plan.plays),
            plan_digest=plan.digest,
            started=record.at,
            by=unicode(_who(event.provenance)),
            message=unicode(event.provenance.message),
            purpose=plan.plays[0].purpose,
            limited=int(any(play.limited for play in plan.plays)),
        )
    )
    for play in plan.plays:
        if play.purpose in BRINGS:
            _released(connection, record, plan.environment, play)
            own(connection, record.rollout, plan.environment, play)
        if play.trust.of:
            _signed(connection, record, plan.environment, play)


def _who(provenance: Provenance) -> str:
    """Return who began it, as history shows it."""
    return "@".join(filter(None, (provenance.user, provenance.controller)))


def _released(connection: Connection, record: Record, environment: str, play: PlayPlan) -> None:
    """Record a release once; one id never means two contents."""
    release = play.release
    mine = (releases.c.environment == environment, releases.c.app == play.app, releases.c.id == release.id)
    known = connection.execute(select(releases.c.artifact, releases.c.manifest).where(*mine)).first()
    if known is None:
        row = insert(releases).values(
            environment=environment,
            app=play.app,
            id=release.id,
            artifact=release.artifact,
            manifest=release.manifest,
            rollout=record.rollout,
            at=record.at,
        )
        connection.execute(row)
    elif tuple(known) != (release.artifact, release.manifest):
        raise StoreError(
            f"E_RELEASE_CONFLICT: release {release.id} of {play.app} in {environment} is on record with other content "
            f"(artifact {known.artifact[:12]}, now {release.artifact[:12]}). Give the new content an id of its own."
        )


def _signed(connection: Connection, record: Record, environment: str, play: PlayPlan) -> None:
    """Remember who answered for a release: what comes later is held against it."""
    trust = play.trust
    row = insert(signed).values(
        rollout=record.rollout,
        app=play.app,
        environment=environment,
        release=play.release.id,
        of=trust.of,
        identity=unicode(trust.identity),
        key=trust.key,
        created=trust.created,
        expires=trust.expires,
    )
    connection.execute(row)


def _judged(connection: Connection, rollout: str, verdict: str, play: int | None = None) -> None:
    """Write the verdict of the releases that this rollout brought (or this play of it), whoever brought them first."""
    found = connection.execute(select(rollouts).where(rollouts.c.id == rollout)).one()
    if found.purpose not in BRINGS:
        return
    brought = list(zip(found.app.split(","), found.release.split(","), strict=True))
    for app, release in brought if play is None else [brought[play]]:
        mine = (releases.c.environment == found.environment, releases.c.app == app, releases.c.id == release)
        connection.execute(update(releases).where(*mine).values(verdict=verdict))


def _ended(connection: Connection, record: Record, event: RolloutFinished) -> None:
    """Write the end down, and give the lease back in the same breath."""
    end = update(rollouts).where(rollouts.c.id == record.rollout)
    connection.execute(end.values(finished=record.at, end=event.end, reason=event.reason, exit_code=event.exit_code))
    if event.end == "succeeded":
        _judged(connection, record.rollout, "good")
    connection.execute(update(leases).where(leases.c.rollout == record.rollout).values(rollout=""))
