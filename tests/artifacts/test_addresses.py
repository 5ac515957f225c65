"""Which addresses an artifact may come from."""

from __future__ import annotations

import ipaddress

import pytest

from rollout.artifacts.addresses import LOOPBACK, PRIVATE, PUBLIC, depth, refused

NOBODY = {
    "metadata": ("169.254.169.254", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "192.0.0.192"),
    "credentials": ("169.254.170.2",),
    "Azure": ("168.63.129.16",),
    "link-local": ("169.254.0.1", "fe80::1", "fe80::1%eth0"),
    "multicast": ("224.0.0.1", "239.255.255.250", "ff02::1"),
    "no address": ("0.0.0.0", "0.1.2.3", "::", "255.255.255.255", "240.0.0.1", "fec0::1", "100::1", "1234::1"),
    "mapped": ("::ffff:169.254.169.254", "::ffff:224.0.0.1", "::ffff:0.0.0.0"),
    "embedded": ("::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    "teredo": ("2001:0:a9fe:a9fe::1", "2001:0:102:304:0:0:5601:5601"),
}
SOMEBODY = {
    PUBLIC: ("1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "168.63.129.17"),
    PRIVATE: ("10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "198.18.0.1", "fc00::1", "2002:a00:1::1"),
    LOOPBACK: ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::7f00:1", "64:ff9b::7f00:1"),
}


@pytest.mark.parametrize("said", [said for many in NOBODY.values() for said in many])
def test_nothing_is_fetched_from_there(said: str) -> None:
    assert refused(ipaddress.ip_address(said))


@pytest.mark.parametrize(("said", "wanted"), [(said, d) for d, many in SOMEBODY.items() for said in many])
def test_how_far_in_an_address_lies(said: str, wanted: int) -> None:
    address = ipaddress.ip_address(said)
    assert refused(address) == ""
    assert depth(address) == wanted
