"""Whether a release on a host is still what was installed: asked when it is staged again, and right before a switch."""

from __future__ import annotations

from rollout.posix.quote import lean

# .rollout/known-ID says what all of a release looked like when it was last as its manifest says, and has the time of
# that. Where it looks the same and no inode in it changed after that, nothing was written since (-cnewer compares the
# ctime of each, which nobody can set but with the clock; BusyBox cannot ask for it). A time of the future says nothing,
# as after a clock that went back: the epoch was written a moment ago. Otherwise the files of the manifest are hashed,
# and its links read; what came in addition is its own business, and so is what lies behind a link into shared.
TEXT = lean(r"""
    # untouched ID. A find that ended early says nothing.
    untouched() {
        ctimes || return
        [ -n "$(find ".rollout/known-$1" ! -newer .rollout/epoch 2>/dev/null)" ] || return
        d=$(find "releases/$1" -mindepth 1 -cnewer ".rollout/known-$1" -print -quit && echo ok)
        [ "$d" = ok ] && [ "$(looks "releases/$1" now)" = "$(cat ".rollout/known-$1")" ]
    }
    ctimes() { find . -prune -cnewer . >/dev/null 2>&1; }
    # looks DIR WORD: a digest of what a release looks like, but for what another name of its files changes: ctime and
    # how many there are. The word is what tells two apart that could not be made.
    looks() { { (cd "$1" && find . -printf '%i %m %U %G %s %T@ %p\n') || echo "$2"; } 2>/dev/null | sha256sum; }
    # stamp FILE: give it a time before which nothing changes any more: the file system's clock has gone on
    stamp() {
        n=0
        ctimes && touch "$1" || return
        until touch "$1+" && [ -n "$(find "$1+" -newer "$1")" ]; do
            n=$((n + 1))
            [ "$n" -lt 1000 ] || return
        done
        rm -f "$1+"
    }
    intact() {
        ! untouched "$id" || return 0
        bad=$(cd "releases/$id" && {
            sed -n 's/^0[0-9]* //p' .rollout-manifest | sha256sum -c 2>/dev/null | sed -n 's/: FAILED[^:]*$//p'
            sed -n 's/^l //p' .rollout-manifest | astray
        })
        set -f
        IFS=$nl
        for l in $bad; do
            linked_out "$l" || {
                unset IFS
                refuse E_TAMPERED "$root/releases/$id/${l#./} is not what was installed; give the release another id, \
                    or remove $root/releases/$id if nothing runs from it"
            }
        done
        unset IFS
        set +f
    }
    # astray: of links, PATH//TARGET each, those that lead elsewhere by now
    astray() {
        while IFS= read -r l; do
            d=${l#*//}
            case $d in '{root}/'*) d=${d#'{root}'}; set -- "$P$d" "$root$d";; *) set -- "$d" "$d";; esac
            d=$(readlink "${l%%//*}") && { [ "$d" = "$1" ] || [ "$d" = "$2" ]; } || echo "${l%%//*}"
        done
    }
    linked_out() {
        d=$1
        while [ "$d" != . ]; do
            [ ! -h "releases/$id/$d" ] || { case $(readlink "releases/$id/$d") in ../*shared/*) return 0;; esac; }
            d=${d%/*}
        done
        return 1
    }
""")
