"""Large files of a delta that came as patches: zstd makes each of what the base has at the same path.

The tar of such a delta has a folder of a name that no member of a release may have. In it lie the patches, called by
their numbers, and a list: how many bytes each file is to have, and its path. A name is data here: it is read as a
line, and stands behind a folder wherever it becomes a word.
"""

from __future__ import annotations

from rollout.posix.quote import lean

FOLDER = ".rollout"
LIST = f"{FOLDER}/patches"
WINDOW_LOG = 28  # that zstd looks back: as much as the largest file has


def listed(size: int, path: str) -> str:
    """Return the line of one file in the list."""
    return f"{size} {path}\n"


# patches: make what came as a patch, in the tree at $top, whose folders are there. What zstd made of something else
# than the base, or too much of, is not what the manifest says: the comparison sees it. zstd holds the old file and as
# much of the new one: half of what the host has to spare at most, as what runs there serves meanwhile. The mode is
# asked for: where nothing may be executed from a disk, `[ -x` says no.
TEXT = lean(r"""
    also=zstd
    patches() {
        n=0
        while IFS= read -r l; do
            n=$((n + 1)) a=${l%% *} l=${l#* }
            b=releases/$base/$l p=$top/.rollout/$n
            [ -f "$b" ] && [ ! -h "$b" ] || spoiled E_BASE "$root/$b is no file any more: nothing is made of it"
            spare
            said=$({ zstd -d -q -c --long="$window" --patch-from="$b" <"$p" 2>&3 | head -c "$a" >"$top/$l"; } 3>&1) ||
                full
            [ -z "$said" ] || spoiled E_BASE "zstd makes no $l of the one in $base: ${said##*: }"
            [ -z "$(find "$p" -prune -perm -100)" ] || chmod 755 "$top/$l"
        done <"$top/.rollout/patches"
        rm -rf "$top/.rollout"
    }
    spare() {
        x=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
        d=$((($(wc -c <"$b") + a) / 1024))
        [ -z "$x" ] || [ "$((x / 2))" -gt "$d" ] ||
            spoiled E_BASE "making $l of the one in $base takes $d kB of memory, more than half of what is free"
    }
""")
