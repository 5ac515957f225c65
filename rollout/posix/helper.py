"""The helper of a host whose key can do rollouts and nothing else: a script that sshd runs instead of what it was told.

It reads what every step sends and takes it apart into assignments and the text behind them. Some values are free,
within forms that can do no harm: ids, digests, numbers. All others, with the text, must be what it was made with (by
SHA-256). Values stand in single quotes, and nothing is run before all of them were looked at. Before a release is
installed, and again before it is switched to, the statement about it is verified with the host's own allowed signers.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from rollout.model.trust import NAMESPACE
from rollout.posix.frame import CONSTANT, ONLY_IF_TOLD, said
from rollout.posix.op import Activate, Inspect, Install, Mark, Op, Prune, RunCheck, Withdraw
from rollout.posix.quote import Script, assign, lean

NONCE = "0" * 32

# name -> (a pattern of awk, the most characters); of `signed` line breaks count as spaces.
NUMBER, WORD, SHA = ("^[0-9]+$", 15), ("^[A-Za-z0-9][A-Za-z0-9._+:~-]*$", 200), ("^[0-9a-f]+$", 64)
FREE = {
    "N": ("^[A-Za-z0-9]+$", 64),
    **dict.fromkeys(("wait", "number", "sequence", "size", "extra", "unpacked", "most"), NUMBER),
    **dict.fromkeys(("record", "doubt", "rollout"), WORD),
    **dict.fromkeys(("id", "expect"), ("^$|^[A-Za-z0-9][A-Za-z0-9._+~-]*$", 200)),
    **dict.fromkeys(("artifact", "manifest"), SHA),
    **dict.fromkeys(("present", "again"), ("^[01]$", 1)),
    "over": ("^[A-Za-z0-9._+:~ *-]*$", 10000),
    "stand": ("^(open|closed)$", 6),
    "made": ("^(verified|kept|bad|unverified)$", 10),
    "gzip": ("^z?$", 1),
    "strip": ("^$|^[A-Za-z0-9_+-][A-Za-z0-9._+-]*$", 200),
    "machine": ("^[A-Za-z0-9-]*$", 64),
    "signed": ("^[A-Za-z0-9 .:#/+=-]*$", 16384),
    "gone_n": ("^[0-9]+$", 3),
    "gone_": ("^[A-Za-z0-9][A-Za-z0-9._+~-]*$", 160),  # each of that list
}
LISTED = re.compile(r"(gone_)[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a helper is made for. Files are those of the host; ``revoked`` is "" where nothing is."""

    root: str
    app: str
    environment: str
    allowed_signers: str
    identity: str
    revoked: str
    keep: int  # proven releases that stay, whatever is pruned
    keep_for_s: float
    ops: tuple[Op, ...]  # each that may come, with what is the host's own in it


def text(guard: Guard) -> str:
    """Return the helper."""
    scripts = [(op, said(op, NONCE)) for op in guard.ops]
    values = {
        "h_told": CONSTANT,
        "h_first": ONLY_IF_TOLD,
        "h_root": guard.root,
        "h_app": guard.app,
        "h_space": NAMESPACE,
        "h_allowed": guard.allowed_signers,
        "h_identity": guard.identity,
        "h_revoked": guard.revoked,
        "h_keep": str(guard.keep),
        "h_keep_for": str(math.ceil(guard.keep_for_s)),
        "h_free": "".join(f"{name} {most} {form}\n" for name, (form, most) in FREE.items()),
        "h_known": "".join(sorted({f"{_sha(_own(s) + s.text)} {_kind(op)}\n" for op, s in scripts})),
    }
    head = "#!/bin/sh\n# Made by `rollout host-helper`: root's alone, 0755, and named by command= in authorized_keys.\n"
    return head + "".join(assign(name, value).values for name, value in values.items()) + _HELPER


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _kind(op: Op) -> str:
    kinds = {Install: "install", Activate: "activate", Withdraw: "withdraw", Mark: "mark", Prune: "prune"}
    return {**kinds, RunCheck: "reads", Inspect: "reads"}.get(type(op.do), "other")


