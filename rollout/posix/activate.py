"""Activate: compare, move the prepared link by one rename, restart. Withdraw: stop, remove the link."""

from __future__ import annotations

from rollout.posix import intact, ledger, service
from rollout.posix.op import Activate, Withdraw
from rollout.posix.quote import Script, assign, lean

_COMMON = lean(r"""
    linkable() {
        case $kind in directory | file)
            f current "$kind"
            refuse E_CURRENT_NOT_LINK "$root/current is a $kind; move it away, then adopt or apply again"
        ;; esac
    }
    drifted() {
        f current "$cur"
        refuse E_DRIFT "$root/current names ${cur:-${raw:-nothing}}, not ${1:-nothing}: somebody else has changed it"
    }
""")

# The switch is put on record just before the rename: a process that started after the record and shows the
# new release cannot be older than the link. The line of the release before stays behind it: where the rename never
# came, that one is what is true.
_ACTIVATE = lean(r"""
    moment() {
        was=
        if [ "$cur" != "$id" ] && [ -f .rollout/switched ]; then
            while read -r a b x; do
                [ "$a" != "$cur" ] || was="$a $b $x$nl"
            done <.rollout/switched
        fi
        now
        soft .rollout/switched "$id $ticks $boot$nl$was" || refuse E_DISK "cannot write $root/.rollout/switched"
    }
    swap() {
        [ -h ".rollout/next-$id" ] || try ln -s "releases/$id" ".rollout/next-$id" ||
            refuse E_DISK "cannot make the link that is to become current$why"
        [ "$(readlink ".rollout/next-$id")" = "releases/$id" ] ||
            refuse E_TAMPERED "$root/.rollout/next-$id does not name release $id"
        moment
        try mv -T ".rollout/next-$id" current || refuse E_DISK "cannot rename the prepared link to $root/current$why"
        flush . .rollout/switched .rollout
        cur=$id switched=1
    }
    work() {
        look
        linkable
        [ "$cur" = "$id" ] || { [ "$cur" = "$expect" ] && [ "$kind" != outside ]; } || drifted "$expect"
        digest_of "$id" || refuse E_NO_RELEASE "$root/releases/$id is not a complete release"
        [ "$have" = "$manifest" ] ||
            refuse E_NO_RELEASE "$root/releases/$id has another manifest ($have) than was recorded ($manifest)"
        intact
        svc_ready
        switched=0 restarted=1
        [ -z "${idle-}" ] || restarted=0
        if [ "$cur" != "$id" ]; then swap
        elif [ "$again" = 1 ]; then moment
        else
            satisfied
            [ "$restarted" = 0 ] || [ -n "$linked" ] || moment
        fi
        f switched "$switched"
        f restarted "$restarted"
        f previous "$expect"
        [ "$restarted" = 0 ] || svc_restart
        mark "$id" activated
        finish done
    }
    # Where nobody knows when the link was moved (by hand, or the record was lost), or what runs is older than that,
    # nothing is proven: start anew.
    satisfied() { prove; [ "$running" != "$id" ] || [ -z "$linked" ] || [ "$fresh" != 1 ] || restarted=0; }
""")

_WITHDRAW = lean(r"""
    work() {
        look
        linkable
        [ "$cur" = "$id" ] || [ "$kind" = none ] || drifted "$id"
        svc_ready
        svc_stop
        rm -f current .rollout/switched
        flush . .rollout
        finish done
    }
""")


def script(deed: Activate) -> Script:
    """Return the script body of an Activate."""
    said = assign("id", deed.release) + assign("manifest", deed.manifest) + assign("expect", deed.expect)
    said += assign("again", int(deed.again))
    said += _service(deed) + ledger.TEXT + intact.TEXT + _COMMON
    return said + _ACTIVATE


def withdraw(deed: Withdraw) -> Script:
    """Return the script body of a Withdraw."""
    return assign("id", deed.release) + _service(deed) + _COMMON + _WITHDRAW


def _service(deed: Activate | Withdraw) -> Script:
    return service.arguments(deed.service) + service.identity(deed.service) + service.control(deed.service)
