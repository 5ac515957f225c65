"""Which addresses an artifact may come from: what a name resolves to is looked at before anything is connected.

A URL in a play is looked up in names that others may answer for, and a redirect is another's word
altogether. So a machine's own metadata, which gives out its credentials, is never asked; loopback
only where the play writes it; and a redirect never leads further in than who says it.
"""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PUBLIC, PRIVATE, LOOPBACK = 0, 1, 2  # how far in an address lies
METADATA = {
    ipaddress.ip_address(said): whose
    for said, whose in {
        "169.254.169.254": "the metadata of cloud machines",
        "169.254.170.2": "the credentials of containers on AWS",
        "fd00:ec2::254": "the metadata of machines on AWS",
        "fd00:ec2::23": "the credentials of containers on AWS",
        "fd20:ce::254": "the metadata of machines on Google Cloud",
        "100.100.100.200": "the metadata of machines on Alibaba Cloud",
        "168.63.129.16": "what machines on Azure are controlled by",
        "192.0.0.192": "the metadata of machines on Oracle Cloud",
    }.items()
}
INNER = [
    ipaddress.ip_network(said)
    for said in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7")
]
USED = [ipaddress.ip_network(said) for said in ("2000::/3", "fc00::/7", "::1/128", "::/128", "fe80::/10", "ff00::/8")]
EMBEDDING = [ipaddress.ip_network(said) for said in ("::ffff:0:0/96", "64:ff9b::/96", "::/96")]  # IPv4 in its last bits


def refused(address: Address) -> str:
    """Return why nothing is fetched from there, or "" where it may be."""
    return next(filter(None, map(_refused, meant(address))), "")


def _refused(address: Address) -> str:
    if address in METADATA:
        return METADATA[address]
    if address.is_link_local:
        return "link-local: whoever is on the same wire"
    if address.is_multicast:
        return "multicast: nobody in particular"
    first = int(address) >> (address.max_prefixlen - 8)
    if address.is_unspecified or (address.version == 4 and not first):
        return "no address of anybody"
    is_kept = first >= 240 if address.version == 4 else not any(address in network for network in USED)
    return "reserved: no address of anybody" if is_kept else ""


def depth(address: Address) -> int:
    """Return how far in an address lies: the deepest of what it stands for."""
    return max(map(_depth, meant(address)))


def _depth(address: Address) -> int:
    if address.is_loopback:
        return LOOPBACK
    return PRIVATE if any(address in network for network in INNER) else PUBLIC


def meant(address: Address) -> tuple[Address, ...]:
    """Return whom an address stands for: itself, or those that it carries inside (mapped, translated, tunnelled)."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) <= 1:
        return (address,)
    if any(address in network for network in EMBEDDING):
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour:
        return (address, address.sixtofour)
    return (address, *(address.teredo or ()))
