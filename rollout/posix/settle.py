"""Settle: what became of an Op in doubt. Its own, greater sequence is stored first, so that the Op cannot come late."""

from __future__ import annotations

from rollout.posix.epoch import record_name
from rollout.posix.op import Settle
from rollout.posix.quote import Script, assign, lean

_WORK = lean(r"""
    work() {
        found=
        for d in .rollout/ops .rollout/ops.old; do
            [ -n "$found" ] || [ ! -f "$d/$doubt" ] || found=$d/$doubt
        done
        if [ -n "$found" ]; then
            f recorded 1
            while read -r w k said; do
                case $w in
                    f) f "was.$k" "$said";;
                    s) f was.summary "$k $said";;
                    end)
                        f was.status "$k"
                        f was.code "${said#-}"
                    ;;
                esac
            done <"$found"
        else
            f recorded 0
        fi
        look
        f current "$cur"
        f current_kind "$kind"
        finish done
    }
""")


def script(deed: Settle) -> Script:
    """Return the script body of a Settle."""
    return assign("doubt", record_name(deed.op)) + _WORK
