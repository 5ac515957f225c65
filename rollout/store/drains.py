"""Who was taken out of rotation by a person, and is to stay out: read from the journal when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from rollout.model.event import Event, Record, RolloutStarted, StepFinished, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Deregister, Register
from rollout.store.codec import decode
from rollout.store.schema import drains, records, rollouts


def moved(connection: Connection, chain: Sequence[Record]) -> None:
    """Remember the hosts that a drain left out, and forget those that a register brought back.

    ``chain`` ends the rollout; its earlier records are in the database already.
    """
    rollout = chain[-1].rollout
    row = connection.execute(select(rollouts).where(rollouts.c.id == rollout)).one()
    if row.purpose not in ("drain", "register"):
        return
    bodies = select(records.c.body).where(records.c.rollout == rollout).order_by(records.c.seq)
    events = [*map(decode, connection.execute(bodies).scalars()), *(r.event for r in chain)]
    for number, app in enumerate(row.app.split(",")):
        _moved(connection, row, app, *_ended(events, number))


def _moved(connection: Connection, row: Any, app: str, out: set[HostName], back: set[HostName]) -> None:
    """Remember and forget the hosts of one app."""
    mine = (drains.c.environment == row.environment, drains.c.app == app)
    if row.purpose == "drain":
        known = set(connection.execute(select(drains.c.host).where(*mine)).scalars())
        values = {"environment": row.environment, "app": app, "by": row.by, "at": row.started}
        for host in out - known:
            connection.execute(insert(drains).values(**values, host=host, message=row.message, rollout=row.id))
    connection.execute(delete(drains).where(*mine, drains.c.host.in_(sorted(back))))


def _ended(events: Iterable[Event], number: int) -> tuple[set[HostName], set[HostName]]:
    """Return the hosts of a play that are out at the end, and those that were put in."""
    out, back = set[HostName](), set[HostName]()
    begun: dict[int, StepStarted] = {}
    for event in events:
        match event:
            case RolloutStarted(plan=plan):  # who was out already has nothing to do, and stays out
                play = plan.plays[number]
                idle = {h for h, p in play.hosts.items() if not p.steps}
                (out if play.purpose == "drain" else back).update(idle)
            case StepStarted(play=of) if of == number:
                begun[event.op] = event
            case StepFinished(play=of, op=op, host=host) if of == number and event.outcome.passed:
                action = begun[op].action
                if isinstance(action, Deregister):
                    out.add(host)
                    back.discard(host)
                elif isinstance(action, Register):
                    out.discard(host)
                    back.add(host)
    return out, back
