"""Where things lie below an app's root, and how a script enters it: paths checked, identity compared.

::

    releases/<id>/      complete or absent; carries its manifest
    shared/             what outlives releases
    current             -> releases/<id>, replaced by one rename
    .rollout/           0700: identity, epoch, lock, ops/<op id>, ledger, switched, next-<id>, known-<id>, incoming/,
                        log/, pid
"""

from __future__ import annotations

from rollout.model.release import Site
from rollout.posix.quote import Script, assign, lean

HOME = "~"  # the root of what is done on a host that is not of the fleet; below it a name apart: "~/tasks"


def at_home(site: Site) -> bool:
    """Whether a site is below the home directory of whoever logs in: ``~/.rollout/<environment>/<app>``."""
    return site.root.split("/")[0] == HOME


def arguments(site: Site) -> Script:
    """Return the assignments that name the root and whose it is; ValueError for a root that no script may enter."""
    root = site.root.rstrip("/")
    if at_home(site):
        below = root.removeprefix(HOME)
        return assign("identity", f"{site.environment}/{site.app}") + assign("below", below) + FIND_HOME
    if not root.startswith("/") or any(ord(c) < 32 or ord(c) == 127 for c in root):
        raise ValueError(f"a root must be an absolute path below / without control characters: {site.root!r}")
    said = assign("root", root) + assign("identity", f"{site.environment}/{site.app}")
    return said + assign("machine", site.machine)


# at_home: where it lies on a host that has no root of the app's; home: and it is there
FIND_HOME = lean(r"""
    at_home() {
        case ${HOME-} in
            /*) ;;
            *) refuse E_ROOT "$(id -un) has no HOME here; what is to be kept has no place";;
        esac
        begin_at=$HOME root=$HOME/.rollout/$identity$below
    }
    home() {
        at_home
        (umask 077; mkdir -p "$root") 2>/dev/null || refuse E_ROOT "cannot make $root"
    }
""")

# look: what current names. cur: a release id or ""; kind; raw: the link's text
LOOK = lean(r"""
    look() {
        cur= kind=none raw=
        if [ -h current ]; then
            raw=$(readlink current)
            case $raw in
                releases/*) cur=${raw#releases/};;
                "$root"/releases/*) cur=${raw#"$root"/releases/};;
                "$P"/releases/*) cur=${raw#"$P"/releases/};;
            esac
            cur=${cur%/}
            if ! valid "$cur"; then cur= kind=outside
            elif [ -d current ]; then kind=link
            else kind=dangling
            fi
        elif [ -d current ]; then kind=directory
        elif [ -e current ]; then kind=file
        fi
    }
    # leads: say where a link leads that leads outside of releases/, if anything is there
    leads() { [ "$kind" != outside ] || [ ! -e current ] || f lies "$(readlink -f current)"; }
    # digest_of ID: the digest of the manifest that a release carries, "" for none
    digest_of() {
        have=
        [ ! -h "releases/$1" ] && [ -f "releases/$1/.rollout-manifest" ] || return 1
        have=$(sha256sum <"releases/$1/.rollout-manifest")
        have=${have%% *}
    }
    whoami() {
        while read -r k x v x; do
            case $k in Uid:) uid=$v;; Gid:) gid=$v; break;; esac
        done </proc/self/status
    }
    # apart: whether releases/ or .rollout is a mount of its own: what is renamed across is copied, piece by piece
    apart() {
        case $(cat /proc/mounts 2>/dev/null) in
            *" $P/releases "*) d=releases;;
            *" $P/.rollout "*) d=.rollout;;
            *) return 1;;
        esac
        unsafe="$P/$d is a mount of its own, and nothing can be renamed into it; mount the disk at $P instead"
    }
    # walk: refuse a path that somebody else could exchange, or that is not on one disk; sets unsafe to why, or to ""
    walk() {
        unsafe= d=$P
        ! apart || return 0
        set --
        while :; do
            set -- "$@" "${d:-/}"
            [ -n "$d" ] || break
            d=${d%/*}
        done
        for d in releases .rollout shared; do
            if [ -e "$d" ] || [ -h "$d" ]; then set -- "$@" "$P/$d"; fi
        done
        whoami
        w=$(ls -ldn -- "$@") || { unsafe="cannot list $P"; return; }
        while read -r mode x who of x; do
            d=/${x#*/}
            case $mode in
                d*) ;;
                *) unsafe="${d%% -> *} is not a directory of its own: a link there could lead anywhere"; return;;
            esac
            case $who in 0 | "$uid") ;; *) unsafe="$d belongs to uid $who"; return;; esac
            case $mode in
                ?????????[tT]*) continue;;
                ????????w*) unsafe="everybody can write $d (chmod o-w)"; return;;
                ?????w*) case $of in 0 | "$gid") continue;; esac;;
                *) continue;;
            esac
            unsafe="group $of can write $d (chmod g-w)"
            return
        done <<E
    $w
    E
    }
""")

ENTER = lean(r"""
    enter() {
        [ -d "$root" ] && [ ! -h "$root" ] && cd -P -- "$root" 2>/dev/null && P=$PWD && return
        [ ! -h "$root" ] || refuse E_ROOT "$root is a symbolic link; name the directory itself"
        refuse E_ROOT "$root is not there; make it: install -d -o $(id -un) -m 0755 $root"
    }
    own() {
        [ -e .rollout ] || mkdir -m 700 .rollout 2>/dev/null || [ -d .rollout ] ||
            refuse E_ROOT "cannot make $root/.rollout: give $root to $(id -un)"
        walk
        [ -z "$unsafe" ] || refuse E_ROOT "$unsafe"
        [ -w .rollout ] || try touch .rollout || refuse E_ROOT "cannot write below $root/.rollout as $(id -un)$why"
    }
    # another machine may have got the address, and even the keys
    same_machine() {
        x=
        { read -r x </etc/machine-id; } 2>/dev/null
        [ "$x" = "$machine" ] ||
            refuse E_IDENTITY "another machine answers here: its machine id is ${x:-unknown}, and was $machine"
    }
    belongs() {
        [ -z "${machine-}" ] || same_machine
        is=
        if [ -f .rollout/identity ]; then read -r is <.rollout/identity; fi
        [ "$is" != "$identity" ] || return 0
        [ -z "$is" ] || { f identity "$is"; refuse E_IDENTITY "$root belongs to $is, not to $identity"; }
        put .rollout/identity "$identity$nl" || refuse E_DISK "cannot write $root/.rollout/identity"
    }
""")
