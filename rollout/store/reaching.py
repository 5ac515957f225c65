"""Which epoch each host has seen: read from the journal when it ends. A host that shows a lower one was restored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from rollout.model.event import Record
from rollout.store.codec import encode
from rollout.store.schema import reached, records, rollouts


def reach(connection: Connection, chain: Sequence[Record]) -> None:
    """Remember the hosts that a rollout changed under its epoch. ``chain`` ends it; earlier records are written."""
    rollout = chain[-1].rollout
    row = connection.execute(select(rollouts).where(rollouts.c.id == rollout)).one()
    bodies = select(records.c.body).where(records.c.rollout == rollout).order_by(records.c.seq)
    events = [json.loads(b) for b in (*connection.execute(bodies).scalars(), *(encode(r.event) for r in chain))]
    number = _first_number(events)
    for play, app in enumerate(row.app.split(",")):
        hosts = sorted(_changed(events, play))
        mine = (reached.c.environment == row.environment, reached.c.app == app)
        connection.execute(delete(reached).where(*mine, reached.c.host.in_(hosts)))
        if hosts:
            values = {"environment": row.environment, "app": app, "number": number}
            connection.execute(insert(reached), [{**values, "host": host} for host in hosts])


def _first_number(events: Iterable[dict[str, Any]]) -> int:
    """Return the number under which it began: what was changed after a takeover has seen a greater one."""
    return next(int(e["plan"]["epoch"]) for e in events if e["kind"] == "rollout_started")


def _changed(events: Iterable[dict[str, Any]], play: int) -> set[str]:
    """Return the hosts of a play of which a step that is said to the host itself is known to have passed."""
    ops: set[int] = set()
    hosts: set[str] = set()
    for event in events:
        if event["kind"] == "step_started" and event["play"] == play and event["action"]["kind"] in SAID:
            ops.add(event["op"])
        elif event["kind"] == "step_finished" and event["op"] in ops and event["outcome"]["verdict"] == "passed":
            hosts.add(event["host"])
    return hosts


SAID = frozenset({"stage", "switch", "restart", "adopt"})
