"""``rollout restart``: a rolling restart of what runs."""

from __future__ import annotations

from typing import Any

from rollout.cli.operation import operated, operation_options
from rollout.cli.options import command, output_option, state_option
from rollout.cli.request import playbook_options


@command("restart")
@playbook_options
@operation_options
@state_option
@output_option
def restart(**options: Any) -> int:
    """Restart the service on every host, batch by batch, each out of rotation, and prove it healthy.

    No release changes. A host that does not come up is started once more and put back when it is
    healthy; it halts the restart of those that follow.
    """
    return operated("restart", options)
