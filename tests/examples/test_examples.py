"""Every playbook and every inventory that we show to people is what it says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from rollout.inventory import load_inventory
from rollout.lab.app import build_release
from rollout.model.host import HostName
from rollout.model.play import Play
from rollout.model.pool import HaproxyPool, WorkersPool
from rollout.model.release import Commands, Process, Systemd
from rollout.model.share import Share
from rollout.playbook.load import validate
from rollout.playbook.options import Options

TOP = Path(__file__).parents[2]
LAB = """\
[web]
lab1 ansible_port=2201
lab2 ansible_port=2202
lab3 ansible_port=2203
lab4 ansible_port=2204
lab5 ansible_port=2205
lab6 ansible_port=2206
[web:vars]
ansible_host=127.0.0.1
app_port=8080
app_root=/srv/shop
known_hosts=/tmp/known_hosts
haproxy_socket=/tmp/admin.sock
releases=dist
"""
EXAMPLES = {  # playbook -> inventory, how many hosts, how the service runs, what is in front of it
    "demo.yml": ("lab.ini", 6, Process, HaproxyPool),
    "minimal.yml": ("inventories/demo.ini", 4, Systemd, HaproxyPool),
    "systemd.yml": ("inventories/production", 14, Systemd, HaproxyPool),
    "workers.yml": ("inventories/demo.ini", 2, Process, WorkersPool),
    "commands.yml": ("inventories/demo.ini", 2, Commands, WorkersPool),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the examples, with the artifacts that they name."""
    for folder in ("playbooks", "inventories"):
        shutil.copytree(TOP / folder, tmp_path / folder)
    (tmp_path / "lab.ini").write_text(LAB)
    built = build_release(tmp_path / "built", "1.4.2")
    for app in ("shop", "mailer", "reports"):
        place = tmp_path / "playbooks" / "dist" / f"{app}-1.4.2.tar.gz"
        place.parent.mkdir(exist_ok=True)
        shutil.copy(built, place)
    return tmp_path


def loaded(checkout: Path, playbook: str, **variables: Any) -> Play:
    inventory = load_inventory([checkout / EXAMPLES[playbook][0]], checkout / "playbooks")
    report = validate(
        checkout / "playbooks" / playbook, inventory, Options(extra_vars={"version": "1.4.2"} | variables)
    )
    assert report.problems == ()
    assert report.warnings == ()
    (play,) = report.plays
    return play


def test_every_playbook_and_inventory_stands_in_the_table() -> None:
    assert {path.name for path in (TOP / "playbooks").iterdir()} == set(EXAMPLES)
    assert {f"inventories/{p.name}" for p in (TOP / "inventories").iterdir()} == {
        inventory for inventory, *_ in EXAMPLES.values() if inventory != "lab.ini"
    }


@pytest.mark.parametrize("playbook", EXAMPLES)
def test_an_example_is_a_play(checkout: Path, playbook: str) -> None:
    _, hosts, service, pool = EXAMPLES[playbook]
    play = loaded(checkout, playbook)
    asks = play.resolve(dict.fromkeys(play.hosts, "1.4.2"))
    assert len(play.hosts) == hosts
    assert {type(ask.service) for ask in asks.values()} == {service}
    assert [type(spec) for spec in play.pools] == [pool]
    assert all(ask.checks for ask in asks.values())


@pytest.mark.parametrize("playbook", EXAMPLES)
def test_an_example_says_what_it_is_for_before_anything_else(playbook: str) -> None:
    text = (TOP / "playbooks" / playbook).read_text()
    assert text.startswith("# ")
    assert "rollout apply playbooks/" + playbook in text


def test_the_demo_checks_the_release_under_test_on_each_host_s_own_port(checkout: Path) -> None:
    play = loaded(checkout, "demo.yml")
    ask = play.resolve(dict.fromkeys(play.hosts, "1.4.2"))[HostName("lab3")]
    (check,) = ask.checks
    assert check.kind == "http"
    assert (check.port, dict(check.json)) == (8080, {"version": "1.4.2"})
    assert play.min_in_service == Share(count=3)
    assert ask.shared.files[0].content == "8080\n"


def test_the_production_inventory_lays_its_files_over_each_other(checkout: Path) -> None:
    play = loaded(checkout, "systemd.yml")
    asks = play.resolve(dict.fromkeys(play.hosts, "1.4.2"))
    assert HostName("shop-eu-07.example.com") not in play.hosts
    assert asks[HostName("shop-eu-01.example.com")].connection.address == "192.0.2.21"
    assert asks[HostName("shop-us-c.example.com")].connection.port == 2222
    assert {ask.connection.user for ask in asks.values()} == {"deploy"}
