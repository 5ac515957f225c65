"""What to type next, after a play has ended, or has not."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rollout.model.host import HostName
from rollout.model.pool import HaproxyPool
from rollout.model.verdict import Cause, Outcome
from rollout.report.board import Board, found_out
from rollout.report.text import inert, names

FENCED = 7


def next_steps(board: Board) -> list[str]:
    """Say what to type next."""
    show = f"rollout show {board.rollout}"
    if board.end is None:
        return [
            f"rollout status {board.rollout}, and when its process is gone: "
            f"rollout resume, heal or revert {board.rollout}"
        ]
    if board.end.exit_code == FENCED:
        return [
            "another process has taken over, and knows more than is said here: "
            f"rollout status {board.rollout}, or that of the rollout which is named above (--state PATH)"
        ]
    if board.in_memory:
        return ["what is said of the state below"]
    stranded = board.in_state("stranded")
    if stranded and all(_balancers_fault(board.rows[h].stuck) for h in stranded):
        return [
            f"mend the balancer that is named above, it is what {names(stranded)} waits for; the evidence: {show}",
            *(f"when it answers, put {h} back: {line}" for h in stranded[:5] for line in _by_hand(board, h)),
            "then apply again: hosts that are right already are left alone",
        ]
    if stranded:
        return [
            f"look at {names(stranded)} by hand; the evidence: {show}",
            "when it is mended, apply again: hosts that are right already are left alone",
        ]
    if board.end.end == "succeeded" and board.play and board.play.purpose == "drain":
        return [f"when the work is done: {_registering(board, list(board.play.hosts))}"]
    adopted = board.play is not None and board.play.purpose == "adopt"
    if board.end.end == "succeeded" and board.end.exit_code != 0:
        again = "type the same again" if adopted else "apply again"
        return [*_left_out(board), f"mend what is off target and {again}; see {show}"]
    if board.end.end == "succeeded" and adopted:
        return [*_left_out(board), f"apply as usual: a release that fails comes back to {board.release}"]
    if board.end.end == "succeeded":
        return ["nothing"]
    if board.condemned:
        return [f"{show} has the evidence; fix the release, give it a new id, and apply that"]
    again = "apply again" if board.play and board.play.purpose == "apply" else "type the same again"
    return [f"{show} has the evidence; mend the cause and {again}: what is right already is left alone"]


def _left_out(board: Board) -> list[str]:
    """Say how who was out when it was adopted comes back: no apply puts back whom it has not put out."""
    out = found_out(board)
    return [f"who is out stays out, unless put back with: {_registering(board, out)}"] if out else []


def _registering(board: Board, hosts: Sequence[HostName]) -> str:
    """Return what puts hosts back into rotation that no rollout of ours is to put back by itself."""
    book = ("-p", board.by.playbook) if board.by.playbook else ()
    words = ("rollout", "register", *hosts, *book, *board.by.fleet)
    return " ".join(shlex.quote(inert(word)) for word in words)


def _balancers_fault(stuck: Outcome | None) -> bool:
    return stuck is not None and stuck.cause is Cause.BALANCER


def _by_hand(board: Board, host: HostName) -> list[str]:
    """Say to which sockets to say what, for the pools that would not take a host back."""
    plan, stuck = board.plan_of(host), board.rows[host].stuck
    if plan is None or stuck is None or board.play is None:
        return []
    pools = {str(p.spec.name): p.spec for p in board.play.pools}
    named = [pools[n] for n in stuck.data.get("pools", "").split() if n in pools]
    return [
        f"set server {p.backend}/{plan.members[p.name]} state ready, said to {p.socket or p.tcp}"
        + (f" on {p.via}" if p.via else "")
        for p in named
        if isinstance(p, HaproxyPool) and p.name in plan.members
    ]
