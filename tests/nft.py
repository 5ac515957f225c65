"""Packets on the loopback get lost, by rules of nftables: each test's in a table of its own, which goes with it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NEEDS = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("nft") is None, reason="only root may drop packets, by nft (apt-get: nftables)"
)
_COUNT = itertools.count()


@contextmanager
def lost(*packets: str) -> Iterator[None]:
    """Have packets lost that match any of these, such as ``tcp dport 22 tcp flags syn``."""
    table = f"rollout_{os.getpid()}_{next(_COUNT)}"
    rules = "\n".join(f"{packet} drop" for packet in packets)
    chain = f"chain passing {{ type filter hook input priority 0; policy accept;\n{rules}\n}}"
    subprocess.run(["nft", "-f", "-"], input=f"table inet {table} {{\n{chain}\n}}\n", text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)


def both_ways(port: int) -> tuple[str, str]:
    """Return all packets to and from a port."""
    return f"tcp dport {port}", f"tcp sport {port}"
