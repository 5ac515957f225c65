"""Observe: everything that a plan wants to know of a host, read in one go, changing nothing."""

from __future__ import annotations

from rollout.model.release import Commands, Service, Systemd
from rollout.posix import service, shelf
from rollout.posix.op import Observe
from rollout.posix.quote import Script, assign, lean, listing

_WORK = lean(r"""
    machine() {
        f user "$(id -un)"
        f boot_id "$boot"
        start=
        stat 1
        f init_started "$start"
        x=
        { read -r x </etc/machine-id; } 2>/dev/null
        f machine_id "$x"
        x=
        for l in chmod cmp cut dd df diff find head id ln ls mkdir mv readlink rm rmdir sed sha256sum \
            sleep sort sync tail tar timeout touch tr wc; do
            command -v "$l" >/dev/null 2>&1 || x="$x $l"
        done
        f tools "${x# }"
        x=
        ! command -v curl >/dev/null 2>&1 || x=curl
        f fetches "$x"
        x=
        case $(zstd -H 2>/dev/null) in *--patch-from*) x=zstd;; esac
        f patches "$x"
        # A forced command says so: helper.py
        [ -z "${h_gate-}" ] || f gate 1
    }
    room() {
        set -- $(df -Pk . | tail -n 1)
        f free_bytes "$(($4 * 1024))"
        set -- $(df -Pi . 2>/dev/null | tail -n 1)
        # File systems without a fixed number of inodes say 0 of 0, or nothing.
        case ${2:-0} in 0 | - | *[!0-9]*) set -- - - - 4611686018427387904;; esac
        f free_inodes "$4"
    }
    reached() {
        is= state_=ok
        [ ! -f .rollout/identity ] || read -r is <.rollout/identity
        [ -z "$is" ] || [ "$is" = "$identity" ] || state_=foreign
        walk
        [ -z "$unsafe" ] || { state_=unsafe; f root_why "$unsafe"; }
        f root "$state_"
        x=1
        for d in . releases .rollout .rollout/*; do [ ! -e "$d" ] || [ -w "$d" ] || x=0; done
        f writable "$x"
        f identity "$is"
        room
        look
        f current "$cur"
        f current_kind "$kind"
        f link "$raw"
        leads
        complete
        books
        x=
        if [ -f .rollout/epoch ]; then
            l=
            read -r a b x l <.rollout/epoch
            x="$a $b ${l:-closed}"
        fi
        f epoch "$x"
        shared
        prove
        f running "$running"
        f fresh "$fresh"
    }
    denied() { why="${why:+$why; }$1"; sudo=refused; }
    sudoer() {
        sudo=unneeded why=
        if [ -n "$become" ] && [ "$become" != "$(id -un)" ]; then sudo=ok; ready; fi
        f sudo "$sudo"
        [ -z "$why" ] || f sudo_why "$why"
    }
    shared() { each shared there; }
    there() { if [ -f "shared/$1" ]; then f "shared.$((e_at - 1))" ok; else f "shared.$((e_at - 1))" missing; fi; }
    # circle: the group that is to write in shared directories; who is not in it cannot give them to it, but for root
    circle() {
        [ -n "$crew" ] || return 0
        case " $(id -Gn) " in *" $crew "*) return;; esac
        if ! getent group "$crew" >/dev/null 2>&1 && ! grep -q "^$crew:" /etc/group 2>/dev/null; then f group missing
        elif [ "$uid" != 0 ]; then f group outside
        fi
    }
    unit_state() {
        l= x=root
        for w in $(timeout 10 systemctl show -p LoadState,User "$1" 2>/dev/null); do
            case $w in LoadState=*) l=${w#*=};; User=?*) x=${w#*=};; esac
        done
        f "unit.$n" "$l"
        # who it runs as: root and we can write whatever is installed
        case $(id -u "$x" 2>/dev/null) in '') x=;; 0 | "$uid") x=writer;; *) x=other;; esac
        f "unit_as.$n" "$x"
        n=$((n + 1))
    }
    work() {
        machine
        n=0
        whoami
        units
        circle
        cur=
        if [ -d "$root" ] && [ ! -h "$root" ] && cd -P -- "$root" 2>/dev/null; then P=$PWD; reached
        elif [ -h "$root" ]; then f root unsafe; f root_why "$root is a symbolic link"
        else f root missing
        fi
        sudoer
        finish done
    }
""")


def script(deed: Observe) -> Script:
    """Return the script body of an Observe."""
    said = service.arguments(deed.service) + service.identity(deed.service) + service.control(deed.service)
    bare = (file.path for file in deed.shared.files if file.content is None)
    said += assign("crew", deed.shared.group)
    return said + listing("shared", bare) + shelf.TEXT + _WORK + _asked(deed.service)


def _asked(service: Service) -> str:
    """Return what only systemd and commands have: units to look at, and rights to try."""
    units = "each_unit unit_state" if isinstance(service, Systemd) else ":"
    ready = "svc_ready" if isinstance(service, Systemd | Commands) else ":"
    return f"units() {{ {units}; }}\nready() {{ {ready}; }}\n"
