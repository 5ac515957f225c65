"""Where each host of a rollout stands, from memory: for a rollout that has no journal to be looked up in any more."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.engine.recovery import task_in_flight, unsettled
from rollout.engine.rollout import Rollout
from rollout.engine.state import At, State
from rollout.model.host import HostName
from rollout.report.recap import AFTERWARDS, elsewhere
from rollout.report.text import count, inert, names
from rollout.report.words import task

MANY = 50  # hosts that are named


def standing(rollout: Rollout) -> list[str]:
    """Return a line for each group of hosts, those first that somebody has to look at."""
    apps = {s.index: f"{inert(s.play.app, 60)}: " if len(rollout.plays) > 1 else "" for s in rollout.plays}
    return [apps[state.index] + line for state in rollout.plays for line in (*unheard(state), *_lines(state))]


def unheard(state: State) -> tuple[str, ...]:
    """Return a line about the task beside the hosts' programs that was begun, and of whose end nobody has heard."""
    hook = task_in_flight(state)
    if hook is None:
        return ()
    where = f" on {hook.host}" if hook.host else ""
    return (f"NOT KNOWN TO HAVE ENDED, and perhaps still at work: {task(hook.run)}{where}",)


def _lines(state: State) -> Iterator[str]:
    """Yield the lines of one play."""
    doubted = set(unsettled(state))
    groups: dict[str, list[HostName]] = {}
    for host in state.order:
        groups.setdefault(_said(state, host, host in doubted), []).append(host)
    for what in sorted(groups, key=lambda said: not said[:3].isupper()):  # in capitals: somebody has to look
        yield f"{count(len(groups[what]), 'host')} {what}: {names(groups[what], MANY)}"


def _said(state: State, host: HostName, doubted: bool) -> str:
    """Say what is known of a host."""
    now, before = state.hosts[host], inert(state.program(host).previous, 80)
    release = inert(state.play.release.id, 80)
    match now.phase:
        case At.STRANDED:
            return f"STRANDED, perhaps out of rotation ({inert(now.reason, 200)})"
        case At.FAILED if doubted and not now.op:
            return f"FAILED and not brought back, perhaps out of rotation ({inert(now.reason, 200)})"
        case _ if doubted:
            return f"NOT KNOWN TO BE IN ORDER, perhaps out of rotation, on {_either(before, release)}"
        case At.DONE:
            return AFTERWARDS.get(state.play.purpose, f"on {release}, in rotation")
        case At.REVERTED if now.found is not None:
            return f"{elsewhere(now.found)}, in rotation"
        case At.REVERTED:
            return f"back on {before}, in rotation as before" if before else "back to nothing, as before"
    return f"not touched, on {before or 'nothing'}"


def _either(before: str, release: str) -> str:
    return release if before == release else f"{before or 'nothing'} or {release}"
