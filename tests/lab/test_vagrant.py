"""What Vagrant says of its machines becomes an inventory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rollout.inventory import load_inventory
from rollout.model.host import HostName

SCRIPT = Path(__file__).parents[2] / "vagrant" / "inventory"
SAID = """\
Host vm1
  HostName 127.0.0.1
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile {key}
  IdentityFile /somewhere/else
  IdentitiesOnly yes
  LogLevel FATAL

Host vm2
  HostName 192.168.121.7
  User vagrant
  Port 22
  IdentityFile {key}

"""


@pytest.mark.parametrize("key", ["/home/me/key", '"/home/me/a folder/key"'], ids=["plain", "quoted"])
def test_ssh_config_becomes_an_inventory(tmp_path: Path, key: str) -> None:
    (tmp_path / "said").write_text(SAID.format(key=key))
    made = subprocess.run([SCRIPT, tmp_path / "said"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "vagrant.ini").write_text(made)
    inventory = load_inventory([tmp_path / "vagrant.ini"], None)
    seen = [inventory.hosts[host].variables for host in inventory.match("web")]
    assert inventory.match("web") == (HostName("vm1"), HostName("vm2"))
    assert [(v["ansible_host"], v["ansible_port"], v["ansible_user"]) for v in seen] == [
        ("127.0.0.1", 2222, "vagrant"),
        ("192.168.121.7", 22, "vagrant"),
    ]
    assert {v["ansible_ssh_private_key_file"] for v in seen} == {key.strip('"')}
