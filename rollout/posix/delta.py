"""A release made of another one: what is the same is taken from there, what differs was sent.

The tar of a delta holds the files and links that differ; of a large file it may hold a patch (patches.py). Which are
the same, the two manifests say: the lines that both have. They become hard links where nothing will write to them but a
person: the file is the SSH user's, nobody else may write it, and the plan says that what runs there is another user.
Everything else is copied. Whatever comes of it is hashed and compared with the manifest like any other release.
"""

from __future__ import annotations

from rollout.posix.adopt import ELSEWHERE
from rollout.posix.op import ReadManifest
from rollout.posix.quote import Script, assign, lean

PIECE = 300_000  # bytes of a manifest that one round trip brings, before they are compressed

# based: refuse what cannot be done, before anything is received. gather: bring what is the same into the tree at $top.
TEXT = lean(r"""
    based() {
        [ -n "$base" ] || return 0
        digest_of "$base" && [ "$have" = "$basis" ] ||
            refuse E_BASE "$root/releases/$base is not there as it was: nothing can be copied from it"
        for l in tr uniq xargs $also; do
            command -v "$l" >/dev/null 2>&1 || refuse E_BASE "$l is not there, and a delta takes it"
        done
    }
    # Not every tar reads its list from a file.
    copies='to=$1; shift; tar -c -f - "$@" | tar -x -o --no-same-permissions -f - -C "$to"'
    same() {
        sort "$stage/manifest" "releases/$base/.rollout-manifest" | uniq -d |
            sed -n 's/^0[0-9]* [0-9a-f]*  //p; /^l /{s/^l //; s,//.*,,; p;}'
    }
    # What was sent may be the same in the base: then the base's is not to be had, as behind a link into shared.
    unsent() { while IFS= read -r l; do [ -e "$top/$l" ] || [ -h "$top/$l" ] || printf '%s\0' "$l"; done; }
    taken() { (cd "releases/$base" && xargs -0 sh -c "$1" take "$P/$top") 2>/dev/null; }
    links='to=$1; shift; cp -l -P --parents -- "$@" "$to"'
    # ours: what nobody else may write, with a mode that is installed. find enters no link, wherever that leads now.
    ours() { (cd "releases/$base" && find . -type f -user "$uid" \( -perm 644 -o -perm 755 \)); }
    # What cannot be linked is copied; what cannot be copied is missing then, and the comparison says so.
    gather() {
        [ -n "$base" ] || return 0
        sed -n 's/^d //p' "$stage/manifest" | tr '\n' '\0' | (cd "$top" && xargs -0 mkdir -p) 2>/dev/null
        patches
        [ -z "$linked" ] || {
            looked=$(looks "releases/$base" before)
            ! untouched "$base" || known=1
            { same; ours; } | sort | uniq -d | unsent | taken "$links"
        }
        same | unsent | taken "$copies"
    }
    # unhashed: the lines of what is linked, as the base's manifest has them; a path stands before its own line
    unhashed() {
        {
            (cd "$top" && find . -type f -links +1) | sed 's,$,//,'
            sed -n 's,^0[0-9]* [0-9a-f]*  \(.*\),\1//&,p' "releases/$base/.rollout-manifest"
        } | sort | sed -n '/\/\/$/{n; s,.*//,,; p;}'
    }
    # still: the base is as it was before its files were linked, up to the stamp, and known to be where it was known.
    # Where what was linked had to be hashed, that may have been before somebody wrote to it.
    still() {
        [ -n "$linked" ] || return 0
        if [ "$(looks "releases/$base" after)" != "$looked" ]; then
            [ -z "$known" ] || unlike
            rm -f "$stage/known"
        elif [ -n "$known" ]; then touch -c -r "$stage/known" ".rollout/known-$base"
        fi
    }
    unlike() { [ -z "$base" ] || spoiled E_BASE "what was copied from $base is not what that was installed with"; }
""")

WHOLE = "also=\npatches() { :; }\n"  # where nothing came as a patch
NONE = "based() { :; }\ngather() { :; }\nstill() { :; }\nunlike() { :; }\n"  # where all of it is sent

_READ = lean(r"""
    work() {
        elsewhere
        digest_of "$id" || refuse E_NO_RELEASE "$root/releases/$id carries no manifest"
        for l in gzip base64; do
            command -v "$l" >/dev/null 2>&1 || refuse E_TOOL "$l is not there, and handing a manifest out takes it"
        done
        f manifest "$have"
        f bytes "$(($(wc -c <"releases/$id/.rollout-manifest")))"
        tails "$(tail -c "+$((at + 1))" "releases/$id/.rollout-manifest" | head -c "$piece" | gzip -c | base64)"
        finish done
    }
""")


def read(deed: ReadManifest) -> Script:
    """Return the script body of a ReadManifest."""
    return assign("id", deed.release) + assign("at", deed.at) + assign("piece", PIECE) + ELSEWHERE + _READ
