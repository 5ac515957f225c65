"""Prune: old releases go, by one rename out of ``releases/`` each, and only then are their files removed.

What the controller names is looked at again here: what ``current`` names, what the service runs, the release that
was kept before, and what any process works in or runs from stays, whoever says otherwise. A process is looked for
again once the rename is done, when none can come any more; where there is one, the release is put back.
Removing has the time of the step and no more. What is left then lies in ``pruned/``, out of everybody's way, and the
next Prune goes on with it.
"""

from __future__ import annotations

from rollout.posix import assets, intact, ledger, service
from rollout.posix.adopt import LITERAL
from rollout.posix.op import Prune
from rollout.posix.quote import Script, lean, listing

# What the kernel shows of all processes: where they work, what they run, and the words that they were started with.
# Of other users' only the words can be read, unless the user of `become` may look.
_USERS = LITERAL + lean(r"""
    places() {
        set -- "$@" find /proc -mindepth 2 -maxdepth 2 \( -name cwd -o -name exe \)
        if find . -prune -printf '' 2>/dev/null; then "$@" -printf '%l\n'
        else "$@" -exec sh -c 'for l; do readlink "$l"; done' x {} +
        fi 2>/dev/null
    }
    started() { cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\000' '\n'; }
    overseer() {
        [ -n "$become" ] && [ "$become" != "$(id -un)" ] &&
            within 10 sudo -n -u "$become" -l find /proc >/dev/null 2>&1
    }
    everywhere() {
        places
        started
        ! overseer || places sudo -n -u "$become" --
    }
    # users: sets busy to the releases that somebody works in or runs from: all that a line names, each on a line then
    users() {
        p=$(literal "$P") r=$(literal "$root")
        busy=" $(everywhere |
            sed "s|$p/releases/|\\$nl//|g; s|$r/releases/|\\$nl//|g; s|$p/\.rollout/pruned/|\\$nl//|g" |
            sed -n 's|^//\([A-Za-z0-9._+~-]*\).*|\1|p' | tr '\n' ' ')"
    }
""")

_WORK = lean(r"""
    # back: the release that was kept last, or adopted, before the one that is current
    before() {
        back= bad=" "
        [ -f .rollout/ledger ] || return 0
        while read -r a b x; do [ "$b" != bad ] || bad="$bad$a "; done <.rollout/ledger
        while read -r a b x; do
            case $b:$bad in
                kept:*" $a "* | adopted:*" $a "*) ;;
                kept:* | adopted:*) [ "$a" = "$cur" ] || [ ! -f "releases/$a/.rollout-manifest" ] || back=$a;;
            esac
        done <.rollout/ledger
    }
    spare() { spared="$spared $1:$2"; }
    out() {
        valid "$1" || return 0
        case " $cur $running $back " in *" $1 "*) spare "$1" needed; return;; esac
        case $busy in *" $1 "*) spare "$1" runs; return;; esac
        if [ -d "releases/$1" ] && [ ! -h "releases/$1" ]; then
            rm -f ".rollout/next-$1" ".rollout/known-$1"
            try mv -T "releases/$1" ".rollout/pruned/$1,$me" || { spare "$1" stuck; stuck="$1$why"; return; }
        elif [ -e "releases/$1" ] || [ -h "releases/$1" ]; then spare "$1" stuck; return
        fi
        moved="$moved$1 "
    }
    # A process that came at the last moment: the release goes back to where it was.
    returned() {
        users
        x=$moved moved=" "
        for id in $x; do
            case $busy in *" $id "*)
                ! mv -T ".rollout/pruned/$id,$me" "releases/$id" 2>/dev/null || { spare "$id" runs; continue; }
            ;; esac
            moved="$moved$id "
        done
    }
    # What is known of a release goes with it, but for that it was bad.
    forget() {
        [ "$moved" != " " ] && [ -f .rollout/ledger ] || return 0
        L=
        while read -r a b x; do
            case $b:$moved in bad:*) ;; *:*" $a "*) continue;; esac
            L="$L$a $b${x:+ $x}$nl"
        done <.rollout/ledger
        put .rollout/ledger "$L" releases .rollout/pruned || refuse E_DISK "cannot write $root/.rollout/ledger"
    }
    # sweep: what lies in pruned/ and nobody uses is removed, as far as the time goes
    sweep() {
        set --
        for d in .rollout/pruned/*; do
            [ -e "$d" ] || continue
            l=${d##*/}
            case $busy in *" ${l%%,*} "*) continue;; esac
            set -- "$@" "$d"
        done
        [ $# -gt 0 ] || return 0
        rm -rf "$@" >/dev/null 2>&1 &
        child=$!
        while stat "$child" && [ "$state" != Z ]; do
            now
            [ "$((ticks + 200))" -lt "$deadline" ] || { tired; return; }
            rest 0.02
        done
        try rm -rf "$@" || stuck=${why#: }
    }
    # known: names of its files are gone, which changed their ctimes; whether it looks as before is seen when it matters
    known() {
        [ -n "$whole" ] && stamp ".rollout/known+$me" && for l in $whole; do
            touch -c -r ".rollout/known+$me" ".rollout/known-$l"
        done
        rm -f .rollout/known+*
    }
    tired() { kill -KILL "$child"; stuck="it takes longer than a step may"; }
    work() {
        moved=" " spared= stuck=
        look
        prove
        before
        users
        [ -d .rollout/pruned ] || try mkdir -m 700 .rollout/pruned ||
            refuse E_DISK "cannot make $root/.rollout/pruned$why"
        whole=
        for l in $cur $back; do
            [ -n "$(find "releases/$l" -type f -links +1 -print -quit 2>/dev/null)" ] || continue
            ! untouched "$l" || whole="$whole $l"
        done
        each gone out
        [ "$moved" = " " ] || returned
        forget
        each added drop
        sweep
        [ -n "$stuck" ] || known
        set -- .rollout/pruned/*
        [ -e "$1" ] || set --
        x=${moved# }
        f pruned "${x% }"
        f spared "${spared# }"
        f left $#
        [ -z "$stuck" ] || f stuck "$stuck"
        finish done
    }
""")


def script(deed: Prune) -> Script:
    """Return the script body of a Prune."""
    said = listing("gone", deed.releases) + listing("added", deed.add)
    said += service.arguments(deed.service) + service.identity(deed.service) + service.BOUNDS
    return said + ledger.TEXT + intact.TEXT + assets.DROP + _USERS + _WORK
