"""``rollout register``: put drained hosts back into rotation."""

from __future__ import annotations

from typing import Any

from rollout.cli.operation import host_options, operated, operation_options
from rollout.cli.options import command, output_option, state_option


@command("register")
@host_options
@operation_options
@state_option
@output_option
def register(hosts: tuple[str, ...], **options: Any) -> int:
    """Put each HOST back into its load balancers once it is proven healthy, and forget that it was drained."""
    return operated("register", options, hosts=hosts)
