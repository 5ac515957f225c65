"""Say an Op to a host until it is known what became of it (facts.md, 0.1).

A remote step is done, not done, or unknown. Only the trailer proves an outcome; without it the
host is asked, under its own lock, what it has on record. What is not on record was not done and,
being an ensure-action, is said again under a newer sequence number: a late delivery of the older one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rollout.errors import OutcomeUnknown, Unreachable
from rollout.model.event import Note
from rollout.model.host import HostName
from rollout.perform.desk import Desk
from rollout.perform.effects import Sleep, Tell
from rollout.perform.retries import reconnecting
from rollout.posix.op import READ_ONLY, Adopt, Deed, Epoch, Mark, Op, Prune, Reply, RunTask, Settle
from rollout.posix.sanitise import line as inert

ATTEMPTS = 1000  # sequence numbers kept for the attempts of one step
UPLOADS = 3  # times that an upload is begun which the network cuts off
CUT_OFF = "E_SHORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The host could not be asked in time. ``sent``: something may have been done there."""

    why: str
    sent: bool


@dataclass(slots=True, kw_only=True)
class Wording:
    """Makes the Ops of one step: every one under a sequence number of its own."""

    desk: Desk
    host: HostName
    step: int
    said: int = 0
    task: str = ""  # what its task is known by on the host, whichever attempt or controller says it
    delegate: bool = False  # the host only runs tasks

    def op(self, deed: Deed, timeout_s: float) -> Op:
        """Return the next Op of the step; questions change nothing, and so take no number of their own."""
        if not isinstance(deed, READ_ONLY):
            self.said += 1
        plan = self.desk.plan
        become = None if self.delegate else self.desk.host(self.host).connection.become
        attempt = f"{self.step}.{self.said}.{plan.epoch}"  # a successor may count on from fewer steps than were taken
        return Op(
            id=f"{plan.id}.{self.task if isinstance(deed, RunTask) else attempt}",
            epoch=self._epoch(closing=_is_last(deed)),
            site=self.desk.site_of_tasks() if self.delegate else self.desk.site(self.host),
            do=deed,
            become=become.user if become else "",
            password=become.password if become else "",
            timeout_s=timeout_s,
        )

    def _epoch(self, *, closing: bool) -> Epoch:
        plan, sequence = self.desk.plan, self.step * ATTEMPTS + self.said
        return Epoch(number=plan.epoch, rollout=plan.id, sequence=sequence, over=plan.over, closing=closing)


def _is_last(deed: Deed) -> bool:
    """Whether a host that went well is told nothing more after it."""
    return isinstance(deed, Adopt | Prune) or (isinstance(deed, Mark) and deed.mark == "kept")


async def ensure(wording: Wording, deed: Deed, timeout_s: float) -> Reply | Lost:
    """Return the proven reply, or Lost when the host could not be asked within the time."""
    desk = wording.desk
    deadline = desk.now() + timeout_s
    sent, pause, cut_off = False, 0.0, 0
    while True:
        op = wording.op(deed, timeout_s)
        try:
            return await _tell(wording, op, deadline)
        except Unreachable as error:
            return Lost(why=str(error), sent=sent)
        except OutcomeUnknown as error:
            sent = True
            desk.note(
                Note(
                    about="retry", host=wording.host, text=f"outcome unknown: {str(error).rstrip('.')}; asking the host"
                )
            )
        answer = await _settle(wording, op, max(deadline, desk.now()) + desk.pace.settle_s)
        if isinstance(answer, Lost):
            return answer
        if answer.status != "done":
            return replace(answer, status="failed")  # what was in doubt may have been done: it is not untouched
        recorded = _recorded(answer)
        cut_off += recorded is not None and recorded.code == CUT_OFF
        if recorded is not None and (recorded.code != CUT_OFF or cut_off == UPLOADS):
            return recorded
        if recorded is not None:  # it had got on until then: it has its time again
            deadline = desk.now() + timeout_s
        if desk.now() + pause >= deadline:
            return Lost(why="the step did not end in time, and the host has no record of it", sent=True)
        if pause:  # what is lost again and again would use up the step's numbers
            await Sleep(seconds=pause)
        pause = min(8.0, max(desk.pace.retry_s, 2 * pause))


async def _tell(wording: Wording, op: Op, deadline: float) -> Reply:
    desk = wording.desk

    def told(why: str) -> None:
        desk.note(Note(about="retry", host=wording.host, text=why))

    async for attempt in reconnecting(desk.now, deadline, desk.pace.retry_s, told):
        with attempt:
            left_s = max(1.0, deadline - desk.now())  # what connecting took is gone
            said = replace(op, timeout_s=left_s)
            return await Tell(host=wording.host, op=said, delegate=wording.delegate)  # type: ignore[no-any-return]
    raise AssertionError("tenacity reraises")


async def ask(wording: Wording, deed: Deed, timeout_s: float) -> Reply | Lost:
    """Say a read-only Op once: where nothing is changed, nothing has to be settled."""
    try:
        return await Tell(host=wording.host, op=wording.op(deed, timeout_s))  # type: ignore[no-any-return]
    except (Unreachable, OutcomeUnknown) as error:
        return Lost(why=str(error), sent=False)


async def _settle(wording: Wording, doubtful: Op, deadline: float) -> Reply | Lost:
    """Ask for the record of an Op in doubt until the host answers. Settling is settled by itself."""
    desk = wording.desk
    pause = desk.pace.retry_s
    while True:
        op = wording.op(Settle(op=doubtful.id), desk.pace.settle_s)
        try:
            return await _tell(wording, op, deadline)
        except Unreachable as error:
            return Lost(why=str(error), sent=True)
        except OutcomeUnknown as error:
            if desk.now() + pause >= deadline:
                return Lost(why=str(error), sent=True)
            await Sleep(seconds=pause)
            pause = min(8.0, 2 * pause)


def _recorded(answer: Reply) -> Reply | None:
    """Return the reply that the host has on record, if it has one."""
    fields: Mapping[str, str] = answer.fields
    if fields.get("recorded") != "1":
        return None
    was = {name[4:]: value for name, value in fields.items() if name.startswith("was.")}
    status = was.pop("status", "")
    code = was.pop("code", "")
    summary = was.pop("summary", "")
    if status == "refused":
        return Reply(status="refused", code=code, summary=summary, fields=was, tail=answer.tail)
    if status == "failed":
        return Reply(status="failed", code=code, summary=summary, fields=was, tail=answer.tail)
    return Reply(status="done", fields=was, tail=answer.tail)


def ending(reply: Reply, most: int) -> tuple[str, ...]:
    """Return the last lines of what a host printed, fit to be kept; where some are left out, the first line says so."""
    kept = tuple(inert(line) for line in reply.tail[-most:])
    if len(reply.tail) <= most:
        return kept
    return (f"[... {len(reply.tail) - most + 1} lines before are left out (truncated) ...]", *kept[1:])
