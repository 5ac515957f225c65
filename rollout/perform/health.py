"""Prove a release on one host: identity of what runs, and checks that pass for long enough (I8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rollout.model.check import CheckSpec, CommandCheck, Health, Probed
from rollout.model.host import HostName
from rollout.model.release import NoService, Process, ReleaseId, Service, Systemd
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.desk import Desk
from rollout.perform.effects import Effect, Probe, Sleep, Tell, Together
from rollout.perform.ensure import Lost, Wording, ask
from rollout.perform.observe import boot_of, machine_of
from rollout.posix.op import Identify, Observe, Reply, RunCheck

IDENTIFY_S = 20.0
OBSERVE_S = 10.0
WHY_EVERY = 4  # failing looks at a service that starts: asking for its process, too, would slow it down


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What has to be proven about one host, and how fast it is looked at."""

    release: ReleaseId
    service: Service
    checks: tuple[CheckSpec, ...]
    health: Health
    identity: bool


async def prove(desk: Desk, wording: Wording, proof: Proof) -> Outcome:
    """Return passed once the host was healthy for ``healthy_for`` without a break, or why it was not."""
    started = desk.now()
    deadline = started + proof.health.deadline_s
    healthy_since: float | None = None
    was_healthy = False
    last_ill: Seen | None = None  # to blame, when the window of health began too late
    restarts = ""
    looks = 0
    while True:
        last = desk.now() + proof.health.interval_s > deadline
        seen = await look(wording, proof, why=last or was_healthy or looks % WHY_EVERY == 0)
        looks += 1
        if not seen.ok or (restarts and seen.restarts != restarts):
            healthy_since, last_ill = None, seen
        elif healthy_since is None:
            healthy_since, was_healthy = desk.now(), True
        restarts = seen.restarts
        if healthy_since is not None and desk.now() - healthy_since >= proof.health.healthy_for_s:
            return Outcome(summary=f"healthy for {proof.health.healthy_for_s:g} s")
        if seen.dead and desk.now() - started >= proof.health.start_period_s:
            return _failed(seen)
        pause = proof.health.interval_s if was_healthy else _pause_s(desk, proof, desk.now() - started)
        if desk.now() + pause > deadline:
            return _failed(last_ill or seen)
        await Sleep(seconds=_until_counted(desk, proof, healthy_since, pause))


def _pause_s(desk: Desk, proof: Proof, waited_s: float) -> float:
    """Return how long to wait for a service that starts: seen late by a share of what it took, whatever that is."""
    return min(proof.health.interval_s, max(desk.pace.first_probe_s, waited_s * desk.pace.late_share))


