"""The state of rollouts, kept in two files on a host: a journal that only grows, and the leases, which commit it.

::

    journal.jsonl   one line for each transaction, appended
    leases.jsonl    first {"size": bytes of journal.jsonl that are committed, "sha256": their digest}, then a line
                    for each lease

A transaction is there once leases.jsonl is replaced, by one rename: what stands in the journal beyond the size that
it names was never committed, and is cut off by the next writer. That is one line at most, and none before the first
leases: where there is more, leases.jsonl was lost or put back, and nothing is cut (``E_STATE_LOST``).

Who writes says which leases.jsonl it has read, by its digest, and how much of the journal, and is told when that is no
longer the one, or not all (``E_BEHIND``). Nothing else is parsed here.
"""

from __future__ import annotations

from rollout.posix.quote import Script, assign, lean
from rollout.posix.stateop import ReadState, WriteState

PIECE = 600_000  # bytes of the journal that one round trip brings, before they are compressed

_COMMON = lean(r"""
    sum() { s=$({ sha256sum <"$1"; } 2>/dev/null); s=${s%% *}; }
    bytes() { b=$({ wc -c <"$1"; } 2>/dev/null); b=$((${b:-0})); }
    tools() {
        for l in sha256sum gzip base64 head tail wc date; do
            command -v "$l" >/dev/null 2>&1 || refuse E_TOOL "$l is not there, and keeping state takes it"
        done
    }
""")

_READ = lean(r"""
    work() {
        tools
        f now "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
        [ -d "$root" ] || { f there 0; finish done; }
        enter
        walk
        [ -z "$unsafe" ] || refuse E_ROOT "$unsafe"
        [ -f leases.jsonl ] || { bytes journal.jsonl; f there 0; f bytes "$b"; finish done; }
        f there 1
        tails "$(gzip -c leases.jsonl | base64 | sed 's/^/L/')"
        bytes journal.jsonl
        f bytes "$b"
        f prefix "$(head -c "$size" journal.jsonl 2>/dev/null | sha256sum | cut -c 1-64)"
        piece() { tail -c "+$((size + 1))" journal.jsonl 2>/dev/null | head -c "$piece"; }
        tails "$(piece | gzip -c | base64 | sed 's/^/J/')"
        finish done
    }
""")

_WRITE = lean(r"""
    made() { (umask 077; mkdir -p "$root") 2>/dev/null || refuse E_ROOT "cannot make $root"; }
    spent() { rm -f .rollout/more .rollout/incoming; refuse "$@"; }
    work() {
        tools
        umask 077
        left
        timeout -s KILL "$left" head -c "$((more + lease))" <&8 8<&- >.rollout/incoming 2>/dev/null
        sum .rollout/incoming
        [ "$s" = "$digest" ] || spent E_DIGEST "what arrived is not what was sent, or $root is full"
        sum leases.jsonl
        [ "$s" != "$after" ] || { rm -f .rollout/incoming; finish done; }
        [ -f leases.jsonl ] || s=
        [ "$s" = "$before" ] || spent E_BEHIND "somebody else has written since"
        committed=0
        [ -z "$before" ] || committed=$(sed -n '1s/.*"size": *\([0-9]*\).*/\1/p' leases.jsonl)
        [ "$committed" = "$size" ] || spent E_BEHIND "$committed bytes are committed, and $size were read"
        [ -f journal.jsonl ] || : >journal.jsonl
        bytes journal.jsonl
        [ "$b" -ge "$size" ] || spent E_CUT "$root/journal.jsonl has $b bytes, and had $size: it was cut"
        # What is beyond was never committed, if it is what one writer can leave: a line at most, and never the
        # first writer.
        beyond=$((b - size))
        [ "$beyond" -eq 0 ] || [ -n "$before" ] ||
            spent E_STATE_LOST "journal.jsonl has $b bytes, and leases.jsonl is gone"
        [ "$(tail -c "+$((size + 1))" journal.jsonl | head -n 1 | wc -c)" -eq "$beyond" ] ||
            spent E_STATE_LOST "journal.jsonl has $beyond bytes beyond the $size that leases.jsonl says are committed"
        [ "$b" -eq "$size" ] || dd if=/dev/null of=journal.jsonl bs=1 seek="$size" count=0 2>/dev/null
        tail -c "+$((more + 1))" .rollout/incoming >.rollout/leases.tmp || spent E_DISK "$root is full"
        head -c "$more" .rollout/incoming >>journal.jsonl || spent E_DISK "$root is full"
        bytes journal.jsonl
        [ "$b" -eq "$((size + more))" ] || spent E_DISK "$root is full"
        flush journal.jsonl .rollout/leases.tmp && mv -f .rollout/leases.tmp leases.jsonl && flush .
        rm -f .rollout/incoming
        finish done
    }
""")


def read(deed: ReadState) -> Script:
    """Return the script body of a ReadState."""
    return assign("size", deed.size) + assign("piece", PIECE) + _COMMON + _READ


def write(deed: WriteState) -> Script:
    """Return the script body of a WriteState."""
    said = assign("size", deed.size) + assign("more", deed.more) + assign("lease", deed.lease)
    said += assign("before", deed.before) + assign("after", deed.after) + assign("digest", deed.digest)
    return said + _COMMON + _WRITE
