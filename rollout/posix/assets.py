"""Assets: files that are named by their content, and lie in ``shared/`` for every release that is kept.

At staging a release's own are added to what is there, each by one rename or link, and never over another one; then the
directory becomes a link into ``shared/``. So they are on every host before the first one leaves, and a page of either
release finds what it names wherever it is asked for. Which files belong to a release its manifest says: they go with
the last release that has them (prune.py).
"""

from __future__ import annotations

from rollout.posix.quote import lean

# of DIR MANIFEST...: the files below a directory that manifests name, with their hashes
_OF = lean(r"""
    of() {
        d=$1
        shift
        sed -n 's/^0[0-9]* //p' "$@" 2>/dev/null | while IFS= read -r l; do
            case ${l#*  ./} in "$d"/*) echo "$l";; esac
        done
    }
""")

# One run of sha256sum says which files are there already; only what is not is looked at one by one.
ADD = _OF + lean(r"""
    share_add() {
        upward "$1"
        set -- "$1" "$up"
        [ -z "$adopted" ] || return 0
        l=$top/.rollout-manifest
        if [ "$(readlink "$top/$1")" = "$2" ]; then still_there "$1"; return; fi
        [ "$top" != "$rel" ] ||
            spoiled E_SHARED "release $id has a $1 of its own and is not changed any more; give it another id"
        [ ! -e "$top/$1" ] || [ -d "$top/$1" ] || spoiled E_SHARED "$1 is no directory in release $id"
        [ ! -d "$top/$1" ] || [ -z "$(find "$top/$1" -type l | head -n 1)" ] ||
            spoiled E_SHARED "$1 has a symbolic link in release $id, and only files are added to shared/$1"
        [ -d "shared/$1" ] || try mkdir -p "shared/$1" || spoiled E_SHARED "cannot make $root/shared/$1$why"
        added=1
        w=$(lacking "$1")
        set -f
        IFS=$nl
        for l in $w; do
            [ ! -e "shared/$l" ] || other "$l"
        done
        for l in $w; do
            add "$l" || spoiled E_DISK "cannot write $root/shared/$l$why"
        done
        unset IFS
        set +f
        link_share "$1"
    }
    # lacking DIR: the files of the release that shared/ does not have, or has with other content
    lacking() {
        of "$1" "$l" | (cd shared && sha256sum -c 2>/dev/null) | sed -n 's/^\.\/\(.*\): FAILED[^:]*$/\1/p'
    }
    other() {
        spoiled E_SHARED "$root/shared/$1 is there with other content, and another release may name it; \
            a file in \`add\` must have a name of its own for each content"
    }
    add() {
        try mkdir -p "shared/${1%/*}" || return
        ln "$top/$1" "shared/$1" 2>/dev/null && return
        try cp "$top/$1" "shared/$1.rollout-new" && chmod 644 "shared/$1.rollout-new" &&
            try mv -f "shared/$1.rollout-new" "shared/$1"
    }
    still_there() {
        w=$(lacking "$1" | head -n 1)
        [ -z "$w" ] || spoiled E_SHARED "$root/shared/$w is not what release $id brought; give the release another id"
    }
""")

# held is said twice, so that what stands there once is in no release any more.
DROP = _OF + lean(r"""
    only_gone() {
        {
            of "$1" releases/*/.rollout-manifest
            of "$1" releases/*/.rollout-manifest
            of "$1" .rollout/pruned/*/.rollout-manifest | sort -u
        } | sed 's/^[0-9a-f]*  \.\///' | sort | once
    }
    once() {
        p= n=0
        while IFS= read -r l; do
            if [ "$l" = "$p" ]; then n=2; continue; fi
            [ "$n" != 1 ] || echo "$p"
            p=$l n=1
        done
        [ "$n" != 1 ] || echo "$p"
    }
    # drop DIR: take away what no release has any more, and the directories that are empty then
    drop() {
        w=$(only_gone "$1")
        set -f
        IFS=$nl
        for l in $w; do
            rm -f "shared/$l"
            l=${l%/*}
            while [ "$l" != "$1" ] && rmdir "shared/$l" 2>/dev/null; do l=${l%/*}; done
        done
        unset IFS
        set +f
    }
""")
