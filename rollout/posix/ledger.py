"""The ledger of an app on a host: which release was installed, activated, verified, kept, adopted, or is bad.

One line ``ID MARK SECONDS`` each, at most one of a kind; a mark that is made again moves to the end, so that
the last ``kept`` line is the release that was kept last. The order is what counts; the times, by the host's own
clock, only ever let a release stay longer (``release.keep_for``).
"""

from __future__ import annotations

from rollout.posix import shelf
from rollout.posix.op import Mark
from rollout.posix.quote import Script, assign, lean

# mark ID MARK [MORE...]: written and fsynced together with MORE
TEXT = lean(r"""
    mark() {
        m=$1 mm=$2 L=
        shift 2
        if [ -f .rollout/ledger ]; then
            while read -r a b x; do
                if [ "$a" = "$m" ]; then
                    case $mm:$b in
                        "$b:$mm" | unverified:verified | unverified:kept | unverified:adopted | kept:bad) continue;;
                    esac
                fi
                L="$L$a $b${x:+ $x}$nl"
            done <.rollout/ledger
        fi
        [ "$mm" = unverified ] || { x=$(date +%s 2>/dev/null); L="$L$m $mm${x:+ $x}$nl"; }
        put .rollout/ledger "$L" "$@"
    }
""")

_WORK = lean(r"""
    work() {
        mark "$id" "$made" || refuse E_DISK "cannot write $root/.rollout/ledger"
        [ "$made" != kept ] || { complete; books; }
        finish done
    }
""")


def script(deed: Mark) -> Script:
    """Return the script body of a Mark."""
    return assign("id", deed.release) + assign("made", deed.mark) + TEXT + shelf.TEXT + _WORK
