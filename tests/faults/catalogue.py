"""All rows, by their numbers."""

from __future__ import annotations

from tests.faults import balancers, controller, hosts, locks, network, services, whole
from tests.faults.row import Row

NUMBERS = range(1, 95)
ROWS: dict[str, Row] = {
    **controller.ROWS,
    **locks.ROWS,
    **network.ROWS,
    **hosts.ROWS,
    **services.ROWS,
    **balancers.ROWS,
    **whole.ROWS,
}
