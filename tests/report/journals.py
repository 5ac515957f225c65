"""Scripted journals: a good rollout, one that is reverted, one that strands a host, one whose controller died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    Event,
    HaltOrdered,
    HostRevertStarted,
    Record,
    RevertStarted,
    RollingClosed,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
    StepFinished,
    StepStarted,
)
from rollout.model.host import HostName
from rollout.model.plan import Action, Plan
from rollout.model.verdict import Cause, Outcome, Verdict
from tests.store.stories import plan, started

SICK = Outcome(
    verdict=Verdict.FAILED,
    cause=Cause.RELEASE,
    summary="http :8080/healthz answered 500, 12 times in 20s",
    tail=(
        "● shop.service - running since 03:12:07",
        "03:12:09 shop[811]: Traceback (most recent call last):",
        "03:12:09 shop[811]: sqlite3.OperationalError: no such table: orders",
        "listening: 0.0.0.0:8080 (pid 811)",
    ),
)
LOST = Outcome(verdict=Verdict.ERROR, cause=Cause.CONNECTION, summary="no route to host since 03:12:31")


@dataclass
class Script:
    """Writes records with growing times."""

    seconds: float = 0.0
    seq: int = 0
    op: int = 0
    records: list[Record] = field(default_factory=list)

    def add(self, *events: Event, after_s: float = 0.0) -> None:
        self.seconds += after_s
        at = datetime(2026, 11, 23, 3, 12, 0, tzinfo=UTC) + timedelta(seconds=self.seconds)
        for event in events:
            self.seq += 1
            stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            digest = f"{self.seq:02x}" * 32
            record = Record(rollout="r1", seq=self.seq, at=stamp, event=event, previous_hash="", hash=digest)
            self.records.append(record)

    def step(self, host: HostName, at: int, action: Action, *, undo: bool = False, outcome: Outcome | None = None,
             took_s: float = 1.0) -> None:  # fmt: skip
        self.op += 1
        self.add(StepStarted(host=host, op=self.op, at=at, undo=undo, action=action))
        self.add(StepFinished(host=host, op=self.op, outcome=outcome or Outcome()), after_s=took_s)

    def begin(self, **how: object) -> Plan:
        event: RolloutStarted = started(**how)
        self.add(event)
        return event.plan

    def stage(self, of: Plan) -> None:
        for host in hosts_of(of):
            self.step(host, 0, of.plays[0].hosts[host].steps[0].do)
        self.add(StagingClosed())

    def forward(self, of: Plan, host: HostName, upto: int = 4, outcome: Outcome | None = None) -> None:
        """Carry steps 1 to ``upto`` out; the last one ends in ``outcome``."""
        for at in range(1, upto + 1):
            action = of.plays[0].hosts[host].steps[at].do
            self.step(host, at, action, outcome=outcome if at == upto else None)

    def back(self, of: Plan, host: HostName, begun: int, fails_at: int = -1) -> None:
        way = [a for step in reversed(of.plays[0].hosts[host].steps[:begun]) for a in step.undo]
        self.add(HostRevertStarted(host=host))
        for at, action in enumerate(way):
            self.step(host, at, action, undo=True, outcome=LOST if at == fails_at else None)
            if at == fails_at:
                return

    def finish(self, end: str, reason: str, code: int) -> None:
        self.add(RolloutFinished(end=end, reason=reason, exit_code=code))  # type: ignore[arg-type]


def hosts_of(of: Plan) -> Sequence[HostName]:
    return [host for batch in of.plays[0].batches for host in batch.hosts]


def good(hosts: int = 6, batches: tuple[int, ...] = (1, 2, 3)) -> list[Record]:
    script = Script()
    of = script.begin(hosts=hosts, batches=batches, floor=hosts - 2)
    script.stage(of)
    for number, batch in enumerate(of.plays[0].batches):
        script.add(BatchStarted(batch=number))
        for host in batch.hosts:
            script.forward(of, host)
        script.add(BatchClosed(batch=number))
    script.add(RollingClosed())
    for host in hosts_of(of):
        script.step(host, 5, of.plays[0].hosts[host].steps[5].do)
    script.finish("succeeded", "every host is on 2.0.0", 0)
    return script.records


def _broken_second_batch(script: Script) -> Plan:
    of = script.begin(hosts=6, batches=(1, 2, 3), floor=4)
    script.stage(of)
    script.add(BatchStarted(batch=0))
    script.forward(of, HostName("web1"))
    script.add(BatchClosed(batch=0), BatchStarted(batch=1))
    script.forward(of, HostName("web2"), upto=3, outcome=SICK)
    return of


def reverted() -> list[Record]:
    script = Script()
    of = _broken_second_batch(script)
    script.add(HaltOrdered(cause=Cause.RELEASE, reason=f"1 failed, 0 allowed: web2: {SICK.summary}", revert=True))
    script.back(of, HostName("web2"), begun=4)
    script.add(RevertStarted(hosts=(HostName("web1"),), condemned=True))
    script.back(of, HostName("web1"), begun=5)
    script.finish("reverted", f"1 failed, 0 allowed: web2: {SICK.summary}", 4)
    return script.records


def stranded() -> list[Record]:
    script = Script()
    of = _broken_second_batch(script)
    script.add(HaltOrdered(cause=Cause.RELEASE, reason=f"1 failed, 0 allowed: web2: {SICK.summary}", revert=True))
    script.back(of, HostName("web2"), begun=4, fails_at=0)
    script.add(RevertStarted(hosts=(HostName("web1"),), condemned=True))
    script.back(of, HostName("web1"), begun=5)
    script.finish("stranded", "web2 could not be brought back", 5)
    return script.records


def orphaned() -> list[Record]:
    """The controller died after Deregister of web1 was sent."""
    script = Script()
    of = script.begin(hosts=3, batches=(1, 2))
    script.stage(of)
    script.add(BatchStarted(batch=0))
    script.add(StepStarted(host=HostName("web1"), op=99, at=1, action=of.plays[0].hosts[HostName("web1")].steps[1].do))
    return script.records


def interrupted() -> list[Record]:
    """Ctrl-C between the first and the second batch."""
    script = Script()
    of = script.begin(hosts=3, batches=(1, 2))
    script.stage(of)
    script.add(BatchStarted(batch=0))
    script.forward(of, HostName("web1"))
    script.add(BatchClosed(batch=0))
    script.add(HaltOrdered(cause=Cause.PERSON, reason="stopped by Ctrl-C", revert=False, signal="SIGINT"))
    script.finish("halted", "stopped by Ctrl-C", 130)
    return script.records


__all__ = ["LOST", "SICK", "Script", "good", "interrupted", "orphaned", "plan", "reverted", "stranded"]
