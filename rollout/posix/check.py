"""RunCheck: one command of the user's in the directory of the release under test."""

from __future__ import annotations

from math import ceil

from rollout.posix import service
from rollout.posix.op import RunCheck
from rollout.posix.quote import Script, assign, lean, listing

# KILL to the group of timeout(1); what it prints is cut here already.
_WORK = lean(r"""
    work() {
        [ -d "releases/$id" ] || refuse E_NO_RELEASE "$root/releases/$id is not there"
        out=$(
            cd "releases/$id" || exit
            {
                native
                now
                before=$ticks
                with check timeout -s KILL "$within" 2>&1
                status=$?
                now
                [ $((ticks - before)) -lt $((within * 100)) ] || status=124
                echo "$nl$status"
            } | tail -c 16384 | tr -d '\000'
        )
        f status "${out##*"$nl"}"
        tails "${out%"$nl"*}"
        finish done
    }
""")


def script(deed: RunCheck) -> Script:
    """Return the script body of a RunCheck."""
    within = max(1, ceil(deed.timeout_s))
    return assign("id", deed.release) + assign("within", within) + listing("check", deed.argv) + service.NATIVE + _WORK
