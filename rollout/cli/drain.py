"""``rollout drain``: take hosts out of rotation for maintenance."""

from __future__ import annotations

from typing import Any

from rollout.cli.operation import host_options, operated, operation_options
from rollout.cli.options import command, output_option, state_option


@command("drain")
@host_options
@operation_options
@state_option
@output_option
def drain(hosts: tuple[str, ...], **options: Any) -> int:
    """Take each HOST out of its load balancers for maintenance, and remember who did it, when and why (-m).

    It is drained to no session, and refused when the floor would not hold. Until it is registered
    again a rollout updates it and leaves it out.
    """
    return operated("drain", options, hosts=hosts)
