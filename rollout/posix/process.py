"""A process of our own, for hosts without an init system: pid file, own session and process group.

``.rollout/pid`` holds ``PID START BOOT``: a process id alone could be somebody else's by now.
"""

from __future__ import annotations

from math import ceil

from rollout.model.release import Process
from rollout.posix.quote import Script, assign, lean, listing

# pid_of: the process of the pid file when it still is that one
IDENTITY = lean(r"""
    pid_of() {
        pid= pstart= pboot=
        [ ! -f .rollout/pid ] || read -r pid pstart pboot <.rollout/pid
        if [ -n "$pid" ] && [ "$pboot" = "$boot" ] && stat "$pid" && [ "$start" = "$pstart" ]; then
            case $state in Z | X) ;; *) return;; esac
        fi
        pid=
        return 1
    }
    svc_identity() { pid_of && evidence "$pid"; }
""")

CONTROL = lean(r"""
    svc_ready() { command -v setsid >/dev/null 2>&1 || refuse E_SERVICE "setsid is not on this host"; }
    # grouped GROUP: whether anything of it lives; zombies that a slow init has not reaped do not count
    grouped() {
        kill -0 "-$1" 2>/dev/null || return 1
        for d in /proc/[0-9]*; do
            if stat "${d#/proc/}" && [ "$group" = "$1" ]; then
                case $state in Z | X) ;; *) return 0;; esac
            fi
        done
        return 1
    }
    svc_stop() {
        pid_of || return 0
        g=$pid
        kill "-$signal" "-$g" 2>/dev/null || kill "-$signal" "$g" 2>/dev/null
        now
        until_=$((ticks + patience))
        while pid_of; do
            now
            [ "$ticks" -lt "$until_" ] || break
            rest 0.02
        done
        # The leader is gone or out of time; what is left of its group gets a moment, then no choice.
        i=0
        while grouped "$g" && [ "$i" -lt 10 ] && ! pid_of; do rest 0.02; i=$((i + 1)); done
        kill -KILL "-$g" 2>/dev/null
        i=0
        while pid_of && [ "$i" -lt 100 ]; do rest 0.02; i=$((i + 1)); done
        ! pid_of || fail E_STOP "process $pid does not end, not even by KILL"
        rm -f .rollout/pid
    }
    startable() { command -v "$1" >/dev/null 2>&1; }
    # What may be run by its mode, and is not, is barred by the host: that says nothing of the release.
    barred() { [ -n "$(find -L "$1" -prune -type f -perm -100 2>/dev/null)" ]; }
    unstarted() {
        ! (cd "$dir" && with process barred) ||
            fail E_NOEXEC "nothing may be run in $dir (Permission denied): a disk mounted noexec, or a policy"
        fail E_SERVICE "$1"
    }
    svc_start() {
        dir=$P/releases/$id log=$P/.rollout/log/process.log
        [ -d .rollout/log ] || mkdir -m 700 .rollout/log
        [ ! -f "$log" ] || mv -f "$log" "$log.1"
        (cd "$dir" && with process startable) || unstarted "the command of the process cannot be run in $dir"
        (
            # It puts itself on record before it becomes the service: a step that dies here leaves nobody unknown.
            read -r pid x </proc/self/stat
            stat "$pid" && soft .rollout/pid "$pid $start $boot$nl"
            cd "$dir" || exit
            native
            with process exec setsid
        ) </dev/null >"$log" 2>&1 &
        started=$!
        i=0
        while ! { pid_of && [ "$pid" = "$started" ]; } && kill -0 "$started" 2>/dev/null && [ "$i" -lt 500 ]; do
            rest 0.01
            i=$((i + 1))
        done
        rest 0.01
        ! pid_of || [ "$pid" != "$started" ] || return 0
        wait "$started"
        status=$?
        tails "$(tail -n 20 "$log" | cut -c 1-500)"
        [ "$status" != 126 ] || unstarted "the process could not be started"
        fail E_SERVICE "the process ended as soon as it was started"
    }
    svc_restart() { svc_stop; svc_start; }
""")

EVIDENCE = lean(r"""
    svc_evidence() {
        if pid_of; then echo "process $pid runs"; else echo "no process runs"; fi
        for l in .rollout/log/process.log; do [ ! -f "$l" ] || { echo "== $l"; tail -n 200 "$l"; }; done
    }
""")


def arguments(service: Process) -> Script:
    """Return the assignments that carry a process service."""
    signal = service.stop_signal.removeprefix("SIG")
    return (
        assign("signal", signal)
        + assign("patience", ceil(service.stop_timeout_s * 100))
        + listing("process", service.command)
    )
