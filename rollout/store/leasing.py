"""Leases: one rollout per (environment, app), and who may take one over.

A lease does not expire. Its number is the epoch that hosts compare: it only grows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from rollout.errors import Busy, Ended, Held
from rollout.store.process import ProcessMark, alive, this_process
from rollout.store.rows import Lease
from rollout.store.schema import leases, rollouts

SILENT_S = 60.0  # a holder that cannot be seen from here counts as gone after this long without a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What a process took: the leases of these apps, each with its environment, under one number, at a time.

    Numbers are given out again by a state that went back: the time tells them apart. ``before``: when those who had
    the leases by then, each with its number and time, had last been heard of.
    """

    number: int = 0
    since: str = ""
    apps: tuple[tuple[str, str], ...] = ()
    before: Mapping[tuple[int, str], str] = field(default_factory=dict)


def taking(connection: Connection, rollout: str, take: Callable[[Connection], int]) -> Hold:
    """Take leases; return what was taken, and what was there before."""
    there = map(_lease, connection.execute(select(leases)))
    before = {(lease.number, lease.since): lease.heartbeat for lease in there}
    return replace(hold_of(connection, rollout, take(connection)), before=before)


def take(
    connection: Connection,
    environment: str,
    apps: Iterable[str],
    rollout: str,
    holder: str,
    now: str,
    above: int = 0,
    silent: Collection[str] = (),
) -> int:
    """Take the leases of all apps of a new rollout, or none; return the number that all have. Raise Held.

    ``silent``: heartbeats which were watched for as long as a holder may be silent, and which did not move.
    """
    found = [lease_of(connection, environment, app) for app in sorted(set(apps))]
    for lease in found:
        _refuse_unfinished(connection, environment, lease, now)
        watched = lease.heartbeat if lease.heartbeat in silent else ""
        ours = lease.rollout == rollout and _is_ours(lease)  # the id of a plan file may be another process's too
        if lease.rollout and not ours and lives(lease, now, watched):
            raise Busy(_held(lease, f"it is still preparing. Wait until it is done.{_clock(lease, now)}"))
    number = max(above, *(lease.number for lease in found)) + 1
    for lease in found:
        _write(connection, environment, lease.app, rollout, holder, now, number)
    return number


def _refuse_unfinished(connection: Connection, environment: str, lease: Lease, now: str) -> None:
    """Refuse while a rollout of this app has no end, whether its process lives or not."""
    other = unfinished_id(connection, environment, lease.app)
    if not other:
        return
    if lease.rollout == other:
        raise (Busy if lives(lease, now) else Held)(_held(lease, _advice(lease, now)))
    raise Held(f"E_HELD: rollout {other} of {lease.app} in {environment} is unfinished. {_ways(other)}")


def _advice(lease: Lease, now: str) -> str:
    """Return what to type next, by what is known of the holder."""
    seen = _process_lives(lease)
    if seen:
        return f"It is at work: wait for it, or stop it with: kill -INT {lease.pid}"
    if seen is False:
        return f"Its process is gone. {_ways(lease.rollout)}"
    if lives(lease, now):
        wait = f"wait for it, or stop it with: rollout halt {lease.rollout} --keep"
        return f"{_heard(lease)}{_clock(lease, now)} As far as is known it is at work: {wait}"
    return f"{_heard(lease)} Its process counts as gone. {_ways(lease.rollout)}"


def _ways(rollout: str) -> str:
    """Return what can be typed about a rollout whose process is gone."""
    return (
        f"To go on with it: rollout resume {rollout}; to end it with nobody left half-way: rollout heal {rollout}; "
        f"to bring back what it changed: rollout revert {rollout}"
    )


def ahead(connection: Connection, rollout: str, now: str) -> str:
    """Return when a holder was last heard of that cannot be seen from here, where that is yet to come; else ""."""
    mine = [_lease(row) for row in connection.execute(select(leases).where(leases.c.rollout == rollout))]
    unseen = (lease for lease in mine if _process_lives(lease) is None)
    return max((lease.heartbeat for lease in unseen if _is_ahead(lease, now)), default="")


