"""What an app's shelf on a host holds: the complete releases, and what the ledger says of each and since when."""

from __future__ import annotations

from rollout.posix.quote import lean

# complete, books: the fields releases, ledger, marked and clock. Times are the ledger's own, by the clock of its host.
TEXT = lean(r"""
    complete() {
        list=
        for d in releases/*; do
            id=${d#releases/}
            valid "$id" && [ -f "$d/.rollout-manifest" ] && [ ! -h "$d" ] && list="$list $d/.rollout-manifest"
        done
        [ -z "$list" ] || list=$(sha256sum $list | while read -r a b; do
            b=${b#releases/}
            printf '%s:%s ' "${b%/.rollout-manifest}" "$a"
        done)
        f releases "${list% }"
    }
    # In the order in which releases were last kept (first seen, where they never were).
    books() {
        ids= list=
        if [ -f .rollout/ledger ]; then
            while read -r a b x; do
                valid "$a" || continue
                case "$ids:$b" in
                    *" $a "*:kept) ids="${ids%%" $a "*} ${ids#*" $a "}$a ";;
                    *" $a "*) ;;
                    *) ids="${ids:- }$a ";;
                esac
                case $x in *[!0-9]*) x=;; esac
                list="$list$a:$b:$x "
            done <.rollout/ledger
        fi
        said= times=
        for a in $ids; do
            m= newest=
            for b in $list; do case $b in "$a:"*) noted "${b#*:}";; esac; done
            said="$said $a:${m#,}" times="$times${newest:+ $a:$newest}"
        done
        f ledger "${said# }"
        f marked "${times# }"
        f clock "$(date +%s 2>/dev/null)"
    }
    noted() {
        m=$m,${1%%:*} x=${1##*:}
        [ "${x:-0}" -le "${newest:-0}" ] || newest=$x
    }
""")
