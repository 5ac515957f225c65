"""What preflight saw of one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.model.check import Probed
from rollout.model.host import HostName
from rollout.model.pool import MemberState, PoolName
from rollout.model.pruning import Stock


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One host as it was seen; everything said by the host itself is only a claim.

    ``releases`` maps ids of complete releases to their manifest digests, ``ledger`` maps ids to
    their marks, ``members`` the pools that the host belongs to, ``checks`` how each check of the
    play answered for the release that runs now.
    """

    host: HostName
    reachable: bool = True
    why: str = ""  # why it is not reachable
    code: str = ""  # where it was reached and its owner was not: E_SUDO or E_OWNER; then why says more
    shell: bool = True  # whether its login shell ran what it was told; not reachable where it did not
    root: str = "ok"
    root_why: str = ""  # why it is unsafe
    writable: bool = True
    identity: str = ""
    current: str = ""
    current_kind: str = "none"
    link: str = ""  # the text of ``current``
    lies: str = ""  # where it leads, when that is outside of releases/ and something is there
    running: str = ""
    releases: Mapping[str, str] = field(default_factory=dict)
    ledger: Mapping[str, frozenset[str]] = field(default_factory=dict)
    marked: Mapping[str, int] = field(default_factory=dict)  # release -> when its newest mark was made
    clock: int = 0  # what time it is there; 0: it does not say
    epoch_number: int = 0
    epoch_rollout: str = ""
    epoch_open: bool = False  # that rollout was not over when it was last there
    free_bytes: int = 1 << 62
    free_inodes: int = 1 << 62
    boot: str = ""  # changes when the host restarts
    machine_id: str = ""
    sudo: str = "unneeded"
    sudo_why: str = ""  # the command that is not permitted
    missing_tools: tuple[str, ...] = ()
    fetches: bool = True  # curl is there
    patches: bool = False  # a zstd is there that makes a file of a patch
    gated: bool = False  # a forced command takes steps of signed releases alone
    units: tuple[str, ...] = ()
    apart: bool = False  # its units run as users that can write nothing of what is installed
    shared_missing: tuple[str, ...] = ()
    group: str = ""  # what is wrong with the group of shared directories: missing or outside
    members: Mapping[PoolName, MemberState | None] = field(default_factory=dict)
    checks: tuple[Probed, ...] = ()
    identity_proof: bool = True

    @property
    def stock(self) -> Stock:
        """What it says of its releases."""
        return Stock(
            current=self.current,
            running=self.running,
            releases=tuple(self.releases),
            ledger=self.ledger,
            marked=self.marked,
            clock=self.clock,
        )

    @property
    def healthy(self) -> bool:
        """Whether every check passes now."""
        return self.reachable and all(c.ok for c in self.checks)

    @property
    def in_rotation(self) -> bool:
        """Whether every pool that knows the host sends it traffic."""
        return all(m is not None and m.in_rotation for m in self.members.values())