def retake(connection: Connection, rollout: str, holder: str, now: str, silent: str = "") -> int:
    """Take an unfinished rollout over under a higher number; raise Held while its holder may be alive.

    ``silent``: a heartbeat which was watched for as long as a holder may be silent, and which did not move.
    """
    mine = [_lease(row) for row in connection.execute(select(leases).where(leases.c.rollout == rollout))]
    mine = mine or _lapsed(connection, rollout, now)
    for lease in mine:
        if lease.rollout and lives(lease, now, silent):
            raise Busy(_held(lease, _while_alive(lease, now)))
    number = max(lease.number for lease in mine) + 1
    for lease in mine:
        _write(connection, lease.environment, lease.app, rollout, holder, now, number)
    return number


def _while_alive(lease: Lease, now: str) -> str:
    """Return what to do about a holder that lives, or may."""
    if _process_lives(lease):
        return f"It is still at work. Stop it first with: kill -INT {lease.pid}"
    return f"{_heard(lease)} Wait a minute and try again.{_clock(lease, now)}"


def _heard(lease: Lease) -> str:
    """Return what is known of a holder that nobody sees."""
    return f"It cannot be seen from here and was last heard of at {lease.heartbeat}."


def _clock(lease: Lease, now: str) -> str:
    """Say that a clock is wrong, or was, where somebody was heard of at a time that is yet to come."""
    return f" By the state's clock it is {now}: was a clock set back?" if _is_ahead(lease, now) else ""


def _is_ahead(lease: Lease, now: str) -> bool:
    """Return whether the holder was heard of so far in the future that its silence cannot be told from its age."""
    return _age_s(lease.heartbeat, now) < -SILENT_S


def _lapsed(connection: Connection, rollout: str, now: str) -> list[Lease]:
    """Return the free leases of an unfinished rollout that lost its own."""
    found = connection.execute(select(rollouts).where(rollouts.c.id == rollout, rollouts.c.finished == "")).first()
    if found is None:
        raise Ended(f"E_FINISHED: rollout {rollout} is not unfinished, so there is nothing to take over.")
    free = [lease_of(connection, found.environment, app) for app in found.app.split(",")]
    for lease in free:
        if lease.rollout:
            raise Held(_held(lease, _advice(lease, now)))
    return free


def release(connection: Connection, rollout: str, hold: Hold) -> None:
    """Give the lease back; one that another process took over meanwhile stays taken."""
    connection.execute(update(leases).where(*_as_taken(rollout, hold)).values(rollout=""))


def beat(connection: Connection, rollout: str, hold: Hold, now: str) -> bool:
    """Say that the holder lives; return whether the lease is still ours."""
    met = connection.execute(update(leases).where(*_as_taken(rollout, hold)).values(heartbeat=now)).rowcount
    return _is_all(met, hold)


def holds(connection: Connection, rollout: str, hold: Hold) -> bool:
    """Return whether the lease is still ours."""
    return _is_all(len(connection.execute(select(leases.c.app).where(*_as_taken(rollout, hold))).all()), hold)


def _is_all(count: int, hold: Hold) -> bool:
    """Return whether so many leases are all that were taken: one of several may be another's by now."""
    return bool(hold.apps) and count == len(hold.apps)


def _as_taken(rollout: str, hold: Hold) -> tuple[ColumnElement[bool], ...]:
    """Return what the leases of a rollout are while they are as they were taken."""
    return (leases.c.rollout == rollout, leases.c.number == hold.number, leases.c.since == hold.since)


def hold_of(connection: Connection, rollout: str, number: int) -> Hold:
    """Return what was taken: the leases of a rollout under a number."""
    mine = (leases.c.rollout == rollout, leases.c.number == number)
    found = [_lease(row) for row in connection.execute(select(leases).where(*mine))]
    since = max((lease.since for lease in found), default="")
    apps = tuple((lease.environment, lease.app) for lease in found if lease.since == since)
    return Hold(number=number, since=since, apps=apps)


