"""``rollout converge``: new, rebuilt and missed hosts come to the fleet's release."""

from __future__ import annotations

from typing import Any

from rollout.cli.operation import operated, operation_options
from rollout.cli.options import command, output_option, state_option
from rollout.cli.request import playbook_options


@command("converge")
@playbook_options
@operation_options
@state_option
@output_option
def converge(**options: Any) -> int:
    """Bring every host of the play that is new, was rebuilt or was missed to the release the fleet is on.

    Hosts that are on it and in rotation are left alone. Its artifact must be at hand for hosts that do
    not have it: the playbook must name the one that is on record, such as by -e version=...
    """
    return operated("converge", options)
