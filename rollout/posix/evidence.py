"""Collect: what a person wants to see of a failed host, before its way back hides it."""

from __future__ import annotations

from rollout.posix import service
from rollout.posix.op import Collect
from rollout.posix.quote import Script, assign, lean

_WORK = lean(r"""
    everything() {
        echo "== current: $kind ${cur:-$raw}; running: ${running:-unknown} (pid ${pid:-none}, restarts $restarts)"
        echo "== listening"
        { timeout 5 ss -ltn || timeout 5 netstat -ltn; } 2>/dev/null
        svc_evidence
    }
    work() {
        look
        prove
        now
        since="15 min ago"
        [ -z "$linked" ] || since="$(((ticks - linked) / 100 + 1)) sec ago"
        tails "$(everything </dev/null | head -c "$most" | tr -d '\000')"
        finish done
    }
""")


def script(deed: Collect) -> Script:
    """Return the script body of a Collect."""
    return (
        assign("most", deed.max_bytes)
        + service.arguments(deed.service)
        + service.identity(deed.service)
        + service.evidence(deed.service)
        + _WORK
    )
