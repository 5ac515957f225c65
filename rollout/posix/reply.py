"""How a script starts, and how it says its result: shell text that every step begins with.

A result is a handful of lines: ``f KEY VALUE``, ``t TAIL LINE``, ``s SUMMARY``, ``end STATUS CODE``.
``R`` gathers them for the record on the host, ``O`` the same with the nonce before each line for the wire.
"""

from __future__ import annotations

from rollout.posix.quote import lean

# Lists that quote.listing made. Names of lists stand in the texts: nothing that is a value is ever evaluated.
LISTS = lean(r"""
    # words NAME [BEFORE]: sets q to the words of a list, each with BEFORE before it, to be evaluated
    words() {
        q= q_at=0
        while q_at=$((q_at + 1)); eval "[ $q_at -le \$$1_n ]"; do q="$q ${2-} \"\$$1_$q_at\""; done
    }
    # with NAME COMMAND...: run it with the words of a list behind its own
    with() {
        words "$1"
        shift
        eval "\"\$@\"$q"
    }
    # each NAME COMMAND: run it once for each word of a list, the e_at-th
    each() {
        e_at=0
        while e_at=$((e_at + 1)); eval "[ $e_at -le \$$1_n ]"; do eval "$2 \"\$$1_$e_at\""; done
    }
""")

# The nonce is never exported: no child sees it in its environment or arguments (printf is the shell's own).
TEXT = LISTS + lean(r"""
    umask 022
    had_lc=${LC_ALL-}
    LC_ALL=C
    export LC_ALL
    unset IFS CDPATH
    command -v mv >/dev/null 2>&1 || { PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin; export PATH; }
    nl='
    '
    R=
    O="$N begin$nl"
    say() { R="$R$1$nl"; O="$O$N $1$nl"; }
    flat() { case $1 in *"$nl"*) v=$(printf %s "$1" | tr '\n' ' ');; *) v=$1;; esac; }
    f() { flat "$2"; say "f $1 $v"; }
    tails() {
        [ -n "$1" ] || return 0
        set -f
        IFS=$nl
        R="$R$(printf 't %s\n' $1)$nl" O="$O$(printf "$N t %s\n" $1)$nl"
        unset IFS
        set +f
    }
    # finish STATUS CODE SUMMARY: the one way out of a script
    keep= unlock=:
    finish() {
        [ -z "${3-}" ] || { flat "$3"; say "s $v"; }
        say "end $1 ${2:--}"
        [ -z "$keep" ] || put "$keep" "$R" ${touched-}
        $unlock
        printf %s "$O"
        exit 0
    }
    refuse() { finish refused "$@"; }
    fail() { finish failed "$@"; }
    now() {
        read -r ticks x </proc/uptime
        x=${ticks#*.}
        ticks=$((${ticks%.*} * 100 + 1$x - 100))
    }
    left() { now; left=$(((deadline - ticks) / 100)); [ "$left" -gt 0 ] || left=1; }
    rest() { sleep "$1" 2>/dev/null || sleep 1; }
    # stat PID: its state, group and start (clock ticks since boot), read without a fork
    stat() {
        { read -r s <"/proc/$1/stat"; } 2>/dev/null || return 1
        s=${s##*') '}
        set -- $s
        state=$1 group=$3 start=${20}
    }
    boot=-
    { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
    valid() { case $1 in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9._+~-]*) return 1;; esac; [ ${#1} -le 160 ]; }
    now
    deadline=$((ticks + wait * 100))
""")

# put FILE TEXT [MORE...]: by temp, fsync (of MORE too) and rename. Where the disk has no inode left the
# file is written over in place: a short line in a block that is there already.
DURABLE = lean(r"""
    # try COMMAND...: where it fails, why is what the kernel said, for the end of a sentence
    try() { why=$("$@" 2>&1) && return; why=": ${why##*: }"; return 1; }
    flush() { sync "$@" 2>/dev/null || sync; }
    soft() { { printf %s "$2" >"$1.tmp"; } 2>/dev/null && mv -f "$1.tmp" "$1" && return; inplace "$@"; }
    inplace() { rm -f "$1.tmp"; [ -f "$1" ] && { printf %s "$2" 1<>"$1"; } 2>/dev/null; }
    put() {
        p=$1
        if { printf %s "$2" >"$p.tmp"; } 2>/dev/null; then
            shift 2
            flush "$p.tmp" "$@" && mv -f "$p.tmp" "$p"
        else
            inplace "$1" "$2" && flush "$p"
        fi
    }
""")