def _own(script: Script) -> str:
    """Return the assignments that are the host's own."""
    return "".join(line for name, line in assignments(script.values) if not free(name))


def free(name: str) -> bool:
    """Whether the value of a name is free, within its form."""
    listed = LISTED.fullmatch(name)
    return (listed[1] if listed else name) in FREE


def assignments(values: str) -> Iterable[tuple[str, str]]:
    """Yield the name and the whole line of each assignment; a value may have lines of its own."""
    at = 0
    while at < len(values):
        name, end = values[at : values.index("=", at)], values.index("'", at) + 1
        while values[(end := values.index("'", end)) :].startswith("'\\''"):
            end += 4
        yield name, values[at : end + 2]
        at = end + 2


_HELPER = lean(r"""
    h_lc=${LC_ALL-}
    LC_ALL=C
    export LC_ALL
    unset IFS
    umask 077
    h_no() { echo "rollout-step: $1" >&2; exit 77; }
    [ "${SSH_ORIGINAL_COMMAND-}" = "$h_told" ] || h_no "this key may do steps of rollouts, and nothing else"
    h_at=$(mktemp -d) || h_no "there is no room below ${TMPDIR:-/tmp}"
    trap 'rm -rf "$h_at"' EXIT
    IFS= read -r h_size
    case $h_size in '' | *[!0-9]* | ???????*) h_no "a step begins with its length";; esac
    { dd bs="$h_size" count=1 iflag=fullblock 2>/dev/null || dd bs=1 count="$h_size" 2>/dev/null; } >"$h_at/script"
    [ "$(tr -d '\000' <"$h_at/script" | wc -c)" -eq "$h_size" ] || h_no "the step was cut short"
    printf %s "$h_free" >"$h_at/free"
    printf %s "$h_first" >"$h_at/first"
    # Assignments with quoted values, up to the line that begins the text; nothing of it is run here.
    cat >"$h_at/parse" <<'END'
    function no(why) { print "no " why; exit 1 }
    function one() {
        if (!match(s, /^[A-Za-z_][A-Za-z0-9_]*='/)) no("it is more than values and a text")
        name = substr(s, 1, RLENGTH - 2)
        s = substr(s, RLENGTH + 1)
        value = ""
        while (1) {
            i = index(s, "'")
            if (!i) no("a value has no end")
            value = value substr(s, 1, i - 1)
            s = substr(s, i + 1)
            if (substr(s, 1, 3) != "\\''") break
            value = value "'"
            s = substr(s, 4)
        }
        if (substr(s, 1, 1) != "\n") no("the value of " name " is more than a value")
        s = substr(s, 2)
    }
    FILENAME == free { f = $0; sub(/^[^ ]* [^ ]* /, "", f); form[$1] = f; most[$1] = $2 }
    FILENAME == begins { b = b $0 "\n" }
    FILENAME == script { t = t $0 "\n" }
    END {
        if (substr(t, 1, length(b)) != b) no("it does not begin as a step")
        s = substr(t, length(b) + 1)
        while (substr(s, 1, 7) != ": text\n") {
            before = s
            one()
            if (seen[name]++) no(name " is said twice")
            free = name
            if (name ~ /^gone_[0-9]+$/) free = "gone_"
            if (!(free in form)) {
                printf "%s", substr(before, 1, length(before) - length(s)) >own
                continue
            }
            if (name == "signed") gsub(/\n/, " ", value)
            if (length(value) > most[free] || value !~ form[free]) no(name " has no such value")
        }
        print "ok " length(s)
    }
    END
    : >"$h_at/own"
    h_said=$(awk -v free="$h_at/free" -v own="$h_at/own" -v begins="$h_at/first" -v script="$h_at/script" \
        -f "$h_at/parse" "$h_at/free" "$h_at/first" "$h_at/script" 2>/dev/null)
    case $h_said in "ok "*) ;; "no "*) h_no "${h_said#no }";; *) h_no "it cannot be read";; esac
    h_text=${h_said#ok }
    h_sum=$({ cat "$h_at/own"; tail -c "$h_text" "$h_at/script"; } | sha256sum)
    h_kind=
    while read -r h_a h_b; do
        [ "$h_a" != "${h_sum%% *}" ] || h_kind=$h_b
    done <<END
    $h_known
    END
    [ -n "$h_kind" ] || h_no "it is no step that this host was set up for: another play, or another version, made it"
    h_b=$(($(wc -c <"$h_at/first")))
    tail -c "+$((h_b + 1))" "$h_at/script" | head -c "$((h_size - h_text - h_b))" >"$h_at/values"
    . "$h_at/values"
    [ -n "${id-x}" ] || [ "$h_kind" = reads ] || h_no "id has no such value"
    h_refuse() {
        printf '\n%s begin\n%s s %s\n%s end refused %s\n' "$N" "$N" "$2" "$N" "$1"
        exit 0
    }
    h_signed=$h_root/.rollout/signed
    h_ledger=$h_root/.rollout/ledger
    # What marks and prunes take out of the ledger, and what is not to be forgotten for that: lines as in the ledger.
    h_memory=$h_root/.rollout/remembered
    # h_was ID MARK [FILE]: whether that line is there, in the ledger or in the memory; when, it says behind
    h_was() { cat "${3-$h_ledger}" "${3-$h_memory}" 2>/dev/null | cut -d ' ' -f 1,2 | grep -qxF "$1 $2"; }
    h_note() { printf '%s\n' "$1" >>"$h_memory" || h_refuse E_DISK "cannot write $h_memory"; }
    h_later() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort | tail -n 1)" = "$1" ]; }
    h_field() { sed -n "/^-----BEGIN/q; s/^$2 //p" "$1" | head -n 1; }
    h_taken() { ssh-keygen "$@" <"$h_at/message" >/dev/null 2>&1; }
    # h_verified FILE: whether the statement in it is good now, for this app; h_why says why not
    h_verified() {
        sed '/^-----BEGIN/,$d' "$1" >"$h_at/message"
        sed -n '/^-----BEGIN/,$p' "$1" >"$h_at/signature"
        set -- "$1" -Y verify -f "$h_allowed" -I "$h_identity" -n "$h_space" -s "$h_at/signature"
        h_file=$1
        shift
        h_why="E_SIG_BAD the statement is not signed by $h_identity, as this host knows it"
        if [ -n "$h_revoked" ]; then
            h_taken "$@" -r "$h_revoked" || {
                ! h_taken "$@" || h_why="E_SIG_REVOKED the key is revoked on this host"
                return 1
            }
        else
            h_taken "$@" || return 1
        fi
        h_why="E_SIG_APP the statement is about another app"
        [ "$(h_field "$h_file" app)" = "$h_app" ] || return 1
        h_until=$(h_field "$h_file" expires)
        h_why="E_SIG_EXPIRED the statement has expired"
        [ -z "$h_until" ] || h_later "$h_until" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    }
    # h_old FILE: whether a release that was switched to here was signed later
    h_old() {
        h_made=$(h_field "$1" created)
        for h_a in "$h_signed"/*; do
            [ -f "$h_a" ] && h_was "${h_a##*/}" activated || continue
            if h_later "$(h_field "$h_a" created)" "$h_made"; then return 0; fi
        done
        return 1
    }
    h_install() {
        [ -n "$signed" ] || { h_home || h_refuse E_SIG_UNSIGNED "this host takes signed releases alone"; return 0; }
        printf %s "$signed" >"$h_at/statement"
        h_verified "$h_at/statement" || h_refuse "${h_why%% *}" "${h_why#* }"
        [ "$(h_field "$h_at/statement" release)" = "$id" ] || h_refuse E_SIG_ID "the statement is about another release"
        [ "$(h_field "$h_at/statement" sent)" = "$artifact" ] &&
            [ "$(h_field "$h_at/statement" manifest)" = "$manifest" ] ||
            h_refuse E_SIG_BYTES "the statement is about other bytes"
        ! h_old "$h_at/statement" || h_was "$id" activated ||
            h_refuse E_SIG_REPLAY "a release that was signed later was here already"
        mkdir -p "$h_signed" && cp "$h_at/statement" "$h_signed/$id" || h_refuse E_DISK "cannot write $h_signed"
    }
    # h_home: whether the release has been what ran here, so that going back to it needs nobody
    h_home() { [ -d "$h_root/releases/$id" ] && { h_was "$id" activated || h_was "$id" adopted; }; }
    h_activate() {
        ! h_home || return 0
        [ -f "$h_signed/$id" ] || h_refuse E_SIG_UNSIGNED "release $id is not signed, and was never what ran here"
        h_verified "$h_signed/$id" || h_refuse "${h_why%% *}" "${h_why#* }"
        [ "$(h_field "$h_signed/$id" release)" = "$id" ] && [ "$(h_field "$h_signed/$id" manifest)" = "$manifest" ] ||
            h_refuse E_SIG_BYTES "the statement of release $id is about something else"
        ! h_old "$h_signed/$id" || h_refuse E_SIG_REPLAY "a release that was signed later was here already"
    }
    h_withdraw() {
        ! cat "$h_ledger" "$h_memory" 2>/dev/null | cut -d ' ' -f 2 | grep -qx kept ||
            h_refuse E_SIG_UNSIGNED "a release was kept here: it is not taken away"
    }
    # A release that was proven here once counts as such, whatever else is said of it later.
    h_mark() {
        case $made in verified | kept) ;; *) return 0;; esac
        [ -d "$h_root/releases/$id" ] && h_was "$id" activated || return 0
        [ "$(sed -n '$s/ [0-9]*$//p' "$h_memory" 2>/dev/null)" = "$id $made" ] || h_note "$id $made $(date +%s)"
    }
    # h_stays: of what is to go, one that has to stay, by the arithmetic of the play's own `keep` and `keep_for`
    h_stays() {
        {
            for h_a in "$h_root"/releases/*/.rollout-manifest; do
                h_a=${h_a%/*}
                echo "there ${h_a##*/}"
            done
            sed 's/^/ledger /' "$h_ledger"
            sed 's/^/memory /' "$h_memory"
            h_n=0
            while h_n=$((h_n + 1)); [ "$h_n" -le "$gone_n" ]; do eval "echo \"gone \$gone_$h_n\""; done
        } 2>/dev/null | awk -v keep="$h_keep" -v age="$h_keep_for" -v now="$(date +%s)" '
            $1 == "there" { there[$2] = 1; next }
            $1 == "gone" { gone[$2] = 1; next }
            !($2 in at) || $3 == "kept" { at[$2] = ++n; named[n] = $2 }
            $3 == "bad" { bad[$2] = 1 }
            $3 ~ /^(verified|kept|adopted)$/ { proven[$1, $2] = 1 }
            $4 + 0 > since[$2] { since[$2] = $4 + 0 }
            END {
                for (i = n; i > 0; i--) {
                    a = named[i]
                    if (at[a] != i || !(a in there)) continue
                    if (!(("memory", a) in proven) && (!(("ledger", a) in proven) || a in bad)) continue
                    if (++stays > keep && since[a] && now - since[a] > age) continue
                    if (a in gone) { print a; exit }
                }
            }'
    }
    h_prune() {
        h_a=$(h_stays)
        [ -z "$h_a" ] || h_refuse E_KEEP "release $h_a stays: by its play this host keeps $h_keep that were proven here"
        h_n=0
        while h_n=$((h_n + 1)); [ "$h_n" -le "$gone_n" ]; do
            eval "h_a=\${gone_$h_n-}"
            ! h_was "$h_a" activated || h_was "$h_a" activated "$h_memory" || h_note "$h_a activated"
        done
    }
    h_reads() { :; }
    h_other() { :; }
    h_gate=1
    "h_$h_kind"
    s=$(cat "$h_at/script"; echo x)
    rm -rf "$h_at"
    trap - EXIT
    unset LC_ALL
    [ -z "$h_lc" ] || { LC_ALL=$h_lc; export LC_ALL; }
    eval "${s%x}"
""")
