"""Identify: which release the running service is of, by what the kernel says about its process."""

from __future__ import annotations

from rollout.posix import service
from rollout.posix.op import Identify
from rollout.posix.quote import Script, assign, lean

SAY = lean(r"""
    proven() {
        f running "$running"
        f pid "$pid"
        f started "$started"
        f linked "$linked"
        f fresh "$fresh"
        f restarts "$restarts"
        [ -z "$dead" ] || f dead 1
    }
""")

_WORK = lean(r"""
    work() {
        look
        prove
        proven
        finish done
    }
""")


def script(deed: Identify) -> Script:
    """Return the script body of an Identify."""
    return assign("id", deed.release) + service.arguments(deed.service) + service.identity(deed.service) + SAY + _WORK
