"""Survey and Adopt: a release that something else brought is read, hashed, and written into the ledger.

Its manifest has the form of every other (manifest.py), a first line that says ``# adopted``, and a line for each
path that was left out; in the text of a link ``{root}/`` stands for the root, which hosts need not have in common.
It covers files and links but for what applications write while they run: an adopted
tree may be written to, and a log that has grown must not cost it its place as a way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rollout.posix import ledger
from rollout.posix.op import Adopt, Survey
from rollout.posix.quote import Script, assign, lean, listing, quote

RUNTIME_PATHS = ("log", "logs", "tmp", "var/log", "var/cache", "node_modules/.cache")
RUNTIME_NAMES = ("__pycache__", "*.pyc", "*.log", "*.pid", "*.sock")

_SKIPPED = " -o ".join(
    [*(f"-path ./{p}" for p in (".rollout-manifest", *RUNTIME_PATHS)), *(f"-name {quote(n)}" for n in RUNTIME_NAMES)]
)
# literal TEXT: a pattern of sed that matches this very text
LITERAL = lean(r"""
    literal() { printf %s "$1" | sed 's/[][\.*^$|]/\\&/g'; }
""")

# tree DIR: its manifest. "$@" of ``skipping`` are the words of find; what is no file, directory or link is no
# part of a release. examine: sets seen to the digest, or refuses; told: what the tools complained of.
_TREE = f'skipped="{_SKIPPED}"\n' + lean(r"""
    skipping() {
        words leave '-o -path'
        eval "find . \\( $skipped$q \\) -prune -o \"\$@\""
    }
    left_out() { each left "printf %s\\\\n"; }
    tree() { (
        cd "$1" || exit
        echo '# adopted'
        echo '# rollout manifest 1'
        left_out
        skipping -type f -perm -100 -exec sha256sum {} + | sed 's/^/0755 /'
        skipping -type f ! -perm -100 -exec sha256sum {} + | sed 's/^/0644 /'
        skipping -type d ! -name . -print | sed 's/^/d /'
        if find . -prune -printf '' 2>/dev/null; then skipping -type l -printf 'l %p//%l\n'
        else skipping -type l -print | while IFS= read -r l; do printf 'l %s//%s\n' "$l" "$(readlink "$l")"; done
        fi | sed "s|//$(literal "$P")/|//{root}/|; s|//$(literal "$root")/|//{root}/|"
    ) | sort; }
    sound() {
        [ ! -h "$rel" ] || refuse E_TREE "$root/$rel is a link itself; name the directory that it leads to"
        [ -z "$(find "$rel" -name "*$nl*" 2>/dev/null | head -n 1)" ] ||
            refuse E_NAMES "a name below $root/$rel holds a line break, which no manifest can list"
    }
    whole() {
        [ -n "$told" ] || return 0
        tails "$(printf '%s\n' "$told" | head -n 10 | cut -c 1-300)"
        refuse E_UNREADABLE "not all of $root/$rel can be read as $(id -un)"
    }
""")

# elsewhere: refuse the root of another app
ELSEWHERE = lean(r"""
    elsewhere() {
        is=
        [ ! -f .rollout/identity ] || read -r is <.rollout/identity
        [ -z "$is" ] || [ "$is" = "$identity" ] || refuse E_IDENTITY "$root belongs to $is, not to $identity"
    }
""")

_SURVEY = lean(r"""
    work() {
        elsewhere
        look
        f current "$cur"
        f current_kind "$kind"
        f link "$raw"
        leads
        [ "$kind" = link ] || finish done
        rel=releases/$cur
        if digest_of "$cur"; then
            f known 1
            f manifest "$have"
        else
            sound
            # The digest is the last line: sha256sum speaks when all the others have.
            told=$({ tree "$rel" | sha256sum; } 2>&1)
            seen=${told##*"$nl"} told=${told%"${told##*"$nl"}"}
            whole
            f known 0
            f manifest "${seen%% *}"
        fi
        f files "$(($(find "$rel" -type f 2>/dev/null | wc -l)))"
        set -- $(du -sk "$rel" 2>/dev/null)
        f bytes "$((${1:-0} * 1024))"
        [ "$listing" = 0 ] || tails "$(tree "$rel" 2>/dev/null | cut -c 1-1000 | head -n 16000)"
        finish done
    }
""")

# Whoever moved the link left no record: its own age says when, a second early, since clocks of files tick slowly.
_ADOPT = lean(r"""
    since() {
        a=
        [ ! -f .rollout/switched ] || read -r a x <.rollout/switched
        [ "$a" != "$id" ] || return 0
        made=$(command stat -c %Y current 2>/dev/null)
        case $made in '' | *[!0-9]*) return 0;; esac
        age=$(($(date +%s) - made))
        [ "$age" -ge 0 ] || return 0
        now
        at=$((ticks - age * 100 - 100))
        [ "$at" -gt 0 ] || at=0
        soft .rollout/switched "$id $at $boot$nl"
    }
    written() {
        sound
        [ -w "$rel" ] || refuse E_ROOT "cannot write below $root/$rel as $(id -un): its manifest belongs there"
        told=$(tree "$rel" 2>&1 >.rollout/adopting)
        whole
        seen=$(sha256sum <.rollout/adopting)
        [ "${seen%% *}" = "$manifest" ] || refuse E_CHANGED "$root/$rel has changed since it was looked at"
        flush .rollout/adopting && mv -f .rollout/adopting "$rel/.rollout-manifest" ||
            refuse E_DISK "cannot write $root/$rel/.rollout-manifest"
    }
    work() {
        look
        rel=releases/$id how=present
        [ "$kind" = link ] && [ "$cur" = "$id" ] ||
            refuse E_DRIFT "$root/current names ${cur:-${raw:-nothing}}, not $id: somebody else has changed it"
        if digest_of "$id"; then
            [ "$have" = "$manifest" ] || refuse E_RELEASE_CONFLICT "$root/$rel carries another manifest ($have)"
        else
            written
            how=new
        fi
        since
        for made in installed activated verified adopted; do
            mark "$id" "$made" "$rel" .rollout || refuse E_DISK "cannot write $root/.rollout/ledger"
        done
        f adopted "$how"
        finish done
    }
""")


def survey(deed: Survey) -> Script:
    """Return the script body of a Survey."""
    return _skipping(deed.leave_out) + assign("listing", int(deed.listing)) + ELSEWHERE + LITERAL + _TREE + _SURVEY


def script(deed: Adopt) -> Script:
    """Return the script body of an Adopt."""
    said = assign("id", deed.release) + assign("manifest", deed.manifest) + _skipping(deed.leave_out)
    return said + ledger.TEXT + LITERAL + _TREE + _ADOPT


def header(leave_out: Iterable[str]) -> tuple[str, ...]:
    """Return the lines that an adopted manifest has before all others; ValueError for a path that is no line."""
    wrong = [path for path in leave_out if not path or re.search(r"[\x00-\x1f\x7f]", path)]
    if wrong:
        raise ValueError(f"not a path to leave out: {wrong[0]!r}")
    return ("# adopted", *sorted(f"# left out {path}" for path in set(leave_out)))


def _skipping(leave_out: tuple[str, ...]) -> Script:
    """Return what the manifest does not cover: as patterns of find, and as it says it."""
    return listing("leave", (f"./{literal(p)}" for p in leave_out)) + listing("left", header(leave_out)[1:])


def literal(path: str) -> str:
    """Return a pattern of find that matches this very path."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", path)
