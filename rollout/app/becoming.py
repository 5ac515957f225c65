"""The passwords of sudo that a plan on record asks for: had before anything is done, or asked for by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rollout.engine.recovery import touched
from rollout.errors import Reason, Refused
from rollout.model.secret import TYPED, references

if TYPE_CHECKING:
    from rollout.engine.recovery import Aim
    from rollout.engine.rollout import Rollout
    from rollout.model.host import Connection


def of_rollout(state: Rollout, aim: Aim) -> Iterable[Connection]:
    """Yield how the hosts are reached that are still to be worked on: who was touched, and to go on all of them."""
    for play in state.plays:
        for host in play.order if aim == "resume" else touched(play):
            yield play.program(host).connection


def refuse_without(reached: Iterable[Connection], again: str) -> None:
    """Raise Refused where a password cannot be had. ``again``: the command that asks for one that was typed."""
    wanted = {ref for way in reached if way.become for ref in references(way.become.password)}
    if not wanted:
        return
    from rollout.secrets.keyring import keyring

    keys = keyring()
    reasons = keys.faults(wanted - {TYPED})
    if TYPED in wanted and not keys.holds(TYPED):
        what = "sudo's password was typed with -K, and nobody has kept it."
        reasons.append(Reason(code="E_SECRET", what=what, instead=f"Type it again, on a terminal: {again}"))
    if reasons:
        raise Refused(*reasons)


def again_with(rollout: str, aim: Aim) -> str:
    """Return what is typed to take a rollout over, with its password."""
    return "rollout apply PLAYBOOK --recover -K" if aim == "recover" else f"rollout {aim} {rollout} -K"
