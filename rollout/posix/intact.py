"""Whether a release on a host is still what was installed: asked when it is staged again, and right before a switch."""

from __future__ import annotations

from rollout.posix.quote import lean

# No inode changed after the manifest was written last: nothing was written since (-cnewer compares the ctime of each,
# which nobody can set, with the mtime of the manifest; BusyBox cannot ask for it). A manifest of the future says
# nothing, as after a clock that went back: the epoch was written a moment ago. Otherwise the files of the manifest are
# hashed, and its links read; what came in addition is the release's own business, and so is what lies behind a link
# into shared.
TEXT = lean(r"""
    # untouched MANIFEST
    untouched() {
        [ -f "$1" ] || return 1
        find . -prune -cnewer . >/dev/null 2>&1 || return 1
        [ -z "$(find "$1" -newer .rollout/epoch)" ] || return 1
        [ -z "$(find "${1%/*}" -cnewer "$1" ! -path "$1" | head -n 1)" ]
    }
    # renewed MANIFEST: what was untouched until other releases got or lost names of its files is so from now on, as
    # far as nothing was written meanwhile
    renewed() {
        touch .rollout/looked && [ -z "$(find "${1%/*}" -newer "$1" | head -n 1)" ] && touch -c -r .rollout/looked "$1"
        set -- $?
        rm -f .rollout/looked
        return "$1"
    }
    intact() {
        ! untouched "releases/$id/.rollout-manifest" || return 0
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
