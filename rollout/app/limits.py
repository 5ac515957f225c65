"""What this machine lets one process have: asked for before anything is touched, and said when it runs out."""

from __future__ import annotations

import resource
from contextlib import suppress

from rollout.errors import Reason, Refused

OWN_FILES = 64  # the state, probes that run at once, an artifact for each upload, and what Python itself keeps open
FILES_PER_HOST = 2  # its session, and a probe of it


def room_for(hosts: int, behind: int = 0) -> None:
    """Have so many files be allowed as these hosts take at once; raise Refused where that is not to be had.

    ``behind``: how many of them are reached through jump hosts, which takes one file more for each.
    """
    needed = OWN_FILES + FILES_PER_HOST * hosts + behind
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        what = f"{needed} open files are needed for {hosts} hosts, and this process may have {hard}."
        raise Refused(Reason(code="E_FILES", what=what, instead=f"Have more be allowed: ulimit -n {needed}"))
    with suppress(ValueError, OSError):  # not every system allows what it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def ran_out(what: str) -> str:
    """Say what there is no more of, and where to look."""
    return f"E_LIMIT: this machine has no more {what} for this process. See what it may have: ulimit -a; free -m"
