"""Carry out one step: what each Action of the plan does to the world, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollout.model.event import Note, StepStarted
from rollout.model.plan import (
    DEPLOYS,
    Adopt,
    Deregister,
    Discard,
    HostPlan,
    Keep,
    Prune,
    Register,
    Restart,
    Run,
    Stage,
    Switch,
    Verify,
    Withdraw,
)
from rollout.model.release import NoService, Push, Release, ReleaseId
from rollout.model.secret import references_in
from rollout.model.trust import Trust
from rollout.model.verdict import FOUND, PASSED, Cause, Outcome, Verdict
from rollout.perform.desk import Desk
from rollout.perform.ensure import Lost, Wording, ask, ending, ensure
from rollout.perform.health import Proof, another, proof_of, prove, rebooted
from rollout.perform.observe import release_named, stock_from
from rollout.perform.pruning import observed, pruned
from rollout.perform.rotation import Mover
from rollout.perform.tasks import run_task
from rollout.posix import op
from rollout.posix.op import Reply
from rollout.posix.sanitise import line as inert

COLLECT_S = 10.0
MARK_S = 30.0
TAIL_LINES = 200
MOVED = ("E_DRIFT", "E_CURRENT_NOT_LINK")  # somebody else has changed ``current``


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step to carry out. ``condemned``: the release itself is at fault, as far as is known."""

    desk: Desk
    step: StepStarted
    condemned: bool = False
    again: bool = False  # it was begun by a controller that is gone
    ours: bool = False  # where its host is out of rotation already, that may be our own doing
    proven: bool = True  # on this way its host has passed the play's own checks

    @property
    def wording(self) -> Wording:
        """Return a maker of this step's Ops."""
        return Wording(desk=self.desk, host=self.step.host, step=self.step.op)

    @property
    def mover(self) -> Mover:
        """Return what moves the step's host in and out of its pools."""
        return Mover(desk=self.desk, step=self.step, ours=self.ours, again=self.again, proven=self.proven)


async def carry_out(job: Job) -> Outcome:
    """Carry out the step. Whatever happens ends as an Outcome.

    What a controller that is gone had begun may have been done: whatever is said now, it is not untouched.
    """
    outcome = await _DO[type(job.step.action)](job)
    return replace(outcome, untouched=False) if job.again else outcome


def _outcome(reply: Reply | Lost, *, begun: bool = True) -> Outcome:
    """Read what a host said about a step that changes it."""
    if isinstance(reply, Lost):
        untouched = not reply.sent
        return Outcome(verdict=Verdict.FAILED, cause=Cause.CONNECTION, summary=inert(reply.why), untouched=untouched)
    if reply.status == "done":
        return Outcome(summary="", data=_small(reply.fields))
    fenced = {"fenced": "1"} if reply.code in ("E_FENCED", "E_STALE") else {}
    said = f"{reply.code}: {reply.summary}" if reply.summary else reply.code
    return Outcome(
        verdict=Verdict.FAILED,
        cause=Cause.CONTROLLER if fenced else Cause.HOST,
        summary=inert(said),
        tail=ending(reply, TAIL_LINES),
        data=fenced or _found(reply),
        untouched=reply.status == "refused" and begun,
    )


def _found(reply: Reply) -> dict[str, str]:
    """Return what ``current`` names, where the host was not touched because that is another's doing."""
    if reply.code not in MOVED:
        return {}
    return {FOUND: release_named(reply.fields.get("current", "")) if reply.code == "E_DRIFT" else ""}


def _small(fields: Mapping[str, str]) -> dict[str, str]:
    return {inert(k): inert(v)[:200] for k, v in list(fields.items())[:16]}


def signed(trust: Trust) -> str:
    """Return what a host is shown that verifies by itself."""
    return trust.text if trust.of == "statement" else ""


def installing(release: Release, plan: HostPlan) -> op.Install:
    """Return how a release comes to a host: with the files and the manifest that it has of its own there."""
    own = plan.own
    if own is None:
        return op.Install(release=release, shared=plan.shared)
    return op.Install(
        release=replace(release, manifest=own.manifest, manifest_size=own.manifest_size),
        shared=plan.shared,
        rendered=own.files,
        sealed=any(references_in([f.content for f in own.files])),
    )


