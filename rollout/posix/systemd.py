"""systemd units: acted on in order, by sudo where another user must do it; read without any privilege.

``each_unit`` calls its argument with UNIT ACTION TIMEOUT, once for every unit.
"""

from __future__ import annotations

import re
from math import ceil

from rollout.model.release import Systemd
from rollout.posix.quote import Script, assign, lean

_UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]{0,254}")

# All units must show the same release; the oldest start of them decides whether it is fresh.
IDENTITY = lean(r"""
    each_unit() {
        each_do=$1
        set -- $units
        while [ $# -gt 2 ]; do
            "$each_do" "$1" "$2" "$3"
            shift 3
        done
    }
    svc_identity() {
        proof=
        each_unit unit_identity
        [ "$proof" != mixed ] || { running=; fresh=0; }
    }
    unit_identity() {
        [ "$proof" != mixed ] || return 0
        unit_shown "$1"
        [ -n "$up" ] || { proof=mixed; return; }
        wr=$running wf=$fresh wp=$pid ws=$started
        started=$((ustart / 10000))
        evidence "$upid" "$upath"
        if [ -z "$proof" ]; then proof=one pid=$upid; return; fi
        [ "$running" = "$wr" ] || proof=mixed
        [ "$wf" = 1 ] || fresh=0
        pid=$wp started=$ws
    }
    unit_shown() {
        up= upid= ustart=0 upath= ended= job= stopping= result=
        x=ActiveState,Job,Result,MainPID,NRestarts,ExecMainStartTimestampMonotonic,ExecStart,WorkingDirectory
        w=$(timeout 10 systemctl show -p "$x" "$1" 2>/dev/null)
        set -f
        IFS=$nl
        for l in $w; do
            x=${l#*=}
            case $l in
                ActiveState=active | ActiveState=reloading) up=1;;
                ActiveState=failed | ActiveState=inactive) ended=1;;
                ActiveState=deactivating) stopping=1;;
                Job=[1-9]*) job=1;;
                Result=*) result=$x;;
                MainPID=[1-9]*) upid=$x;;
                NRestarts=[0-9]*) restarts=$((restarts + x));;
                ExecMainStartTimestampMonotonic=[0-9]*) ustart=$x;;
                ExecStart=* | WorkingDirectory=*) upath="$upath $x ";;
            esac
        done
        unset IFS
        set +f
        [ -z "$ended" ] || [ -n "$job" ] || dead=1
    }
""")

CONTROL = lean(r"""
    svc_ready() { each_unit unit_ready; }
    # A host without a release may have to be stopped again on its way back.
    unit_ready() { permitted systemctl "$2" "$1"; [ -n "${cur-}" ] || permitted systemctl stop "$1"; }
    svc_restart() { each_unit unit_act; }
    svc_stop() { each_unit unit_stop; }
    unit_stop() { unit_act "$1" stop "$3"; }
    unit_act() {
        left
        [ "$3" -le 0 ] || [ "$3" -ge "$left" ] || left=$3
        log=.rollout/log/systemctl.log
        [ -d .rollout/log ] || mkdir -m 700 .rollout/log 2>/dev/null
        { : >"$log"; } 2>/dev/null || log=/dev/null
        bounded "$left" systemctl "$2" "$1" >"$log" 2>&1
        status=$?
        [ "$status" -ne 0 ] || return 0
        tails "$(tail -n 20 "$log" | cut -c 1-500)"
        tails "$(timeout 10 systemctl status --no-pager -n 20 "$1" 2>&1 | cut -c 1-500)"
        unit_shown "$1"
        [ -z "$stopping" ] || fail E_STOP "systemctl $2 $1: what ran before did not end within $left s"
        [ "$status" -ne 124 ] || fail E_SERVICE "systemctl $2 $1 did not end within $left s"
        fail E_SERVICE "systemctl $2 $1 failed ($result)"
    }
""")

EVIDENCE = lean(r"""
    svc_evidence() { each_unit unit_evidence; }
    unit_evidence() {
        echo "== systemctl status $1"
        timeout 10 systemctl status --no-pager -l -n 0 "$1" 2>&1
        echo "== journal of $1"
        timeout 10 journalctl -u "$1" --no-pager -o short-iso -n 400 --since "$since" 2>&1
    }
""")


def arguments(service: Systemd) -> Script:
    """Return the assignment that names the units, three words each; ValueError for what cannot be one."""
    said = list[str]()
    for unit in service.units:
        if not _UNIT.fullmatch(unit.unit):
            raise ValueError(f"not the name of a unit: {unit.unit!r}")
        said += (unit.unit, unit.action, str(ceil(unit.timeout_s)))
    return assign("units", " ".join(said))
