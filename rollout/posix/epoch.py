"""The fencing epoch on a host: who may change it, compared and stored under the lock.

Stored as one line ``NUMBER ROLLOUT SEQUENCE open|closed``. A greater number replaces; an equal number of
another rollout and a lower number are refused (``E_FENCED``), and so is whoever meets an open pair of a
rollout that it does not know to have ended; the same pair with a lower sequence is a late delivery
(``E_STALE``). A line without the last word was written by a version that knew none, and is closed.
The records of a rollout's Ops are put aside when another rollout comes, and dropped when the next one does:
``ops/`` then ``ops.old/``.
"""

from __future__ import annotations

import hashlib
import re

from rollout.posix.op import Epoch
from rollout.posix.quote import Script, assign, lean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]{0,120}")
_WORD = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}")


def record_name(op: str) -> str:
    """Return the file name of an Op's record: its id where that is a plain name, else a digest of it."""
    return op if _NAME.fullmatch(op) else hashlib.sha256(op.encode()).hexdigest()


def arguments(epoch: Epoch) -> Script:
    """Return the assignments that carry the epoch; ValueError when the rollout's id is not one word."""
    if not _WORD.fullmatch(epoch.rollout) or epoch.number < 0 or epoch.sequence < 0:
        raise ValueError(f"not an epoch: {epoch!r}")
    over = [name for name in epoch.over if _WORD.fullmatch(name)]
    said = assign("number", epoch.number) + assign("rollout", epoch.rollout) + assign("sequence", epoch.sequence)
    return said + assign("over", " ".join(over)) + assign("stand", "closed" if epoch.closing else "open")


TEXT = lean(r"""
    epoch() {
        enumber=0 erollout= esequence=0 estand=
        if [ -s .rollout/epoch ]; then read -r enumber erollout esequence estand <.rollout/epoch; fi
        case $enumber:$esequence in
            *[!0-9:]* | :* | *:) refuse E_EPOCH "$root/.rollout/epoch cannot be read; look at it, then remove it";;
        esac
        if [ -n "$erollout" ]; then fence; fi
        [ "$erollout" = "$rollout" ] || turn
        [ "$enumber $erollout $esequence $estand" = "$number $rollout $sequence $stand" ] ||
            put .rollout/epoch "$number $rollout $sequence $stand$nl" ||
            refuse E_DISK "cannot write $root/.rollout/epoch"
    }
    fence() {
        f epoch "$enumber $erollout $estand"
        if [ "$enumber" -gt "$number" ] || { [ "$enumber" -eq "$number" ] && [ "$erollout" != "$rollout" ]; }; then
            refuse E_FENCED "rollout $erollout (epoch $enumber) has been here after $rollout (epoch $number)"
        fi
        case $erollout:$estand: in
            "$rollout":*) ;;
            *:open:)
                case " $over " in
                    *" $erollout "* | *" * "*) ;;
                    *) refuse E_FENCED "rollout $erollout is not over here (epoch $enumber), as far as $rollout knows";;
                esac
            ;;
        esac
        if [ "$enumber" -eq "$number" ] && [ "$esequence" -gt "$sequence" ]; then
            refuse E_STALE "a later step ($esequence) of this rollout has been here: step $sequence is over"
        fi
        R= O="$N begin$nl"
    }
    turn() { rm -rf .rollout/ops.old; [ ! -d .rollout/ops ] || mv -T .rollout/ops .rollout/ops.old; }
    # replay: the recorded result of this very Op, if it was carried out before
    replay() {
        [ -d .rollout/ops ] || mkdir -m 700 .rollout/ops 2>/dev/null
        keep=.rollout/ops/$record
        [ -f "$keep" ] || return 0
        while IFS= read -r l; do O="$O$N $l$nl"; done <"$keep"
        $unlock
        printf %s "$O"
        exit 0
    }
""")
