"""From a good playbook to a play: every value, and what the command line and the inventory add."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import InputError
from rollout.model.check import CommandCheck, Health, HttpCheck, TcpCheck
from rollout.model.host import Become
from rollout.model.plan import OnFailure
from rollout.model.play import Ask, Play
from rollout.model.pool import Drain, HaproxyPool, WorkersPool
from rollout.model.release import Commands, NoService, Process, Shared, SharedFile, Systemd, SystemdUnit
from rollout.model.share import Share
from rollout.playbook.extra_vars import parse_extra_vars
from rollout.playbook.load import load
from tests.playbook.fleet import INVENTORY, fleet

FULL = """\
- name: Roll out shop
  app: shop
  hosts: web
  order: reverse_inventory
  serial: [1, "12.5%", 3]
  min_in_service: "50%"
  max_failures: "10%"
  allow_outage: false
  unreachable: refuse
  forks: 7
  vars: { version: "1.4.2" }
  vars_files: [common.yml]
  connection:
    transport: fabric
    user: deploy
    become: { method: sudo, user: service }
    host_keys: accept-new
    known_hosts: [keys/known_hosts]
    connect_timeout: 1500ms
  release:
    id: "{{ version }}"
    artifact: { path: "app.{{ kind }}", strip: none, exclude: ["*.pyc"] }
    links: none
    root: /srv/{{ inventory_hostname }}/
    shared:
      dirs: [log, tmp/sockets]
      files: [config/key, { path: config/env, content: "P={{ http_port }}\\n", mode: "0600" }]
  service:
    systemd:
      - shop
      - { unit: "shop@{{ http_port }}.service", action: restart, timeout: 2m }
      - { unit: extra.timer, hosts: "web1:web2" }
  load_balancers:
    - haproxy: { via: local, socket: /run/haproxy.sock, backend: [shop, admin] }
    - haproxy: { via: local, tcp: "127.0.0.1:9999", backend: shop, server: "s-{{ http_port }}", hosts: "web3:web4" }
  drain: { deadline: 90s, on_deadline: kill }
  health:
    checks:
      - http:
          port: "{{ http_port }}"
          path: /healthz
          status: [200, 204]
          json: { version: "{{ release.id }}", ok: true, n: 1 }
          headers: { X-Check: "1" }
          host: 127.0.0.1
          method: POST
          body: hello
          timeout: 2s
          tls: { verify: false }
          scheme: https
          from: controller
      - tcp: { port: 80 }
      - command: [./selfcheck, "{{ release.path }}", 1]
      - command: { run: [./slow], timeout: 1m }
    interval: 500ms
    start_period: 1s
    healthy_for: 0s
    deadline: 4m
    fall: 2
    watch_interval: 3s
    identity: checks
  on_failure: { revert: batch, before_switch: revert, collect: default }
  limits: { step_timeout: 1h, progress_deadline: 1d }
  gates: { pause_timeout: 10m }
"""
SMALL = """\
- app: shop
  hosts: web
  release: { artifact: app.tar, root: /srv/shop }
  service: none
  load_balancers: none