def went_back(connection: Connection, hold: Hold, now: str) -> bool:
    """Return whether the state is one from before these leases were taken, and nobody has taken any of them since.

    Whoever did was heard of later than we took them, whatever the number and whether it still holds it; but for one
    that lives, whose clock may be behind, and is not the one that we came after.
    """
    found = [lease_of(connection, environment, app) for environment, app in hold.apps]
    return bool(found) and all(_is_older(lease, hold, now) for lease in found)


def _is_older(lease: Lease, hold: Hold, now: str) -> bool:
    """Return whether a lease is one from before it was taken."""
    came_before = lease.heartbeat <= hold.before.get((lease.number, lease.since), "")  # and says no more since
    return lease.heartbeat < hold.since and (came_before or not (lease.rollout and lives(lease, now)))


def mine(connection: Connection, rollout: str) -> int:
    """Return the number under which this very process holds a rollout's leases; 0 where it does not."""
    me = this_process()
    found = connection.execute(select(leases).where(leases.c.rollout == rollout)).all()
    ours = [row.number for row in found if (row.machine, row.pid, row.started) == (me.machine, me.pid, me.started)]
    return max(ours, default=0) if len(ours) == len(found) else 0


def unfinished_id(connection: Connection, environment: str, app: str) -> str:
    """Return the id of this app's unfinished rollout, or ""."""
    rows = connection.execute(
        select(rollouts.c.id, rollouts.c.app).where(rollouts.c.environment == environment, rollouts.c.finished == "")
    )
    return next((row.id for row in rows if app in row.app.split(",")), "")


def lease_of(connection: Connection, environment: str, app: str) -> Lease:
    """Return the lease of an app; number 0 before it was ever taken."""
    mine = (leases.c.environment == environment, leases.c.app == app)
    found = connection.execute(select(leases).where(*mine)).first()
    if found is not None:
        return _lease(found)
    nobody = dict.fromkeys(("rollout", "holder", "host", "machine", "started", "since", "heartbeat"), "")
    return Lease(environment=environment, app=app, pid=0, number=0, **nobody)


def _lease(row: Row[tuple[object, ...]]) -> Lease:
    """Return a row as a value."""
    return Lease(**row._mapping)


def _write(
    connection: Connection, environment: str, app: str, rollout: str, holder: str, now: str, number: int
) -> None:
    """Write this process into the lease."""
    me = this_process()
    values = {
        "rollout": rollout,
        "holder": holder,
        "host": me.host,
        "machine": me.machine,
        "pid": me.pid,
        "started": me.started,
        "since": now,
        "heartbeat": now,
        "number": number,
    }
    mine = (leases.c.environment == environment, leases.c.app == app)
    if not connection.execute(update(leases).where(*mine).values(**values)).rowcount:
        connection.execute(insert(leases).values(environment=environment, app=app, **values))


def _is_ours(lease: Lease) -> bool:
    """Return whether this very process wrote itself into the lease."""
    me = this_process()
    return (lease.machine, lease.pid, lease.started) == (me.machine, me.pid, me.started)


def _process_lives(lease: Lease) -> bool | None:
    """Return whether the holder's process lives; None when it cannot be seen from here."""
    return alive(ProcessMark(host=lease.host, machine=lease.machine, pid=lease.pid, started=lease.started))


def lives(lease: Lease, now: str, silent: str = "") -> bool:
    """Return whether the holder must be taken for alive: seen, or unseen and heard of lately, but for ``silent``."""
    seen = _process_lives(lease)
    lately = lease.heartbeat != silent and _age_s(lease.heartbeat, now) < SILENT_S
    return lately if seen is None else seen


def _age_s(then: str, now: str) -> float:
    """Return the seconds between two times of the store."""
    return (datetime.fromisoformat(now) - datetime.fromisoformat(then)).total_seconds()


def _held(lease: Lease, advice: str) -> str:
    """Return who holds it, since when, and what to do."""
    return (
        f"E_HELD: rollout {lease.rollout} holds {lease.app} in {lease.environment} "
        f"({lease.holder or 'somebody'}, pid {lease.pid} on {lease.host}, since {lease.since}). {advice}"
    )