async def _stage(job: Job) -> Outcome:
    action = job.step.action
    assert isinstance(action, Stage)  # noqa: S101 - the table below pairs them
    plan = job.desk.host(job.step.host)
    play = job.desk.play
    deed = replace(installing(play.release, plan), present=action.present, way=action.way, signed=signed(play.trust))
    wording, timeout_s = job.wording, play.step_timeout_s
    reply = await ensure(wording, deed, timeout_s)
    if isinstance(reply, Reply) and reply.code == "E_BASE":
        job.desk.note(Note(about="retry", host=job.step.host, text=f"{inert(reply.summary)}; all of it is sent"))
        reply = await ensure(wording, replace(deed, way=Push()), timeout_s)
    return _outcome(reply)


async def _deregister(job: Job) -> Outcome:
    return await job.mover.out()


async def _register(job: Job) -> Outcome:
    outcome = await job.mover.into()
    if not outcome.passed or job.step.undo or job.desk.play.purpose not in DEPLOYS:
        return outcome
    noted = _noted(await _mark(job, "verified"))
    if not noted.passed:
        return noted
    said = "; ".join(one.summary for one in (outcome, noted) if one.summary)
    return replace(noted, summary=said, data={**outcome.data, **noted.data})


async def _switch(job: Job) -> Outcome:
    action = job.step.action
    assert isinstance(action, Switch)  # noqa: S101
    if (still_in := await job.mover.seen_out()) is not None:
        return still_in
    service = job.desk.host(job.step.host).service if action.restart else NoService()
    deed = op.Activate(
        release=action.release, manifest=action.manifest, expect=ReleaseId(action.expect), service=service
    )
    return await _activated(job, deed)


async def _activated(job: Job, deed: op.Activate) -> Outcome:
    """Say it to the host; what does not start is the release's doing where a release is being brought."""
    reply = await ensure(job.wording, deed, job.desk.play.step_timeout_s)
    outcome = _outcome(reply)
    bringing = job.desk.play.purpose in DEPLOYS and not job.step.undo
    if isinstance(reply, Reply) and reply.code == "E_SERVICE" and bringing:
        # The same fault as one that Verify would find a moment later: what was begun does not run.
        outcome = replace(outcome, cause=Cause.RELEASE)
    return outcome if outcome.passed else await _with_evidence(job, outcome)


async def _restart(job: Job) -> Outcome:
    """Start what is current anew. Once more is no harm: the host is out of rotation."""
    action = job.step.action
    assert isinstance(action, Restart)  # noqa: S101
    if (still_in := await job.mover.seen_out()) is not None:
        return still_in
    service = job.desk.host(job.step.host).service
    deed = op.Activate(
        release=action.release, manifest=action.manifest, expect=action.release, service=service, again=True
    )
    return await _activated(job, deed)


async def _verify(job: Job) -> Outcome:
    action = job.step.action
    assert isinstance(action, Verify)  # noqa: S101
    proof = proof_of(job.desk, job.step.host, action.release, way_back=action.way_back)
    wording = job.wording
    outcome = await prove(job.desk, wording, proof)
    if outcome.data.get("dead") and (action.way_back or await rebooted(job.desk, wording)):
        outcome = await _started_again(job, wording, proof)
    if outcome.passed:
        return outcome
    outcome = await _of_another(job, wording, replace(outcome, summary=inert(outcome.summary)))
    return await _with_evidence(job, outcome)


async def _of_another(job: Job, wording: Wording, outcome: Outcome) -> Outcome:
    """Blame no release for what another machine answers that has got the host's address (F66)."""
    machine = await another(job.desk, wording) if outcome.cause is Cause.RELEASE else ""
    if not machine:
        return outcome
    was = job.desk.host(job.step.host).machine
    said = f"E_IDENTITY: another machine answers here: its machine id is {machine}, and was {was}; {outcome.summary}"
    return replace(outcome, cause=Cause.HOST, summary=inert(said))


