"""Checks: probes of one host over HTTP and TCP. Importing this package costs nothing; a probe loads what it needs."""

from __future__ import annotations

from rollout.model.check import CheckSpec
from rollout.model.host import Connection
from rollout.ports import Check, Session


def open_probe(spec: CheckSpec, session: Session | None, connection: Connection) -> Check:
    """Return the probe for an http or tcp check, from where it looks.

    ``session`` is the host's; it may be None for ``from: controller``. Command checks are said
    to the host as an Op and are no probes: TypeError.
    """
    from rollout.checks.probes import probe_for

    return probe_for(spec, session, connection)
