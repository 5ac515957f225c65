"""What runs a release, chosen by its kind: the shell text that starts, stops, proves and explains it.

Every kind gives the same functions: ``svc_identity`` (sets running, pid, started, fresh, restarts, dead),
``svc_ready``, ``svc_restart``, ``svc_stop``, ``svc_evidence``.
"""

from __future__ import annotations

from rollout.model.release import Commands, NoService, Process, Service, Systemd
from rollout.posix import commands, process, systemd
from rollout.posix.quote import Script, lean

# Without a service what current names is what is used.
_NONE_IDENTITY = "svc_identity() { running=$cur fresh=1; }\n"
_NONE_CONTROL = "idle=1\nsvc_ready() { :; }\nsvc_restart() { :; }\nsvc_stop() { :; }\n"
_NONE_EVIDENCE = "svc_evidence() { :; }\n"

# native: give a command of the user's the locale of the login
NATIVE = 'native() { if [ -n "$had_lc" ]; then LC_ALL=$had_lc; else unset LC_ALL; fi; }\n'

# evidence PID PATHS: which release a process is of, by its cwd, its exe or a path that it was started with.
_PROOF = NATIVE + lean(r"""
    below() {
        case $1 in
            *"$P"/releases/*) running=${1#*"$P"/releases/};;
            *"$root"/releases/*) running=${1#*"$root"/releases/};;
            *) return 1;;
        esac
        running=${running%%[!A-Za-z0-9._+~-]*}
        valid "$running" || { running=; return 1; }
    }
    # evidence PID PATHS: sets running and fresh (and started, where the process can be seen)
    evidence() {
        running= fresh=0
        if [ -n "$1" ] && stat "$1"; then started=$start; fi
        if [ -n "$linked" ] && [ "${started:-0}" -gt 0 ] && [ "$started" -ge "$linked" ]; then fresh=1; fi
        if [ -n "$1" ]; then
            below "$(readlink "/proc/$1/cwd" 2>/dev/null)" && return
            below "$(readlink "/proc/$1/exe" 2>/dev/null)" && return
            set -- "$1" "$(tr '\000' ' ' <"/proc/$1/cmdline" 2>/dev/null) ${2-}"
        fi
        below "${2-}" && return
        case "${2-} " in
            *"$root"/current[/\ ]* | *"$P"/current[/\ ]*) [ "$fresh" = 0 ] || running=$cur;;
        esac
    }
    # prove: look must have run. linked: ticks when the link was last moved, 0 for an earlier boot, "" unknown
    prove() {
        running= pid= started= fresh=0 restarts=0 linked= dead=
        if [ -f .rollout/switched ]; then
            while read -r a b x; do
                [ "$a" = "$cur" ] || continue
                linked=0
                [ "$x" != "$boot" ] || linked=$b
                break
            done <.rollout/switched
        fi
        svc_identity
    }
""")

# elevated COMMAND...: as $become. The password goes into sudo alone: where sudo does not ask for it, it is read away up
# to the mark, and what follows that is the command's own.
ELEVATED = lean(r"""
    takes='while IFS= read -r l; do [ "$l" != rollout-begins ] || exec "$@"; done; exit 97'
    elevated() {
        if [ -z "$secret" ]; then sudo -n -u "$become" -- "$@"; return; fi
        told | sudo -S -p '' -k -u "$become" -- /bin/sh -c "$takes" sh "$@"
    }
    told() { printf '%s\n' "$secret" rollout-begins; }
""")

# What a service that somebody else controls takes: time limits, and rights.
BOUNDS = ELEVATED + lean(r"""
    # bounded SECONDS COMMAND...: status 124 when it did not end in time. We cannot kill what another user
    # runs (timeout would wait for ever): that is left to itself, and must hold nothing that we wait for.
    bounded() {
        if [ -z "$become" ]; then
            # Who does not heed TERM gets two seconds; old BusyBoxes know no -k.
            ! timeout -k 1 1 true 2>/dev/null || set -- -k 2 "$@"
            timeout "$@"
            return
        fi
        t=$1
        shift
        within "$t" elevated "$@"
    }
    within() {
        now
        until_=$((ticks + $1 * 100))
        shift
        ("$@"; exit $?) &
        child=$!
        while stat "$child" && [ "$state" != Z ]; do
            now
            [ "$ticks" -lt "$until_" ] || { kill -KILL "$child"; return 124; }
            rest 0.02
        done
        wait "$child"
    }
    # sudo may ask a directory of users: who is kept waiting once is not kept waiting again. A password is asked for
    # once: who says it wrong three times may be locked out
    permitted() {
        [ -n "$become" ] && [ -z "${mute-}" ] || return 0
        if [ -n "$secret" ]; then
            mute=1 asked="sudo -S -u $become"
            within 10 elevated true
        else
            asked="sudo -n -u $become $*"
            within 10 sudo -n -u "$become" -l "$@"
        fi >/dev/null 2>&1
        case $? in
            0) ;;
            124) mute=1; denied "$asked: no answer within 10 s";;
            *) denied "$asked${secret:+: the password is not taken}";;
        esac
    }
    denied() {
        [ -n "$secret" ] || set -- "without a password: $1"
        refuse E_SUDO "not permitted${secret:+:} $1"
    }
""")


def arguments(service: Service) -> Script:
    """Return the assignments that carry what the operator said about the service."""
    match service:
        case Systemd():
            return systemd.arguments(service)
        case Commands():
            return commands.arguments(service)
        case Process():
            return process.arguments(service)
        case NoService():
            return Script()


def identity(service: Service) -> str:
    """Return the text that proves which release runs."""
    match service:
        case Systemd():
            return _PROOF + systemd.IDENTITY
        case Commands():
            return _PROOF + commands.IDENTITY
        case Process():
            return _PROOF + process.IDENTITY
        case NoService():
            return _PROOF + _NONE_IDENTITY


def control(service: Service) -> str:
    """Return the text that starts and stops; it stands after ``identity``."""
    match service:
        case Systemd():
            return BOUNDS + systemd.CONTROL
        case Commands():
            return BOUNDS + commands.CONTROL
        case Process():
            return process.CONTROL
        case NoService():
            return _NONE_CONTROL


def evidence(service: Service) -> str:
    """Return the text that explains a service to a person; it stands after ``identity``."""
    match service:
        case Systemd():
            return systemd.EVIDENCE
        case Commands():
            return commands.EVIDENCE
        case Process():
            return process.EVIDENCE
        case NoService():
            return _NONE_EVIDENCE
