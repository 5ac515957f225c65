"""``load_balancers: none``: a host counts while its checks pass, and leaving is only a promise to ourselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.model.check import CommandCheck, Probed
from rollout.model.host import HostName
from rollout.model.pool import Member, MemberState, PoolState, Rotation
from rollout.perform.books import Books
from rollout.perform.desk import Desk
from rollout.perform.effects import Effect, Probe, Together


@dataclass(slots=True, kw_only=True)
class WorkersReading:
    """Reads a pool that no balancer keeps: by the checks of each host that is not out."""

    desk: Desk
    books: Books
    admin: dict[Member, Rotation] = field(default_factory=dict)

    async def read(self) -> PoolState:
        """Probe every host that counts; one that is out by us is not asked."""
        asked = [m for m in sorted(self.books.ours) if self._admin(m) is not Rotation.MAINT]
        up = dict(zip(asked, await self._probe(asked), strict=True))
        return PoolState(
            generation="",
            members={
                m: MemberState(admin=self._admin(m), up=up.get(m, False), checked=False, sessions=0)
                for m in sorted(self.books.ours)
            },
        )

    def set(self, wanted: Mapping[Member, Rotation]) -> None:
        """Remember who is out."""
        self.admin.update(wanted)

    def _admin(self, member: Member) -> Rotation:
        return self.admin.get(member, Rotation.READY)

    async def _probe(self, members: list[Member]) -> list[bool]:
        """Ask every check of every host at once."""
        effects: list[Effect] = []
        owners: list[int] = []
        passed = [True] * len(members)
        for number, member in enumerate(members):
            host = HostName(member)
            plan = self.desk.play.hosts.get(host)
            if plan is None:
                continue
            back = member not in self.books.arrived
            checks = plan.checks_back if back else plan.checks
            passed[number] = bool(checks) or plan.serving or not back  # without a check: as it was found
            for check in checks:
                if not isinstance(check, CommandCheck):
                    effects.append(Probe(host=host, check=check))
                    owners.append(number)
        answers = await Together(effects=tuple(effects)) if effects else ()
        for number, answer in zip(owners, answers, strict=True):
            passed[number] &= isinstance(answer, Probed) and answer.ok
        return passed
