"""A connection that is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollout.errors import Unreachable, spent
from rollout.model.check import Probed, TcpCheck
from rollout.ports import ByteStream
from rollout.posix.sanitise import line as one_line

Dial = Callable[[float], ByteStream]  # given the seconds it may take; raises OSError or Unreachable


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Dials once; passes when somebody accepts."""

    spec: TcpCheck
    dial: Dial

    def probe(self, timeout_s: float) -> Probed:
        """Ask once, within the time; never raises for what the host does."""
        try:
            self.dial(min(timeout_s, self.spec.timeout_s)).close()
        except Unreachable as e:
            return Probed(ok=False, reachable=False, summary=one_line(str(e)))
        except OSError as e:
            return Probed(
                ok=False,
                reachable=not spent(e),
                summary=f"tcp {self.spec.port}: {one_line(str(e)) or type(e).__name__}",
            )
        return Probed(ok=True, summary=f"tcp {self.spec.port}: accepted")
