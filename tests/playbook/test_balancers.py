"""Where balancers are: every host of `via` is one, reached by the play's rules, whatever --limit says."""

from __future__ import annotations

from pathlib import Path

from rollout.model.host import Become
from rollout.model.play import Play
from rollout.model.pool import HaproxyPool
from rollout.playbook.load import load
from tests.playbook.fleet import fleet

INVENTORY = """\
[web]
web1
web2

[lbs]
lb1 ansible_host=192.0.2.1 ansible_port=2222
lb2 ansible_host=192.0.2.2 ansible_user=ops ansible_become=true ansible_become_user=haproxy

[all:vars]
keys=known
"""
PLAY = """\
- app: shop
  hosts: web
  connection: {{ user: deploy, become: {{ user: root }}, known_hosts: ["{{{{ keys }}}}"] }}
  release: {{ artifact: app.tar, root: /srv/shop }}
  service: {{ systemd: shop.service }}
  load_balancers: [{entries}]
  health: {{ checks: [{{ tcp: {{ port: 80 }} }}] }}
"""


def play(folder: Path, *entries: str, limit: str = "") -> Play:
    (folder / "play.yml").write_text(PLAY.format(entries=", ".join(f"{{ haproxy: {{ {e} }} }}" for e in entries)))
    (made,) = load(folder / "play.yml", fleet(folder, INVENTORY), limit=limit, environ={})
    return made


def pools(made: Play) -> dict[str, HaproxyPool]:
    return {str(p.name): p for p in made.pools if isinstance(p, HaproxyPool)}


def test_each_host_of_a_pattern_is_one_balancer_and_each_backend_on_it_one_pool(tmp_path: Path) -> None:
    made = play(tmp_path, "via: lbs, socket: /run/h.sock, backend: [shop, api]", limit="web1")
    assert list(pools(made)) == ["shop@lb1", "api@lb1", "shop@lb2", "api@lb2"]
    assert made.hosts == ("web1",)
    asks = made.resolve({made.hosts[0]: "1"})
    assert asks[made.hosts[0]].members == dict.fromkeys(pools(made), "web1")


def test_it_is_reached_as_the_inventory_says_and_becomes_whom_its_own_words_say(tmp_path: Path) -> None:
    one, two = pools(play(tmp_path, "via: lbs, socket: /run/h.sock, backend: shop")).values()
    assert one.connection is not None
    assert two.connection is not None
    assert (one.connection.address, one.connection.port, one.connection.user) == ("192.0.2.1", 2222, "deploy")
    assert one.connection.known_hosts == (str(tmp_path / "known"),)
    assert one.connection.become is None, "whom services become on the play's hosts says nothing about a balancer's"
    assert (two.connection.user, two.connection.become) == ("ops", Become(user="haproxy"))


def test_become_of_the_entry_wins(tmp_path: Path) -> None:
    found = pools(play(tmp_path, "via: lbs, socket: /run/h.sock, backend: shop, become: { user: root }"))
    assert [p.connection.become for p in found.values() if p.connection] == [Become(user="root")] * 2


def test_pools_of_one_name_are_told_apart(tmp_path: Path) -> None:
    entries = ("via: lb1, socket: /a, backend: shop, hosts: web1", "via: lb1, socket: /b, backend: shop, hosts: web2")
    assert list(pools(play(tmp_path, *entries))) == ["shop@lb1", "shop@lb1#2"]
    entries = ("via: local, socket: /a, backend: shop", "via: lb1, socket: /a, backend: shop")
    assert list(pools(play(tmp_path, *entries))) == ["shop", "shop@lb1"]
