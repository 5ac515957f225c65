"""Orders to a rollout that is at work: left in the store by anybody, heard by the process that holds it."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from rollout.errors import Ended, StoreError
from rollout.store.rows import OrderKind, StoredOrder
from rollout.store.schema import orders, rollouts


def give(connection: Connection, rollout: str, kind: OrderKind, by: str, reason: str, now: str) -> int:
    """Write an order down; raise Ended when the rollout has. Orders are numbered from 1."""
    found = connection.execute(select(rollouts).where(rollouts.c.id == rollout)).first()
    if found is None:
        raise StoreError(f"E_FINISHED: rollout {rollout} wrote no plan yet: nobody would hear the order.")
    if found.finished:
        raise Ended(f"E_FINISHED: rollout {rollout} has ended ({found.end}): nobody would hear the order.")
    newest = connection.execute(select(func.max(orders.c.number)).where(orders.c.rollout == rollout)).scalar()
    number = (newest or 0) + 1
    values = {"rollout": rollout, "number": number, "kind": kind, "by": by, "at": now, "reason": reason}
    connection.execute(insert(orders).values(**values))
    return number


def given(connection: Connection, rollout: str, after: int) -> tuple[StoredOrder, ...]:
    """Return the orders after a number, in order."""
    wanted = select(orders).where(orders.c.rollout == rollout, orders.c.number > after).order_by(orders.c.number)
    return tuple(StoredOrder(**row._mapping) for row in connection.execute(wanted))
