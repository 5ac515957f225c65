"""What is said to a host that keeps the state of rollouts (keeping.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadState:
    """Read the state that rollouts keep on a host (keeping.py), from byte ``size`` of its journal. Read-only.

    Reply fields: ``there`` (0: nothing was ever kept there), ``now`` (the host's clock, UTC), ``bytes`` (of the
    journal), ``prefix`` (SHA-256 of its first ``size`` bytes). Tail: gzip in base64, the leases in lines with L before
    them, then at most keeping.PIECE bytes of the journal in lines with J.
    """

    kind: Literal["read_state"] = "read_state"
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteState:
    """Append to the journal and replace the leases, under the lock, all or nothing; twice is once.

    The payload is ``more`` bytes for the journal (one line; none at first), then ``lease`` bytes, with the SHA-256
    ``digest`` of all. ``before`` and ``after`` are those of leases.jsonl as it must be ("" for none) and as it
    will be; ``size`` is what the former says is committed.
    Refusals: E_BEHIND (the leases are others by now, or name another size), E_CUT, E_STATE_LOST (the journal
    has more than one line beyond, or any without leases), E_DIGEST, E_DISK, E_TOOL.
    """

    kind: Literal["write_state"] = "write_state"
    size: int
    more: int
    lease: int
    before: str
    after: str
    digest: str
