"""The small fleet and the artifact that the playbooks of these tests are read with."""

from __future__ import annotations

from pathlib import Path

from rollout.inventory import Inventory, load_inventory

INVENTORY = """\
[web]
web1 http_port=8081
web2 http_port=8082
web3 http_port=8083
web4 http_port=8084

[db]
db1
"""


def fleet(folder: Path, text: str = INVENTORY) -> Inventory:
    """Write an inventory and an artifact into a folder, and read the inventory."""
    (folder / "hosts.ini").write_text(text)
    (folder / "app.tar").touch()
    (folder / "app.rar").touch()
    return load_inventory([folder / "hosts.ini"], None)
