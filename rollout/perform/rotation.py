"""Take a host out of its pools, put it back, and see that it is out: all its pools at once.

A host is out only when it is out of every pool it belongs to. When one of them refuses, the others
are taken back at once, whatever they have come to, so that nothing stays half out for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollout.model.event import StepStarted
from rollout.model.pool import PoolName
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.desk import Desk
from rollout.perform.effects import Mailbox, Receive
from rollout.perform.requests import Confirm, Enter, Leave, Slip

FOREVER_S = 30 * 86_400.0  # the pools' workers bound every wait themselves

Ask = Callable[..., Any]
Answers = dict[PoolName, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """One step that moves a host in or out of rotation."""

    desk: Desk
    step: StepStarted
    ours: bool = False  # where the host is out already, that may be our own doing
    again: bool = False  # the step was begun before
    proven: bool = True  # the play's own checks have passed on this way

    @property
    def pools(self) -> list[PoolName]:
        """Return the pools that the host belongs to."""
        return sorted(self.desk.host(self.step.host).members)

    async def out(self) -> Outcome:
        """Take the host out of every pool; passed when it is seen out of all of them."""
        answers = await self.ask(self.pools, self.leave, until_one_fails=True)
        refused = first_failure(answers)
        if refused is None:
            return told(answers)
        return await self.undone(answers, refused)

    async def undone(self, answers: Mapping[PoolName, Outcome], refused: Outcome) -> Outcome:
        """Put it back as it was: the way back of a way back is forward."""
        others = [p for p in self.pools if p not in answers or answers[p].passed]
        back = await self.ask(others, self.enter(back=not self.step.undo))
        untouched = all(a.passed for a in back.values()) and all(a.passed or a.untouched for a in answers.values())
        return replace(refused, untouched=untouched)

    async def into(self) -> Outcome:
        """Put the host into every pool; one that fails does not keep the host out of the others."""
        answers = await self.ask(self.pools, self.enter(back=self.step.undo))
        refused = first_failure(answers)
        inside = [p for p in self.pools if answers[p].passed]
        if refused is None or not inside:
            return refused or told(answers)
        return replace(refused, summary=f"in rotation of {', '.join(inside)}, not of all: {refused.summary}")

    async def seen_out(self) -> Outcome | None:
        """See with our own eyes that the host is out of every pool, right before it is changed (I2, I21)."""
        failure = first_failure(await self.ask(self.pools, self.confirm))
        return None if failure is None else replace(failure, untouched=True)

    # -- what is asked

    def leave(self, **who: Any) -> Leave:
        """Ask to leave."""
        as_found = self.as_found(back=self.step.undo)
        return Leave(way_back=self.step.undo, as_found=as_found, ours=self.ours, again=self.again, **who)

    def confirm(self, **who: Any) -> Confirm:
        """Ask to look."""
        return Confirm(timeout_s=self.desk.pace.patience_s, **who)

    def enter(self, *, back: bool) -> Ask:
        """Ask to come in: to be seen in rotation, or where it goes back and served nobody before, as it was found."""
        timeout_s, as_found = self.desk.play.step_timeout_s, self.as_found(back=back)
        return lambda **who: Enter(timeout_s=timeout_s, way_back=back, as_found=as_found, proven=self.proven, **who)

    def as_found(self, *, back: bool) -> bool:
        """Whether to be as it was found is enough."""
        return back and not self.desk.host(self.step.host).serving

    async def ask(self, pools: Iterable[PoolName], say: Ask, *, until_one_fails: bool = False) -> Answers:
        """Ask several pools at once, and wait for all of them, or for the first that fails."""
        host, box = self.step.host, Mailbox(name=f"{self.step.host}.{self.step.op}")
        members = self.desk.host(host).members
        waiting = set(pools)
        # All at once, so that two hosts stand in the same order in all their pools: otherwise each could
        # hold the room that the other waits for.
        with self.desk.asking:
            for pool in sorted(waiting):
                reply = Slip(pool=pool, box=box)
                self.desk.pools[pool].put(say(host=host, member=members[pool], reply=reply))
        answers: Answers = {}
        while waiting - answers.keys():
            if until_one_fails and first_failure(answers) is not None:
                break
            slips = await Receive(mailbox=box, timeout_s=FOREVER_S)
            answers |= dict(slips) if slips else dict.fromkeys(waiting - answers.keys(), SILENT)
        return answers


SILENT = Outcome(verdict=Verdict.FAILED, cause=Cause.CONTROLLER, summary="a pool never answered")


def told(answers: Mapping[PoolName, Outcome]) -> Outcome:
    """Return what passed in every pool, told in one outcome."""
    each = [answers[p] for p in sorted(answers)]
    said = dict.fromkeys(a.summary for a in each if a.summary)
    return Outcome(summary="; ".join(said), data={k: v for a in each for k, v in a.data.items()})


def first_failure(answers: Mapping[PoolName, Outcome]) -> Outcome | None:
    """Return what did not pass, told in one outcome; the first by name says whose doing it was.

    ``data``: ``pools``, the names of those that failed.
    """
    names = [p for p in sorted(answers) if not answers[p].passed]
    if not names:
        return None
    failed = [answers[p] for p in names]
    said = dict.fromkeys(f.summary for f in failed)
    untouched = all(f.untouched for f in failed)
    data = {**failed[0].data, "pools": " ".join(names)}
    return replace(failed[0], summary="; ".join(said), untouched=untouched, data=data)