async def _started_again(job: Job, wording: Wording, proof: Proof) -> Outcome:
    """Bring a host that restarted back into its program: the switch is an ensure-action."""
    release = proof.release
    manifest = _manifest(job, release)
    if not manifest:
        return await prove(job.desk, wording, proof)
    deed = op.Activate(release=release, manifest=manifest, expect=release, service=proof.service)
    outcome = _outcome(await ensure(wording, deed, job.desk.play.step_timeout_s))
    return await prove(job.desk, wording, proof) if outcome.passed else outcome


def _manifest(job: Job, release: ReleaseId) -> str:
    """Return the manifest that the plan names for a release of this host, "" where it names none."""
    steps = job.desk.host(job.step.host).steps
    named = [a for step in steps for a in (step.do, *step.undo) if isinstance(a, Switch | Restart)]
    return next((a.manifest for a in named if a.release == release), "")


async def _with_evidence(job: Job, outcome: Outcome) -> Outcome:
    """Collect what a person will want to see, before the way back wipes it out."""
    if not job.desk.play.collect or job.step.undo or outcome.cause is Cause.CONNECTION:
        return outcome
    service = job.desk.host(job.step.host).service
    reply = await ask(job.wording, op.Collect(service=service), COLLECT_S)
    if isinstance(reply, Lost):
        return outcome
    return replace(outcome, tail=(*outcome.tail, *ending(reply, TAIL_LINES))[-TAIL_LINES:])


async def _withdraw(job: Job) -> Outcome:
    action = job.step.action
    assert isinstance(action, Withdraw)  # noqa: S101
    if (still_in := await job.mover.seen_out()) is not None:
        return still_in
    service = job.desk.host(job.step.host).service
    deed = op.Withdraw(release=action.release, service=service)
    return _outcome(await ensure(job.wording, deed, job.desk.play.step_timeout_s))


async def _discard(job: Job) -> Outcome:
    """Note in the host's ledger that the release is not to be trusted: the store knows it too."""
    action = job.step.action
    assert isinstance(action, Discard)  # noqa: S101
    if action.trusted and not job.condemned:
        return PASSED
    mark = "bad" if job.condemned else "unverified"
    return _noted(await _mark(job, mark))


async def _keep(job: Job) -> Outcome:
    """Write success down, and then prune: that comes last, and fails nothing."""
    wording = job.wording  # one for both: what is said next is another Op
    reply = await _mark(job, "kept", wording)
    noted = _noted(reply)
    if isinstance(reply, Lost) or reply.status != "done":
        return noted
    after = await pruned(wording, stock_from(reply.fields, job.desk.play.release.id))
    return replace(noted, summary=after.summary)


async def _prune(job: Job) -> Outcome:
    wording = job.wording
    stock = await observed(wording)
    if isinstance(stock, str):
        return Outcome(summary=inert(f"old releases could not be pruned: {stock}"))
    return await pruned(wording, stock)


async def _adopt(job: Job) -> Outcome:
    action = job.step.action
    assert isinstance(action, Adopt)  # noqa: S101
    deed = op.Adopt(release=action.release, manifest=action.manifest, leave_out=action.leave_out)
    return _outcome(await ensure(job.wording, deed, job.desk.play.step_timeout_s))


async def _mark(job: Job, mark: Any, wording: Wording | None = None) -> Reply | Lost:
    deed = op.Mark(release=job.desk.play.release.id, mark=mark)
    return await ensure(wording or job.wording, deed, MARK_S)


def _noted(reply: Reply | Lost) -> Outcome:
    """A mark that could not be written changes nothing for users: said, and passed, unless we are fenced."""
    outcome = _outcome(reply)
    if outcome.passed or outcome.data:
        return outcome
    return Outcome(summary=f"the ledger could not be written: {outcome.summary}")


_DO: Mapping[type[Any], Callable[[Job], Awaitable[Outcome]]] = {
    Stage: _stage,
    Deregister: _deregister,
    Switch: _switch,
    Restart: _restart,
    Verify: _verify,
    Register: _register,
    Withdraw: _withdraw,
    Discard: _discard,
    Keep: _keep,
    Adopt: _adopt,
    Prune: _prune,
    Run: run_task,
}
