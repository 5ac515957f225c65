"""The step lock of an app on a host: flock where there is one, else a lock directory with its owner inside.

Taken by trying, with a pause of 0.1 s, until the step's deadline; never by waiting in the kernel,
which would leave a waiter behind when the controller has gone.

The lock directory ``lock.d`` is never empty while it is held: it holds one directory named by its owner
(process id, start, boot), and appears by one rename. A dead owner's is taken away by ``rmdir`` of that very
name, which succeeds for one taker only; an empty ``lock.d`` is nobody's and may be removed by anybody.
Let go, it is renamed to ``free``.
"""

from __future__ import annotations

from rollout.posix.quote import lean

TEXT = lean(r"""
    myself() {
        read -r me x </proc/self/stat
        stat "$me"
        token=$me.$start.$boot
    }
    lock() {
        myself
        if command -v flock >/dev/null 2>&1; then
            { true >>.rollout/lock; } 2>/dev/null || unwritten
            exec 9>>.rollout/lock
            try=tryflock
        else
            try=trydir
        fi
        until $try; do
            now
            [ "$ticks" -lt "$deadline" ] || held
            rest 0.1
        done
        { echo "$me" >.rollout/holder; } 2>/dev/null
    }
    unwritten() {
        try touch .rollout || refuse E_ROOT "cannot write below $root/.rollout as $(id -un)$why"
        refuse E_DISK "cannot make a lock below $root/.rollout: the disk is full"
    }
    tryflock() { flock -n 9; }
    held() {
        who=
        { read -r who <.rollout/holder; } 2>/dev/null
        f holder "$who"
        refuse E_STEP_STILL_RUNNING "another step (pid ${who:-unknown}) holds $root/.rollout/lock; wait for it"
    }
    alive() {
        o=${1#*.}
        [ "${o#*.}" = "$boot" ] && stat "${1%%.*}" && [ "$start" = "${o%%.*}" ]
    }
    trydir() {
        mkdir -p ".rollout/l.$token/$token" 2>/dev/null || reuse || unwritten
        if [ ! -e .rollout/lock.d ] && mv -T ".rollout/l.$token" .rollout/lock.d 2>/dev/null; then
            unlock=dropdir
            return
        fi
        for d in .rollout/lock.d/* .rollout/l.*; do
            [ -d "$d" ] || continue
            o=${d##*/}
            o=${o#l.}
            alive "$o" || { rmdir ".rollout/l.$o/$o"; rmdir "$d"; } 2>/dev/null
        done
        rmdir .rollout/lock.d 2>/dev/null
        return 1
    }
    # A lock that is let go is kept for a disk without inodes: taking it again is two renames.
    dropdir() {
        for d in .rollout/free/*; do rmdir "$d" .rollout/free 2>/dev/null; done
        mv -T .rollout/lock.d .rollout/free 2>/dev/null || rmdir ".rollout/lock.d/$token" .rollout/lock.d
    }
    reuse() {
        rmdir ".rollout/l.$token" 2>/dev/null
        mv -T .rollout/free ".rollout/l.$token" 2>/dev/null || return 1
        for d in ".rollout/l.$token"/*; do mv -T "$d" ".rollout/l.$token/$token" || return 1; done
    }
""")
