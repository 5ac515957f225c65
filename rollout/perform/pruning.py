"""Prune a host: what may go by its ledger, said to it in one step that fails no rollout (F68)."""

from __future__ import annotations

from dataclasses import replace

from rollout.model.pruning import Keeping, Stock, surplus
from rollout.model.release import ReleaseId
from rollout.model.verdict import Outcome
from rollout.perform.ensure import Lost, Wording, ask, ensure
from rollout.perform.observe import OBSERVE_S, release_named, stock_from
from rollout.posix import op
from rollout.posix.op import Reply
from rollout.posix.sanitise import line as inert

PRUNE_S = 60.0
MOST = 500  # releases that one step takes


async def observed(wording: Wording) -> Stock | str:
    """Ask a host what it has; return why it does not say, where that is so."""
    plan = wording.desk.host(wording.host)
    reply = await ask(wording, op.Observe(service=plan.service, shared=plan.shared), OBSERVE_S)
    if isinstance(reply, Lost):
        return reply.why
    return stock_from(reply.fields) if reply.status == "done" else f"{reply.code}: {reply.summary}"


async def pruned(wording: Wording, stock: Stock) -> Outcome:
    """Have a host remove what it need not keep; say what became of it. It passes, whatever that was."""
    desk, plan = wording.desk, wording.desk.host(wording.host)
    keeping = Keeping(keep=desk.play.keep, keep_for_s=desk.play.keep_for_s)
    spare = {*desk.play.spare, plan.previous, desk.play.release_of(wording.host)}
    gone = tuple(ReleaseId(i) for i in surplus(stock, keeping, spare)[:MOST])
    if not gone:
        return Outcome(summary="")
    reply = await ensure(wording, op.Prune(releases=gone, service=plan.service, add=plan.shared.add), PRUNE_S)
    if isinstance(reply, Lost):
        return Outcome(summary=inert(f"old releases could not be pruned: {reply.why}"))
    if reply.status != "done":
        said = Outcome(summary=inert(f"old releases could not be pruned: {reply.code}: {reply.summary}"))
        return replace(said, data={"fenced": "1"}) if reply.code in ("E_FENCED", "E_STALE") else said
    return Outcome(summary=_said(reply))


def _said(reply: Reply) -> str:
    """Say what is gone, what stays all the same, and what is in the way."""
    gone = [i for i in map(release_named, reply.fields.get("pruned", "").split()) if i]
    spared = [i.partition(":")[0] for i in reply.fields.get("spared", "").split() if i.endswith(":runs")]
    stuck, left = reply.fields.get("stuck", ""), reply.fields.get("left", "0")
    said = [f"pruned {', '.join(gone)}"] if gone else []
    said += [f"{', '.join(spared)} stays: a process still runs from it"] if spared else []
    said += [f"what is left lies in .rollout/pruned ({left}): {stuck or 'a process still runs from it'}"] * (
        left != "0"
    )
    said += [f"not moved: {stuck}"] if stuck and left == "0" else []
    return inert("; ".join(said))[:500]
