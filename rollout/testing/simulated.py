"""The simulated host under the host contract: what somebody does to it by hand, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rollout.posix.op import Op, Reply
from rollout.testing import trees
from rollout.testing.contracts import BUILDS, TASK_ENDS, Act
from rollout.testing.host import SimulatedHost


def _on_simulated() -> Mapping[str, Callable[[SimulatedHost], None]]:
    return {
        "point v1": lambda h: h.point("v1"),
        "point v2": lambda h: h.point("v2"),
        "directory": lambda h: h.point("", "directory"),
        "outside": lambda h: h.point("", "outside"),
        "remove": lambda h: h.point("", "none"),
        "kill": lambda h: setattr(h, "running", ""),
        "tamper v1": lambda h: h.tampered.add("v1"),
        "foreign": lambda h: setattr(h, "identity", "default/other"),
        "bare": lambda h: setattr(h, "root", "missing"),
        "reboot": lambda h: h.reboot(),
        "no zstd": lambda h: setattr(h, "zstd", False),
        "hold": lambda h: setattr(h, "holder", "1"),
        "let go": lambda h: setattr(h, "holder", ""),
        "forget results": lambda h: h.records.clear(),
        "forget the link": lambda h: h.moments.clear(),
        "other tool": lambda h: (h.trees.update({trees.OLD: trees.DIGEST}), h.point(trees.OLD))[1],
        "other content": lambda h: h.trees.update({trees.OLD: "0" * 64}),
    }


@dataclass(slots=True)
class SimulatedContract:
    """The simulated host, under the contract."""

    host: SimulatedHost
    root: str = "/srv/shop"

    @classmethod
    def fresh(cls) -> SimulatedContract:
        """Return a host with nothing on it, whose clock moves with every Op."""
        ticks = iter(range(1, 1_000_000))
        return cls(SimulatedHost(clock=lambda: float(next(ticks)), builds=dict(BUILDS), tasks=dict(TASK_ENDS)))

    def execute(self, op: Op, payload_ok: bool = True) -> Reply:
        """Execute one Op."""
        return self.host.execute(op, payload_ok)

    def by_hand(self, act: Act) -> None:
        """Do what somebody else would."""
        _on_simulated()[act](self.host)
