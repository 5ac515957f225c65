"""Hosts are entered by a rollout which may not be the first there: once, under their lock, with a number of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from rollout.app.fencing import ANY
from rollout.app.outside import each
from rollout.app.parts import Look, Part
from rollout.engine.recovery import Looked
from rollout.model.host import HostName
from rollout.model.play import delegates_of
from rollout.model.release import Site
from rollout.perform.desk import TASKS
from rollout.perform.outside import Outside
from rollout.perform.reconcile import BALANCER_S, Doubt, entered, reconcile
from rollout.posix.op import Epoch

Say = Callable[[str], None]


def entered_all(
    asked: Sequence[Doubt], outside: Outside, forks: int, say: Say
) -> tuple[Sequence[Looked], Sequence[Looked]]:
    """Enter these hosts and those of the balancers, all at once; return what was found on either."""

    def busy(host: HostName, pid: str, bound_s: float) -> None:
        say(f"{host}: a step of the controller that is gone still runs (pid {pid}); it is given {bound_s:g} s to end")

    steps = [reconcile(doubt, time.monotonic, busy) for doubt in asked]
    with ThreadPoolExecutor(max_workers=len(outside.entering) + 1, thread_name_prefix="balancers") as threads:
        there = [threads.submit(entered, h, enter, time.monotonic, busy) for h, enter in outside.entering.items()]
        found = each(outside, steps, forks)
        return found, [one.result() for one in there]


def entered_beside(parts: Sequence[Part], outsides: Sequence[Outside], look: Look) -> None:
    """Close what the rollouts of a state that is lost have left open where no release is: nobody else ever could.

    On hosts that balancers are on, and on those that only run tasks. Who cannot be asked is named.
    """
    for part, outside in zip(parts, outsides, strict=True):
        for found in entered_all(tuple(_beside(part, look)), outside, part.play.forks, look.say):
            for one in found:
                if why := _open_still(one):
                    look.warn(f"warning: {one.host}: a rollout may be open there still: {why}. Type it again then.")
        outside.leave()


def _open_still(found: Looked) -> str:
    """Return why a host could not be entered, or ""."""
    if found.running:
        return f"a step still runs there (pid {found.running})"
    return found.why if found.fenced or not found.reachable else ""


def _beside(part: Part, look: Look) -> Iterator[Doubt]:
    play = part.play
    epoch = Epoch(number=look.epoch, rollout=look.rollout, sequence=1, over=(ANY,))
    site = Site(root=TASKS, app=play.app, environment=play.environment)
    for host in delegates_of(play.resolve(dict.fromkeys(play.matched, part.release.id)).values()):
        yield Doubt(host=host, site=site, epoch=epoch, bound_s=BALANCER_S, begun=False, delegate=True)
