"""Which names of hosts, users, ports and groups are let through, and why the others are not.

Host names and users end up on a command line of ssh, in its ``%h`` and ``%u``, and in paths:
only what can be nothing but a name is accepted (CVE-2023-51385 and its kin).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import NamedTuple

HOST = re.compile(r"[A-Za-z0-9._:%-]+")
LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
ZONE = re.compile(r"[A-Za-z0-9._-]{1,32}")
USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
GROUP = re.compile(r"[^\W\d]\w*|[\w][\w.+@-]*")
NUMBER_LIKE = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


WIDTH = 80  # characters of a value that a message shows


class Fault(NamedTuple):
    """A code, what is wrong, and what to write instead."""

    code: str
    what: str
    instead: str


def shown(value: object) -> str:
    """Return a value as it may stand in a message: escaped, 80 characters at most."""
    text = value if isinstance(value, str) else repr(value)
    said = ""
    for char in text:
        more = char.encode("unicode_escape").decode("ascii")
        if len(said) + len(more) > WIDTH:
            return f"`{said}…`"
        said += more
    return f"`{said}`"


def host_fault(name: str) -> Fault | None:
    """Say what is wrong with a host name or address, or None."""
    if not name:
        return Fault("E_HOSTNAME", "the host name is empty.", "Write a name or an address.")
    if not name.isascii():
        return Fault("E_HOSTNAME_NONASCII", f"host {shown(name)} has {_code_points(name)}.", "Write its punycode form.")
    if name[0] == "-":
        return Fault(
            "E_HOSTNAME", f"host {shown(name)} begins with `-`: ssh would take it for an option.", "Rename it."
        )
    if not HOST.fullmatch(name):
        return Fault("E_HOSTNAME", f"host {shown(name)} holds a character that no host name has.", "Rename it.")
    if ":" in name or "%" in name:
        return _ipv6_fault(name)
    return _ipv4_fault(name) or _dns_fault(name)


def _code_points(name: str) -> str:
    found = [f"U+{ord(c):04X} {unicodedata.name(c, '')}".strip() for c in name if not c.isascii()]
    return "characters beyond ASCII: " + ", ".join(found[:4])


def _ipv6_fault(name: str) -> Fault | None:
    address, percent, zone = name.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        hint = "Write name, name:port, an IPv6 address, or [IPv6]:port."
        return Fault("E_HOSTNAME", f"host {shown(name)} is no IPv6 address.", hint)
    if percent and not ZONE.fullmatch(zone):
        return Fault("E_HOSTNAME", f"host {shown(name)} has no usable zone after `%`.", "Write fe80::1%eth0.")
    return None


def _ipv4_fault(name: str) -> Fault | None:
    labels = name.split(".")
    if not all(NUMBER_LIKE.fullmatch(label) for label in labels):
        return None
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        what = f"host {shown(name)} reads as a number: resolvers make different addresses of it."
        return Fault("E_HOSTNAME", what, "Write four decimal numbers, or a name.")
    return None


def _dns_fault(name: str) -> Fault | None:
    if len(name) > 253:
        return Fault(
            "E_HOSTNAME", f"host {shown(name)} has {len(name)} characters, and 253 are allowed.", "Shorten it."
        )
    for label in name.split("."):
        if len(label) > 63:
            return Fault("E_HOSTNAME", f"host {shown(name)} has a part of more than 63 characters.", "Shorten it.")
        if name != "." and not label:
            return Fault("E_HOSTNAME", f"host {shown(name)} has an empty part (a dot too many).", "Take the dot away.")
        if not LABEL.fullmatch(label):
            return Fault("E_HOSTNAME", f"host {shown(name)}: a part begins or ends with `-`.", "Rename it.")
    return None


def user_fault(user: object) -> Fault | None:
    """Say what is wrong with a login name, or None."""
    if isinstance(user, str) and USER.fullmatch(user):
        return None
    hint = "Allowed: a-z or _ first, then a-z 0-9 _ . - up to 32 characters."
    return Fault("E_USER", f"user {shown(user)} is not a login name that is let through.", hint)


def port_fault(port: object) -> Fault | None:
    """Say what is wrong with a port, or None. A string of digits counts, as with Ansible."""
    if port_number(port) is not None:
        return None
    return Fault("E_PORT", f"port {shown(port)} is not a whole number from 1 to 65535.", "Write 22.")


def port_number(port: object) -> int | None:
    """Return the port, or None for what is none (true, 22.0, "22 ", 0, 65536)."""
    if isinstance(port, str) and re.fullmatch(r"[1-9][0-9]{0,4}", port):
        port = int(port)
    if isinstance(port, bool) or not isinstance(port, int):
        return None
    return port if 1 <= port <= 65535 else None


def group_fault(name: str) -> Fault | None:
    """Say what is wrong with a group name, or None: it must be usable in patterns and as a file name."""
    if GROUP.fullmatch(name) and len(name) <= 128:
        return None
    return Fault("E_GROUP", f"group name {shown(name)} cannot stand in a pattern.", "Use letters, digits and `_`.")
