"""What a simulated host says for a balancer that runs on it (the real one: rollout/posix/converse.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rollout.posix.op import AskBalancer, Reply, TellBalancer


def converse(tool: str, sockets: Mapping[str, Callable[[str], str]], do: AskBalancer | TellBalancer) -> Reply:
    """Say each line by ``tool`` to what listens; who does not answer one is not asked the next."""
    if not tool:
        return Reply(status="refused", code="E_LB_TOOL")
    listens = sockets.get(do.socket or do.tcp)
    tail: list[str] = []
    for line in do.lines:
        answer = listens(line) if listens else ""
        tail += ["#", *(f"|{said}" for said in answer.removesuffix("\n").split("\n") if answer)]
        if not answer:
            tail += [] if listens else ["No such file or directory", "status 1"]
            break
    return Reply(status="done", fields={"tool": tool}, tail=tuple(tail))
