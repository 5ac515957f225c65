"""Inspect: a release as it is now, hashed again and compared with the manifest that it carries.

The listing has the lines of a manifest (manifest.py), and ``m ./path`` for each member with a mode that no member is
installed with. Only lines that differ go over the wire, and no more than MOST of them.
"""

from __future__ import annotations

from rollout.model.release import Shared
from rollout.posix.adopt import ELSEWHERE, LITERAL, RUNTIME_NAMES, RUNTIME_PATHS, literal
from rollout.posix.op import Inspect
from rollout.posix.quote import Script, assign, lean, listing, quote

MOST = 3000  # lines that differ
WIDEST = 600  # bytes of one line
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of no bytes at all

# "$@" of ``listing`` are the words of find for what is left out. openssl is taken where it can do it: it needs a third
# of the time. What came and has no name that a line can hold is counted apart.
_LISTING = lean(r"""
    listing() { (
        cd "$rel" || exit
        sed -n '/^#/p' .rollout-manifest
        find . \( "$@" \) -prune -o -type f -perm -100 -exec $hash {} + | sed 's/ [ *]/  /; s/^/0755 /'
        find . \( "$@" \) -prune -o -type f ! -perm -100 -exec $hash {} + | sed 's/ [ *]/  /; s/^/0644 /'
        find . \( "$@" \) -prune -o -type d ! -name . -print | sed 's/^/d /'
        links "$@"
        [ -n "$adopted" ] || others "$@"
    ) | sort; }
    links() {
        if find . -prune -printf '' 2>/dev/null; then find . \( "$@" \) -prune -o -type l -printf 'l %p//%l\n'
        else find . \( "$@" \) -prune -o -type l -print |
            while IFS= read -r l; do printf 'l %s//%s\n' "$l" "$(readlink "$l")"; done
        fi | if [ -z "$adopted" ]; then cat
        else sed "s|//$(literal "$P")/|//{root}/|; s|//$(literal "$root")/|//{root}/|"; fi
    }
    # What was rendered has a mode of its own.
    others() {
        while read -r x l; do
            [ -n "$l" ] || continue
            set -- "$@" -o -path "$(printf %s "$l" | sed 's/[][*?\]/\\&/g')"
            [ ! -f "$l" ] || [ -n "$(find "$l" -prune -perm "$x")" ] || echo "m $l"
        done <<E
    $(sed -n 's/^# template //p' .rollout-manifest)
    E
        find . \( "$@" \) -prune -o \( -type f ! -perm 644 ! -perm 755 -o -type d ! -perm 755 \) -print | sed 's/^/m /'
        find . \( "$@" \) -prune -o ! -type f ! -type d ! -type l -print | sed 's/^/? /'
    }
""")

_INSPECT = lean(r"""
    chosen() {
        look
        f current "$cur"
        f current_kind "$kind"
        [ -n "$id" ] || id=$cur
        f release "$id"
        [ -n "$id" ] || finish done
        rel=releases/$id
        [ -d "$rel" ] && [ ! -h "$rel" ] || refuse E_NO_RELEASE "$root/$rel is not there"
        digest_of "$id" || refuse E_NO_MANIFEST "$root/$rel carries no manifest: rollout did not install or adopt it"
        f manifest "$have"
        adopted= l=
        read -r l <"$rel/.rollout-manifest"
        [ "$l" != "# adopted" ] || adopted=1
    }
    hasher() {
        hash=sha256sum
        case $(openssl dgst -sha256 -r </dev/null 2>/dev/null) in $nothing*) hash='openssl dgst -sha256 -r';; esac
    }
    compared() {
        hasher
        f files "$(($(sed -n '/^0/p' "$rel/.rollout-manifest" | wc -l)))"
        f odd_names "$(($(find "$rel" -name "*$nl*" -prune -exec echo x \; 2>/dev/null | wc -l)))"
        told=$({ listing "$@" -o -name "*$nl*" | diff -U0 "$rel/.rollout-manifest" -; echo $?; } 2>/dev/null |
            sed '/^@@ /d; /^--- /d; /^+++ /d' | cut -c "1-$widest" | sed -n "1,$most{\$!p}; \${p;=}")
        lines=${told##*"$nl"} told=${told%"$nl"*}
        status=${told##*"$nl"} told=${told%"${told##*"$nl"}"}
        # What could not be compared must not look as if nothing differed.
        case $status in 0 | 1) ;; *) fail E_TOOL "diff cannot compare $root/$rel with its manifest here";; esac
        f differing "$((lines - 1))"
        tails "$told"
        finish done
    }
""")


# What an adopted manifest does not cover, as its own first lines say it.
_SAID = lean(r"""
    while IFS= read -r l; do
        [ -z "$l" ] || set -- "$@" -o -path "./$(printf %s "$l" | sed 's/[][*?\]/\\&/g')"
    done <<E
    $(sed -n 's/^# left out //p' "$rel/.rollout-manifest")
    E
""")
_TESTS = " -o ".join(
    [*(f"-path {quote('./' + literal(p))}" for p in RUNTIME_PATHS), *(f"-name {quote(n)}" for n in RUNTIME_NAMES)]
)

# The words of find gather in the arguments of ``work``. ours: a link that we made, where it still leads to where it
# was made to.
_WORK = (
    lean(r"""
    ours() {
        eval "aims=\$aims_$e_at"
        [ "$(readlink "$rel/$1")" = "$aims" ] || return 0
        f "shared.$((e_at - 1))" 1
        ours="$ours -o -path \"\$found_$e_at\""
    }
    work() {
        elsewhere
        chosen
        set -- -path ./.rollout-manifest
        ours=
        if [ -n "$adopted" ]; then
    """)
    + f'set -- "$@" -o {_TESTS}\n'
    + _SAID
    + lean(r"""
        else each shared ours; fi
        eval "compared \"\$@\"$ours"
    }
    """)
)


def script(deed: Inspect) -> Script:
    """Return the script body of an Inspect."""
    said = assign("id", deed.release) + assign("most", MOST) + assign("widest", WIDEST) + assign("nothing", NOTHING)
    return said + _shared(deed.shared) + ELSEWHERE + LITERAL + _LISTING + _INSPECT + _WORK


def shared_paths(shared: Shared) -> tuple[str, ...]:
    """Return what is linked into a release, in the order of the reply's ``shared.<n>``."""
    return (*shared.dirs, *(file.path for file in shared.files))


def _shared(shared: Shared) -> Script:
    """Return what is linked: the paths, where each link was made to lead, and each as a pattern of find."""
    paths = shared_paths(shared)
    aims = ("../" * (path.count("/") + 2) + "shared/" + path for path in paths)
    return listing("shared", paths) + listing("aims", aims) + listing("found", (f"./{literal(p)}" for p in paths))
