"""RunTask: a command of the operator's, once, in a session and process group of its own.

``ops/<op id>.begun`` is written down before it begins: found without the result beside it, nobody knows what
became of the task, and one that cannot be repeated has failed. Its output goes through a bounded window into
two files; what it leaves running in the background holds neither the step's lock nor its answer.
"""

from __future__ import annotations

import re
from math import ceil

from rollout.posix import service
from rollout.posix.op import RunTask
from rollout.posix.quote import Script, assign, lean, listing

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_WORK = lean(r"""
    # recent NAME: keep the end of what is read in NAME.a and NAME.b, at most 2 MiB. It is on record, to be ended:
    # what a task leaves running may never fall silent, and whoever listens to it holds the lock
    recent() {
        read -r me x </proc/self/stat
        echo "$me" >"$log.ear"
        while dd bs=4096 count=256 of="$1.b" 2>/dev/null && [ -s "$1.b" ]; do
            [ ! -s "$1.a" ] || : >"$1.cut"
            mv -f "$1.b" "$1.a"
        done
    }
    window() {
        set -- "$1" "$({ wc -c <"$1.a"; } 2>/dev/null)"
        [ ! -f "$1.cut" ] && [ "${2:-0}" -le 16384 ] || echo '[... what it printed before is left out (truncated) ...]'
        cat "$1.a" "$1.b" 2>/dev/null | tr -d '\000' | tail -c 16384
    }
    place() {
        look
        dir=${begin_at:-$P}
        if [ -n "$id" ]; then
            [ -d "releases/$id" ] || refuse E_NO_RELEASE "$root/releases/$id is not there"
            dir=$P/releases/$id
        elif [ "$kind" = link ]; then
            dir=$P/releases/$cur
        fi
        case $cwd in '') ;; /*) dir=$cwd;; *) dir=$dir/$cwd;; esac
        [ -d "$dir" ] || refuse E_CWD "$dir is not there: the task cannot work in it"
        case $creates in '' | /*) ;; *) creates=$dir/$creates;; esac
    }
    once() {
        [ -z "$creates" ] || [ ! -e "$creates" ] || { f skipped 1; finish done; }
        [ ! -f "$keep.begun" ] || [ -n "$repeatable" ] ||
            fail E_TASK_DOUBT "it was begun before and nobody knows how it ended: it is not run again"
        put "$keep.begun" "$task$nl" || refuse E_DISK "cannot write below $root/.rollout"
    }
    # What the variables are called is the operator's: none of ours is read once they are set.
    command_of_task() {
        words argv
        if [ -n "$user" ]; then
            argv=$q
            words env
            [ -z "$secret" ] ||
                eval "exec setsid sudo -S -p '' -k -u \"\$user\"$q -- /bin/sh -c \"\$takes\" sh$argv"
            eval "exec setsid sudo -n -u \"\$user\"$q --$argv"
        fi
        argv=$q
        words env
        eval "set -- $q$argv"
        q= q_at=1
        while [ "$q_at" -le "$env_n" ]; do
            q="$q \"\${$q_at}\""
            q_at=$((q_at + 1))
        done
        eval "${q:+export$q;} shift $env_n; exec setsid \"\$@\""
    }
    # begin: the task becomes the leader of a group of its own, which is on record before it runs
    begin() {
        (
            read -r me x </proc/self/stat
            echo "$me" >"$log.group"
            rm -f "$log.in"
            cd "$dir" || exit
            native
            command_of_task
        ) <"$log.in"
        echo "$?" >"$log.new"
        mv -f "$log.new" "$log.status"
    }
    wait_for() {
        now
        until_=$((ticks + within * 100)) pause=0.02
        while [ ! -s "$log.status" ]; do
            now
            [ "$ticks" -lt "$until_" ] || return 1
            rest "$pause"
            [ "$((ticks + within * 100 - until_))" -lt 200 ] || pause=0.2
        done
    }
    drained() {
        i=0
        while kill -0 "$reader" 2>/dev/null && [ "$i" -lt 25 ]; do
            stat "$reader" && [ "$state" != Z ] || break
            rest 0.02
            i=$((i + 1))
        done
        kill -KILL "$reader" 2>/dev/null
        ear=
        [ ! -s "$log.ear" ] || read -r ear <"$log.ear"
        [ -z "$ear" ] || kill -KILL "$ear" 2>/dev/null
    }
    killed() {
        g= end="its process group was killed"
        [ ! -s "$log.group" ] || read -r g <"$log.group"
        case $g in '' | *[!0-9]*) return;; esac
        kill -KILL "-$g" 2>/dev/null
        [ -z "$user" ] || (become=$user; elevated kill -KILL -- "-$g") 2>/dev/null </dev/null
        i=0
        while still && [ "$i" -lt 40 ]; do
            rest 0.05
            i=$((i + 1))
        done
        ! still || end="we may not kill it as ${user:-this user}: process $left still runs"
    }
    still() {
        for p in /proc/[0-9]*; do
            left=${p#/proc/}
            stat "$left" && [ "$group" = "$g" ] && [ "$state" != Z ] && return
        done
        return 1
    }
    work() {
        command -v setsid >/dev/null 2>&1 || refuse E_TOOL "setsid is not on this host"
        place
        once
        [ -d .rollout/log ] || mkdir -m 700 .rollout/log
        log=$P/.rollout/log/task
        rm -f "$log".*
        (umask 077; { [ -z "$user" ] || [ -z "$secret" ] || told; printf %s "$fed"; } >"$log.in")
        : >"$log.out.a"
        if [ -n "$prints" ]; then
            { begin 2>"$log.err" | recent "$log.out"; } >/dev/null 2>&1 &
        else
            { begin 2>&1 | recent "$log.out"; } >/dev/null 2>&1 &
        fi
        reader=$!
        if wait_for; then
            read -r status <"$log.status"
            drained
        else
            status=124
            killed
            drained
        fi
        f exit "$status"
        out=$(window "$log.out")
        [ -z "$prints" ] || tails "$(tail -c 8192 "$log.err" | tr -d '\000')"
        tails "$out"
        rm -f "$log".*
        [ "$status" != 124 ] || [ "$ticks" -lt "$until_" ] ||
            fail E_TASK_TIMEOUT "it did not end within $within s, and $end"
        [ "$status" = 0 ] || fail E_TASK "it ended with status $status"
        [ -z "$prints" ] || printed
        finish done
    }
    printed() {
        said=$(printf '%s\n' "$out" | sed -n '/[^[:space:]]/h;${x;p;}' | cut -c 1-200)
        [ -n "$said" ] || fail E_TASK_PRINTS "it was to print $prints, and printed nothing"
        f printed "$said"
    }
""")


def script(deed: RunTask) -> Script:
    """Return the script body of a RunTask; ValueError for a variable's name that no shell knows."""
    task = deed.task
    said = {
        "id": deed.release,
        "task": " ".join(task.label.split())[:100],
        "cwd": task.cwd,
        "creates": task.creates,
        "repeatable": "1" if task.repeatable else "",
        "within": max(1, ceil(task.timeout_s)),
        "user": task.user,
        "prints": task.prints,
        "fed": task.stdin,
    }
    values = "".join(assign(k, v).values for k, v in said.items())
    return Script(values=values) + _command(deed) + service.NATIVE + service.ELEVATED + _WORK


def _command(deed: RunTask) -> Script:
    """Return the command and its variables, each with its name."""
    task = deed.task
    variables = dict(task.env) if task.user else {**deed.facts, **task.env}
    named = [f"{_named(name)}={value}" for name, value in variables.items()]
    return listing("argv", task.argv or ("sh", "-c", task.shell)) + listing("env", named)


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a variable's name: {name!r}")
    return name
