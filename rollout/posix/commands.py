"""A service driven by argv lists of the user's: start, stop, restart, status.

They run in the directory of the release, with a time limit, and their output goes to a file: a daemon
that one of them leaves behind holds neither the step's lock nor its answer.
"""

from __future__ import annotations

from math import ceil

from rollout.model.release import Commands
from rollout.posix.quote import Script, assign, lean, listing

IDENTITY = lean(r"""
    svc_identity() {
        [ -n "$has_status" ] || return 0
        dir=$P
        [ -z "$cur" ] || [ ! -d "releases/$cur" ] || dir=$P/releases/$cur
        pid=$(cd "$dir" && native && with status timeout -s KILL 10 2>/dev/null | head -n 1)
        case $pid in '' | *[!0-9]*) pid=; return;; esac
        evidence "$pid"
    }
""")

CONTROL = lean(r"""
    svc_ready() { for l in $acts; do with "$l" permitted; done; }
    # act NAME: one command, its output into a file
    act() {
        dir=$P/releases/$id log=$P/.rollout/log/commands.log
        [ -d "$dir" ] || dir=$P
        [ -d .rollout/log ] || mkdir -m 700 .rollout/log
        left
        [ "$allowed" -lt "$left" ] || allowed=$left
        at=$ticks
        (cd "$dir" && native && with "$1" bounded "$allowed") >"$log" 2>&1
        status=$?
        [ "$status" -ne 0 ] || return 0
        tails "$(tail -n 40 "$log" | cut -c 1-500)"
        now
        end="ended with status $status"
        [ "$((ticks - at))" -lt "$((allowed * 100))" ] || end="did not end within $allowed s"
        [ "$1" != stop ] || fail E_STOP "the stop command $end"
        fail E_SERVICE "the $1 command $end"
    }
    svc_stop() { [ -z "$has_stop" ] || act stop; }
    svc_restart() {
        if [ -n "$has_restart" ]; then act restart; return; fi
        svc_stop
        [ -z "$has_start" ] || act start
    }
""")

EVIDENCE = lean(r"""
    svc_evidence() {
        l=.rollout/log/commands.log
        [ ! -f "$l" ] || { echo "== output of the last command"; tail -n 200 "$l"; }
        [ -n "$has_status" ] || return 0
        echo "== status"
        (cd "$P/current" && native && with status timeout -s KILL 10) 2>&1
    }
""")


def arguments(service: Commands) -> Script:
    """Return the commands, and which there are."""
    argvs = {"start": service.start, "stop": service.stop, "restart": service.restart, "status": service.status}
    said = assign("allowed", ceil(service.timeout_s))
    for name, argv in argvs.items():
        said += assign(f"has_{name}", "1" if argv else "") + listing(name, argv)
    acts = [name for name in ("restart", "stop", "start") if argvs[name] and not (name == "start" and service.restart)]
    return said + assign("acts", " ".join(acts))