"""


def loaded(folder: Path, text: str = SMALL, inventory: str = INVENTORY, **options: Any) -> Play:
    (folder / "play.yml").write_text(text)
    options.setdefault("environ", {})
    (play,) = load(folder / "play.yml", fleet(folder, inventory), **options)
    return play


def asks(play: Play, release: str = "1") -> list[Ask]:
    return list(play.resolve(dict.fromkeys(play.hosts, release)).values())


def test_every_key_reaches_the_play(tmp_path: Path) -> None:
    (tmp_path / "common.yml").write_text("kind: tar\n")
    play = loaded(tmp_path, FULL)
    assert (play.name, play.app, play.environment) == ("Roll out shop", "shop", "default")
    assert play.hosts == play.matched == ("web4", "web3", "web2", "web1")
    assert play.serial == (Share(count=1), Share(ppm=125_000), Share(count=3))
    assert (play.min_in_service, play.max_failures, play.forks) == (Share(ppm=500_000), Share(ppm=100_000), 7)
    assert play.release_id == "1.4.2"
    assert (play.artifact.path, play.artifact.strip) == (str(tmp_path / "app.tar"), "none")
    assert (play.artifact.exclude, play.artifact.links) == (("*.pyc",), "none")
    assert play.drain == Drain(deadline_s=90.0, on_deadline="kill")
    assert play.health == Health(
        interval_s=0.5,
        start_period_s=1.0,
        healthy_for_s=0.0,
        deadline_s=240.0,
        fall=2,
        watch_interval_s=3.0,
        identity="checks",
    )
    assert play.on_failure == OnFailure(revert="batch", before_switch="revert")
    assert (play.step_timeout_s, play.progress_deadline_s, play.collect) == (3600.0, 86400.0, True)
    assert (play.pause_timeout_s, play.line) == (600.0, 1)
    assert set(play.sources) == {str(tmp_path / f) for f in ("play.yml", "common.yml", "hosts.ini")}
    assert play.sources[str(tmp_path / "common.yml")] == hashlib.sha256(b"kind: tar\n").hexdigest()


def test_every_key_reaches_a_host(tmp_path: Path) -> None:
    (tmp_path / "common.yml").write_text("kind: tar\n")
    play = loaded(tmp_path, FULL)
    ask = play.resolve(dict.fromkeys(play.hosts, "1.4.2"))[play.hosts[1]]
    assert (ask.host, ask.root) == ("web3", "/srv/web3")
    connection = ask.connection
    assert (connection.address, connection.port, connection.user) == ("web3", 22, "deploy")
    assert (connection.become, connection.host_keys) == (Become(user="service"), "accept-new")
    assert (connection.known_hosts, connection.connect_timeout_s) == ((str(tmp_path / "keys/known_hosts"),), 1.5)
    env = SharedFile(path="config/env", content="P=8083\n", mode="0600")
    assert ask.shared == Shared(dirs=("log", "tmp/sockets"), files=(SharedFile(path="config/key"), env))
    units = (SystemdUnit(unit="shop.service"), SystemdUnit(unit="shop@8083.service", timeout_s=120.0))
    assert ask.service == Systemd(units=units)
    assert ask.members == {"shop@1": "web3", "admin": "web3", "shop@2": "s-8083"}
    http, tcp, command, slow = ask.checks
    assert http == HttpCheck(
        port=8083,
        path="/healthz",
        scheme="https",
        method="POST",
        host="127.0.0.1",
        headers={"X-Check": "1"},
        body="hello",
        status=(200, 204),
        json={"version": "1.4.2", "ok": "true", "n": "1"},
        timeout_s=2.0,
        verify_tls=False,
        vantage="controller",
    )
    assert (tcp, slow) == (TcpCheck(port=80), CommandCheck(argv=("./slow",), timeout_s=60.0))
    assert command == CommandCheck(argv=("./selfcheck", "/srv/web3/releases/1.4.2", "1"))


def test_a_unit_may_concern_some_hosts_only(tmp_path: Path) -> None:
    (tmp_path / "common.yml").write_text("kind: tar\n")
    found = {a.host: len(a.service.units) for a in asks(loaded(tmp_path, FULL))}  # type: ignore[union-attr]
    assert found == {"web1": 3, "web2": 3, "web3": 2, "web4": 2}


def test_pools_of_one_name_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "common.yml").write_text("kind: tar\n")
    assert loaded(tmp_path, FULL).pools == (
        HaproxyPool(name="shop@1", backend="shop", socket="/run/haproxy.sock"),  # type: ignore[arg-type]
        HaproxyPool(name="admin", backend="admin", socket="/run/haproxy.sock"),  # type: ignore[arg-type]
        HaproxyPool(name="shop@2", backend="shop", tcp="127.0.0.1:9999"),  # type: ignore[arg-type]
    )


def test_what_a_small_play_means(tmp_path: Path) -> None:
    play = loaded(tmp_path)
    assert (play.name, play.release_id, play.pools) == ("shop", "", (WorkersPool(),))
    assert play.serial == (Share(count=1), Share(ppm=100_000), Share(ppm=250_000))
    assert play.min_in_service is None
    assert play.health.identity == "none"  # nothing runs that could be proven
    assert [w for w in play.warnings if "health.checks" in w]
    ask = asks(play)[0]
    assert (ask.service, ask.members, ask.checks) == (NoService(), {"workers": "web1"}, ())
    assert (ask.connection.host_keys, ask.connection.become) == ("strict", None)


def test_each_release_id_is_rendered_for_itself(tmp_path: Path) -> None:
    check = "  health: { checks: [{ http: { port: 80, json: { v: '{{ release.id }}' } } }] }\n"
    play = loaded(tmp_path, SMALL + check)
    one, other = play.hosts[:2]
    found = play.resolve({one: "old", other: "new"})
    assert [a.checks[0].json["v"] for a in found.values()] == ["old", "new"]  # type: ignore[union-attr]
    assert play.resolve({one: "new"})[one].checks[0].json["v"] == "new"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("{ systemd: shop.service }", Systemd(units=(SystemdUnit(unit="shop.service"),))),
        ("{ systemd: { unit: shop } }", Systemd(units=(SystemdUnit(unit="shop.service"),))),
        ("{ commands: { restart: [a, b] } }", Commands(restart=("a", "b"))),
        (
            "{ commands: { start: [a], stop: [b], status: [c] } }",
            Commands(start=("a",), stop=("b",), status=("c",)),
        ),
        ("{ process: { command: [./serve, 80] } }", Process(command=("./serve", "80"))),
        (
            "{ process: { command: [./s], stop_signal: QUIT, stop_timeout: 3s } }",
            Process(command=("./s",), stop_signal="QUIT", stop_timeout_s=3.0),
        ),
    ],
)
def test_the_forms_of_a_service(service: str, expected: object, tmp_path: Path) -> None:
    play = loaded(tmp_path, SMALL.replace("service: none", f"service: {service}"))
    assert {repr(a.service) for a in asks(play)} == {repr(expected)}
    assert play.health.identity == "process"


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("inventory", ["b10", "b9", "a1"]),
        ("reverse_inventory", ["a1", "b9", "b10"]),
        ("sorted", ["a1", "b10", "b9"]),
        ("reverse_sorted", ["b9", "b10", "a1"]),
    ],
)
def test_the_order_of_hosts(order: str, expected: list[str], tmp_path: Path) -> None:
    play = loaded(tmp_path, SMALL + f"  order: {order}\n", "[web]\nb10\nb9\na1\n")
    assert list(play.hosts) == expected


def test_a_shuffle_is_the_seed_s(tmp_path: Path) -> None:
    inventory = "[web]\nh[1:40]\n"
    text = SMALL + "  order: shuffle\n"
    first = loaded(tmp_path, text, inventory, seed=5)
    assert first.hosts == loaded(tmp_path, text, inventory, seed=5).hosts
    assert first.hosts != loaded(tmp_path, text, inventory, seed=6).hosts
    assert sorted(first.hosts) == sorted(f"h{i}" for i in range(1, 41))
    assert first.seed == 5
    drawn = loaded(tmp_path, text, inventory)
    assert loaded(tmp_path, text, inventory, seed=drawn.seed).hosts == drawn.hosts


def test_limit_narrows_the_batches_and_not_the_floor(tmp_path: Path) -> None:
    play = loaded(tmp_path, limit="web3:web1:db1")
    assert play.hosts == ("web1", "web3")
    assert len(play.matched) == 4


def test_connection_variables_of_the_inventory_win_over_play_and_command_line(tmp_path: Path) -> None:
    inventory = (
        "[web]\nweb1 ansible_user=own ansible_port=2222 ansible_host=10.0.0.1 ansible_become=false"
        " ansible_ssh_private_key_file=/k\n"
        "web2\n[all:vars]\nansible_host={{ inventory_hostname }}.example.org\n"
    )
    options: Any = {"user": "cli", "private_key": "/cli", "become": True}
    one, other = (a.connection for a in asks(loaded(tmp_path, SMALL, inventory, **options)))
    assert (one.user, one.port, one.address, one.key_files, one.become) == ("own", 2222, "10.0.0.1", ("/k",), None)
    assert (other.user, other.address, other.key_files) == ("cli", "web2.example.org", ("/cli",))
    assert other.become == Become()
    play = loaded(tmp_path, SMALL + "  connection: { user: play }\n", inventory, **options)
    assert [a.connection.user for a in asks(play)] == ["own", "play"]


def test_forks_of_the_command_line_win(tmp_path: Path) -> None:
    assert loaded(tmp_path, forks=3).forks == 3


@pytest.mark.parametrize("name", ["sha256sums", "SHA256SUMS"])
def test_a_file_of_sums_beside_the_artifact_counts(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("0" * 64 + "  other.tar\n" + "Ab" * 32 + " *app.tar\n")
    artifact = loaded(tmp_path).artifact
    assert (artifact.sha256, artifact.sha256_place) == ("ab" * 32, (str(tmp_path / name), 2, 1))
    (tmp_path / name).write_text("0" * 64 + "  other.tar\n")
    with pytest.raises(InputError, match=r"play.yml:3:24: E_DIGEST: .* does not name `app.tar`"):
        loaded(tmp_path)


def test_a_digest_in_the_play_counts(tmp_path: Path) -> None:
    (tmp_path / "sha256sums").write_text("0" * 64 + "  app.tar\n")
    text = SMALL.replace("root:", f"sha256: {'a' * 64}, root:")
    artifact = loaded(tmp_path, text).artifact
    assert (artifact.sha256, artifact.sha256_place[1:]) == ("a" * 64, (3, 41))


def test_artifacts_that_are_directories_links_or_pipes(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "link.tar").symlink_to("app.tar")
    assert loaded(tmp_path, SMALL.replace("app.tar", "build")).artifact.path == str(tmp_path / "build")
    with pytest.raises(InputError, match="E_NOT_FILE"):
        loaded(tmp_path, SMALL.replace("app.tar", "link.tar"))
    with pytest.raises(InputError, match="E_DIGEST: A directory has no digest"):
        loaded(tmp_path, SMALL.replace("app.tar", "build").replace("root:", f"sha256: {'a' * 64}, root:"))


def test_variable_files_may_lie_anywhere_in_the_project_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "rollout.toml").touch()
    folder = tmp_path / "plays"
    folder.mkdir()
    (tmp_path / "v.yml").write_text("x: 1\n")
    text = SMALL.replace("app: shop", "app: shop\n  name: 'n{{ x }}'\n  vars_files: [../v.yml]")
    assert loaded(folder, text).name == "n1"
    (tmp_path / "rollout.toml").unlink()
    with pytest.raises(InputError, match="E_INCLUDE"):
        loaded(folder, text)
    (folder / "v.yml").symlink_to(tmp_path / "v.yml")
    with pytest.raises(InputError, match="E_INCLUDE"):
        loaded(folder, text.replace("../", ""))


def test_a_fleet_of_one_may_have_a_floor_when_an_outage_is_allowed(tmp_path: Path) -> None:
    text = SMALL + "  min_in_service: 1\n"
    with pytest.raises(InputError, match=r"E_FLOOR: .* A fleet of one needs `allow_outage: true`"):
        loaded(tmp_path, text, "[web]\nweb1\n")
    assert loaded(tmp_path, text + "  allow_outage: true\n", "[web]\nweb1\n").allow_outage
    assert loaded(tmp_path, SMALL + "  min_in_service: 0\n  allow_outage: true\n").min_in_service == Share(count=0)


def test_a_first_batch_that_is_the_fleet_is_warned_about(tmp_path: Path) -> None:
    assert [w for w in loaded(tmp_path, SMALL + "  serial: [4, 1]\n").warnings if "whole fleet" in w]
    assert not [w for w in loaded(tmp_path, SMALL + "  serial: [3, 1]\n").warnings if "whole fleet" in w]


def test_values_of_many_hosts_are_not_told_for_each(tmp_path: Path) -> None:
    inventory = "[web]\n" + "".join(f"h{i} port_no={70000 + i}\n" for i in range(300))
    text = SMALL + "  health: { checks: [{ tcp: { port: '{{ port_no }}' } }] }\n"
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, text, inventory)
    assert 1 <= len(caught.value.problems) <= 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a=1"], {"a": "1"}),
        (["a=1 b='x y'", "a=2"], {"a": "2", "b": "x y"}),
        (['{"a": 1, "b": [true]}'], {"a": 1, "b": [True]}),
        (["{a: 1.5}"], {"a": 1.5}),
        (["a="], {"a": ""}),
        ([], {}),
    ],
)
def test_extra_vars(arguments: list[str], expected: dict[str, object]) -> None:
    assert parse_extra_vars(arguments) == expected


def test_extra_vars_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "v.yml").write_text("a: 1\n")
    assert parse_extra_vars(["a=0", f"@{tmp_path}/v.yml", "b=2"]) == {"a": 1, "b": "2"}


@pytest.mark.parametrize("argument", ["a", "", "a='b", "[1]", "{a: no}", "{a", "@/nowhere", "a=\x1b", "@/dev/zero"])
def test_extra_vars_that_are_none(argument: str) -> None:
    with pytest.raises(InputError):
        parse_extra_vars([argument])
