"""Carry out a task of the operator's: once, on the host or on the controller, and say what came of it.

On the host the Op's id names the task's place in the plan, so that a lost reply, a crash and a resume all mean the
same run. On the controller only the journal knows: a task that an earlier controller began is in doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from rollout.model.plan import Hook, PlayPlan, Run
from rollout.model.task import LENIENT_BACK, OF_PLAY
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.effects import Command, Sleep
from rollout.perform.ensure import Lost, ending, ensure
from rollout.posix.op import Reply, RunTask
from rollout.posix.sanitise import line as inert

if TYPE_CHECKING:
    from rollout.perform.steps import Job

LOCK_S = 10.0  # over a task's own time: what the step around it may take
POLL_S = 1.0  # between two runs of `drain.until`
TAIL_LINES = 60
OWN_FAILURES = frozenset({"E_TASK", "E_TASK_TIMEOUT", "E_TASK_DOUBT", "E_TASK_PRINTS"})
ON_TRIAL = frozenset({"after_service", "before_register"})  # the new release is what these tasks try


async def run_task(job: Job) -> Outcome:
    """Carry out a Run."""
    action = job.step.action
    assert isinstance(action, Run)  # noqa: S101 - the table pairs them
    outcome = await (_until(job, action) if action.position == "drain.until" else _once(job, action, 0))
    if outcome.passed or "fenced" in outcome.data:
        return outcome
    own = outcome.data.get("code") in OWN_FAILURES
    back = job.step.undo and not action.undoing
    if (own and action.task.ignore_failure) or (back and action.position in LENIENT_BACK):
        return Outcome(summary=f"FAILED, and ignored: {outcome.summary}", tail=outcome.tail, data=outcome.data)
    return outcome


async def _once(job: Job, action: Run, attempt: int) -> Outcome:
    """Run the task where it belongs."""
    task, facts = action.task, _facts(job, action)
    if task.where == "controller":
        if job.again and not task.repeatable:
            doubt = "it was begun by a controller that is gone: it is not run again"
            return _outcome(action, Reply(status="failed", code="E_TASK_DOUBT", summary=doubt))
        return _outcome(action, await Command(task=task, facts=facts))
    wording = replace(job.wording, task=_name(job, action, attempt), delegate=task.where == "delegates")
    deed = RunTask(task=task, release=action.release, facts=facts)
    return _outcome(action, await ensure(wording, deed, task.timeout_s + LOCK_S))


def _name(job: Job, action: Run, attempt: int) -> str:
    """Return what the host knows this run by: its place in the plan, and for questions which time it is asked."""
    which = "hook" if action.position in OF_PLAY else "back" if job.step.undo else "task"
    asked = f".{job.step.op}.{attempt}" if attempt else ""
    return f"{which}{job.step.at}{asked}"


async def _until(job: Job, action: Run) -> Outcome:
    """Ask until the host says that it is idle, or the drain's deadline has come."""
    drain = job.desk.play.drain
    deadline = job.desk.now() + drain.deadline_s
    question = replace(action, task=replace(action.task, idempotent=True))
    attempt = 0
    while True:
        attempt += 1
        left_s = max(1.0, deadline - job.desk.now())
        asked = replace(question, task=replace(question.task, timeout_s=min(action.task.timeout_s, left_s)))
        outcome = await _once(job, asked, attempt)
        if outcome.passed or outcome.data.get("code") not in ("E_TASK", "E_TASK_TIMEOUT"):
            return outcome
        if job.desk.now() + POLL_S >= deadline:
            break
        await Sleep(seconds=POLL_S)
    busy = f"still busy after {drain.deadline_s:g}s: {outcome.summary}"
    if drain.on_deadline != "fail":
        return Outcome(summary=f"{busy}; on_deadline: {drain.on_deadline}", tail=outcome.tail)
    return replace(outcome, summary=busy)


def _facts(job: Job, action: Run) -> Mapping[str, str]:
    """Return what every task may know."""
    play, host = job.desk.play, job.step.host
    plan = None if action.task.where == "delegates" else play.hosts.get(host)
    return {
        **(_of_hook(play.hooks[job.step.at], play) if action.position in OF_PLAY else {}),
        "ROLLOUT_ID": job.desk.plan.id,
        "ROLLOUT_ENVIRONMENT": job.desk.plan.environment,
        "ROLLOUT_APP": play.app,
        "ROLLOUT_HOST": host,
        "ROLLOUT_ROOT": plan.root if plan else "",
        "ROLLOUT_RELEASE": play.release.id,
        "ROLLOUT_PREVIOUS": plan.previous if plan else "",
        "ROLLOUT_POSITION": action.position,
        "ROLLOUT_WAY_BACK": "1" if job.step.undo else "",
    }


def _of_hook(hook: Hook, play: PlayPlan) -> Mapping[str, str]:
    """Return what a task beside a batch, or beside all of them, may know of it."""
    batches = play.batches if hook.batch < 0 else play.batches[hook.batch : hook.batch + 1]
    number = "" if hook.batch < 0 else str(hook.batch + 1)
    return {"ROLLOUT_BATCH": number, "ROLLOUT_HOSTS": " ".join(h for batch in batches for h in batch.hosts)}


def _outcome(action: Run, reply: Reply | Lost) -> Outcome:
    """Read what came of a task: its name stands before whatever is said of it."""
    task = action.task
    if isinstance(reply, Lost):
        said = f"{_called(action)}: {reply.why}"
        return _failed(Cause.CONNECTION, said, untouched=not reply.sent)
    if reply.status == "done":
        skipped = f"{task.creates} is there already" if reply.fields.get("skipped") else ""
        printed = {task.prints: inert(reply.fields.get("printed", ""))[:200]} if task.prints else {}
        told = "".join(f"{k}={v}" for k, v in printed.items())
        return Outcome(summary=inert(skipped or told), data=printed)
    if reply.code in ("E_FENCED", "E_STALE"):
        return _failed(Cause.CONTROLLER, f"{reply.code}: {reply.summary}", data={"fenced": "1"})
    status = reply.fields.get("exit", "")
    why = reply.summary or (f"{reply.code}, status {status}" if status else reply.code)
    outcome = _failed(_cause(action, reply), f"{_called(action)}: {why}", data={"code": reply.code})
    return replace(outcome, tail=ending(reply, TAIL_LINES), untouched=reply.status == "refused")


def _called(action: Run) -> str:
    undo = "undo of " if action.undoing else ""
    return f"{undo}{action.position} task `{inert(action.task.label)[:80]}`"


def _failed(cause: Cause, summary: str, *, untouched: bool = False, data: Mapping[str, str] | None = None) -> Outcome:
    return Outcome(
        verdict=Verdict.FAILED, cause=cause, summary=inert(summary), untouched=untouched, data=dict(data or {})
    )


def _cause(action: Run, reply: Reply) -> Cause:
    """Whose doing it was: a task that tries the new release and says no speaks of the release."""
    if reply.code == "E_TASK" and action.position in ON_TRIAL and not action.undoing:
        return Cause.RELEASE
    return Cause.CONTROLLER if action.task.where == "controller" else Cause.HOST
