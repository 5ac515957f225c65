"""``rollout prune``: old releases go from the hosts."""

from __future__ import annotations

from typing import Any

from rollout.cli.operation import operated, operation_options
from rollout.cli.options import command, output_option, state_option
from rollout.cli.request import playbook_options


@command("prune")
@playbook_options
@operation_options
@state_option
@output_option
def prune(**options: Any) -> int:
    """Remove the releases that no host has to keep, by release.keep and keep_for of the play.

    Those that were never proven or are bad go first, then the oldest. What is current, the way back, and what
    a process still runs from stay. Every apply that succeeds does the same at its end.
    """
    return operated("prune", options)
