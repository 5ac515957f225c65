"""A number of hosts, or a share of them, with exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``count`` hosts, or ``ppm`` parts per million of them (``"12.5%"`` is 125 000).

    Exactly one of the two is set. Integers only, so nothing is lost to floats
    (Ansible loses a host at 29 %, 57 % and 58 % of 100).
    """

    count: int | None = None
    ppm: int | None = None

    def floor_of(self, total: int) -> int:
        """Return the whole hosts in this share of ``total``, rounded down."""
        if self.ppm is None:
            return self.count or 0
        return self.ppm * total // MILLION

    def ceil_of(self, total: int) -> int:
        """Return the whole hosts in this share of ``total``, rounded up."""
        if self.ppm is None:
            return self.count or 0
        return -(-self.ppm * total // MILLION)

    def __str__(self) -> str:
        """Return it as a person writes it."""
        if self.ppm is None:
            return str(self.count)
        whole, rest = divmod(self.ppm, 10_000)
        return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"