def _until_counted(desk: Desk, proof: Proof, healthy_since: float | None, pause: float) -> float:
    """Return the pause, cut short where the last probe of the window is due sooner."""
    if healthy_since is None:
        return pause
    return max(0.001, min(pause, healthy_since + proof.health.healthy_for_s - desk.now()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look: whether all passed, whether the host could be asked, and what was wrong."""

    ok: bool
    reachable: bool = True
    summary: str = ""
    restarts: str = ""
    dead: bool = False  # there is no process, and nobody who would start one


async def look(wording: Wording, proof: Proof, *, why: bool = True) -> Seen:
    """Ask every check, and when they pass, what runs: a 200 from the old process never counts.

    ``why``: when one fails, ask the host too whether anything runs at all.
    """
    for answer in await checked(wording, proof):
        if not answer.ok and not why:
            return Seen(ok=False, reachable=answer.reachable, summary=answer.summary)
        if not answer.ok:
            return await _explained(wording, proof, answer)
    if not proof.identity:
        return Seen(ok=True)
    seen = await _identity(wording, proof)
    elsewhere = "" if seen.ok or not proof.checks or not seen.reachable else "; something else answers the checks"
    return replace(seen, summary=seen.summary + elsewhere) if elsewhere else seen


async def _explained(wording: Wording, proof: Proof, answer: Probed) -> Seen:
    """Say of a check that failed whether anything runs at all, and how often it had to be started again."""
    told = isinstance(proof.service, Process) or (proof.identity and isinstance(proof.service, Systemd))
    seen = await _identity(wording, proof) if answer.reachable and told else None
    if seen is None or not seen.reachable:
        return Seen(ok=False, reachable=answer.reachable, summary=answer.summary)
    if isinstance(proof.service, Process) and seen.dead:
        return seen
    gone = f"{seen.summary}; " if seen.dead else ""
    return replace(seen, ok=False, summary=gone + answer.summary)


async def checked(wording: Wording, proof: Proof) -> tuple[Probed, ...]:
    """Run every check at once."""
    if not proof.checks:
        return ()
    effects = tuple(_effect(wording, proof.release, check) for check in proof.checks)
    answers = await Together(effects=effects)
    return tuple(map(_probed, answers))


def _effect(wording: Wording, release: ReleaseId, check: CheckSpec) -> Effect:
    if isinstance(check, CommandCheck):
        deed = RunCheck(release=release, argv=check.argv, timeout_s=check.timeout_s)
        return Tell(host=wording.host, op=wording.op(deed, check.timeout_s))
    return Probe(host=wording.host, check=check)


def _probed(answer: object) -> Probed:
    """Read one answer, whichever way the check was asked."""
    if isinstance(answer, Probed):
        return answer
    if isinstance(answer, Reply):
        status = answer.fields.get("status", "")
        said = f": {answer.tail[-1]}" if answer.tail else ""
        return Probed(ok=answer.status == "done" and status == "0", summary=f"the check command ended {status}{said}")
    return Probed(ok=False, reachable=False, summary=str(answer))


async def _identity(wording: Wording, proof: Proof) -> Seen:
    reply = await ask(wording, Identify(release=proof.release, service=proof.service), IDENTIFY_S)
    if isinstance(reply, Lost):
        return Seen(ok=False, reachable=False, summary=reply.why)
    running, fresh = reply.fields.get("running", ""), reply.fields.get("fresh", "")
    restarts = f"{reply.fields.get('restarts', '')}/{reply.fields.get('pid', '')}"
    if isinstance(proof.service, Process) and not reply.fields.get("pid"):
        return Seen(ok=False, summary="the process has ended", dead=True)
    if not proof.identity:
        return Seen(ok=True, restarts=restarts)
    if running == proof.release and fresh == "1":
        return Seen(ok=True, restarts=restarts)
    dead = isinstance(proof.service, Systemd) and reply.fields.get("dead") == "1"
    return Seen(ok=False, summary=_unproven(proof, reply.fields), restarts=restarts, dead=dead)


def _unproven(proof: Proof, fields: Mapping[str, str]) -> str:
    """Say why what runs is not the release that should run."""
    running, pid = fields.get("running", ""), fields.get("pid", "")
    if fields.get("dead") == "1":
        return "the unit has ended, and systemd does not start it again"
    if running and running != proof.release:
        return f"the running process is of {running}, not of {proof.release}"
    if not pid:
        return f"no process of {proof.release} runs"
    if fields.get("fresh") != "1":
        return "the running process is older than the switch"
    how = "let its command or working directory lie below {root}/current, or say `identity: checks`"
    return f"process {pid} does not show that it is of {proof.release}: {how}"


async def rebooted(desk: Desk, wording: Wording) -> bool:
    """Say whether the host restarted since preflight: then a process that is gone says nothing of its release."""
    plan = desk.host(wording.host)
    reply = await ask(wording, Observe(service=plan.service), OBSERVE_S)
    return isinstance(reply, Reply) and bool(plan.boot) and boot_of(reply.fields) != plan.boot


async def another(desk: Desk, wording: Wording) -> str:
    """Return the id of the machine that answers in the host's place, "" where it is the one that was looked at."""
    plan = desk.host(wording.host)
    reply = await ask(wording, Observe(service=plan.service), OBSERVE_S) if plan.machine else None
    found = machine_of(reply.fields) if isinstance(reply, Reply) else ""
    return found if found != plan.machine else ""


def _failed(seen: Seen) -> Outcome:
    """Blame the release only when the host could be asked."""
    cause = Cause.RELEASE if seen.reachable else Cause.CONNECTION
    dead = {"dead": "1"} if seen.dead else {}
    count = seen.restarts.partition("/")[0]
    again = f"; systemd has started it again {count} times" if count not in ("", "0") else ""
    summary = (seen.summary or "not healthy long enough") + again
    return Outcome(verdict=Verdict.FAILED, cause=cause, summary=summary, data=dead)


def proof_of(desk: Desk, host: HostName, release: ReleaseId, *, way_back: bool) -> Proof:
    """Return what must be proven on a host for a release, on the way there or back."""
    plan = desk.host(host)
    demanded = desk.play.health.identity == "process" and not isinstance(plan.service, NoService)
    return Proof(
        release=release,
        service=plan.service,
        checks=plan.checks_back if way_back else plan.checks,
        health=desk.play.health,
        identity=demanded and (plan.identity_back or not way_back),
    )
