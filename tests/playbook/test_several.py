"""Several plays: what they share, what an environment lays over them, and what they are to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.errors import InputError
from rollout.model.need import Need, Term
from rollout.model.play import Play
from rollout.model.share import Share
from rollout.playbook.load import Report, load, validate
from rollout.playbook.options import Options
from tests.playbook.fleet import fleet

TWO = """\
- defaults:
    service: { systemd: shop.service }
    load_balancers: none
    forks: 3
    max_failures: 1
    vars: { port: 80, kind: tar, deep: { a: 1, b: 2 } }
    connection: { user: deploy, become: { user: root } }
    release: { artifact: "app.{{ kind }}" }
    health: { healthy_for: 9s, checks: [{ tcp: { port: "{{ port }}" } }] }
    environments:
      production: { serial: [1, "10%"], health: { healthy_for: 30s }, vars: { deep: { a: 3 } } }
      staging: { serial: ["100%"], vars: { port: 81 } }
      default:
- name: The api
  app: api
  hosts: db
  release: { root: /srv/api }
- app: shop
  hosts: web
  forks: 5
  max_fail_percentage: 20
  vars: { port: 82, deep: { b: 4 } }
  connection: { become: { user: shop } }
  release: { root: /srv/shop }
  service: { process: { command: [./serve, "{{ deep | string }}"] } }
  health: { interval: 2s }
  on_failure: { also: api }
  environments:
    production: { forks: 7 }
"""


def loaded(folder: Path, text: str = TWO, **options: Any) -> tuple[Play, ...]:
    (folder / "play.yml").write_text(text)
    options.setdefault("environ", {})
    return load(folder / "play.yml", fleet(folder), **options)


def reported(folder: Path, text: str, **options: Any) -> Report:
    (folder / "play.yml").write_text(text)
    return validate(folder / "play.yml", fleet(folder), Options(environ={}, **options))


def ask(play: Play) -> Any:
    return play.resolve({play.hosts[0]: "1"})[play.hosts[0]]


def test_defaults_lie_under_every_play(tmp_path: Path) -> None:
    api, shop = loaded(tmp_path)
    assert [p.name for p in (api, shop)] == ["The api", "shop"]
    assert (api.hosts, shop.hosts) == (("db1",), ("web1", "web2", "web3", "web4"))
    assert (api.forks, shop.forks) == (3, 5)
    assert (api.health.healthy_for_s, api.health.interval_s) == (9.0, 1.0)
    assert (shop.health.healthy_for_s, shop.health.interval_s) == (9.0, 2.0)
    assert (ask(api).root, ask(shop).root) == ("/srv/api", "/srv/shop")
    assert (ask(api).checks[0].port, ask(shop).checks[0].port) == (80, 82)
    assert ask(shop).connection.user == "deploy"
    assert (ask(api).connection.become.user, ask(shop).connection.become.user) == ("root", "shop")
    assert api.artifact.path == shop.artifact.path == str(tmp_path / "app.tar")


def test_one_of_two_rivals_takes_the_others_place(tmp_path: Path) -> None:
    api, shop = loaded(tmp_path)
    assert (api.max_failures, api.max_fail_percentage_ppm) == (Share(count=1), None)
    assert (shop.max_failures, shop.max_fail_percentage_ppm) == (Share(count=0), 200_000)


def test_a_service_and_a_variable_are_replaced_whole(tmp_path: Path) -> None:
    shop = loaded(tmp_path)[1]
    assert ask(shop).service.command == ("./serve", "{'b': 4}")


def test_an_environment_lies_over_the_play_and_the_play_s_own_over_that(tmp_path: Path) -> None:
    api, shop = loaded(tmp_path, environment="production")
    assert api.serial == shop.serial == (Share(count=1), Share(ppm=100_000))
    assert (shop.health.healthy_for_s, shop.health.interval_s) == (30.0, 2.0)
    assert (api.forks, shop.forks) == (3, 7)
    assert ask(shop).service.command == ("./serve", "{'a': 3}")
    assert {p.environment for p in (api, shop)} == {"production"}
    assert ask(loaded(tmp_path, environment="staging")[1]).checks[0].port == 81


def test_an_environment_that_is_not_declared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--env: E_ENVIRONMENT: The environment `prodution` .* Did you mean `prod"):
        loaded(tmp_path, environment="prodution")
    shared, plays = TWO.split("    environments:\n")[0], "- name: The api" + TWO.split("- name: The api")[1]
    plain = shared + plays.split("  environments:\n")[0]
    assert len(loaded(tmp_path, plain, environment="anything")) == 2


def test_what_another_environment_says_is_checked_too(tmp_path: Path) -> None:
    report = reported(tmp_path, TWO.replace('serial: ["100%"]', "serial: 0"), environment="production")
    assert [p.code for p in report.problems] == ["E_BATCH"]
    assert "staging" in report.problems[0].source


def test_a_layer_may_lack_and_contradict_what_another_completes(tmp_path: Path) -> None:
    text = TWO.replace("healthy_for: 9s", "healthy_for: 9m").replace("interval: 2s", "deadline: 20m")
    found = reported(tmp_path, text.replace("forks: 5", "limits: { progress_deadline: 1h }"))
    assert [p.code for p in found.problems] == ["E_DEADLINE"]  # the api's own: 9m within 5m
    assert found.problems[0].source.strip().startswith("health: { healthy_for: 9m")


def test_also_names_earlier_plays_once(tmp_path: Path) -> None:
    assert [p.on_failure.also for p in loaded(tmp_path)] == [(), ("api",)]
    assert loaded(tmp_path, TWO.replace("also: api", "also: [api, api]"))[1].on_failure.also == ("api",)
    assert loaded(tmp_path, TWO.replace("also: api", 'also: ["{{ who }}"]'), extra_vars={"who": "api"})[1]
    with pytest.raises(InputError, match="E_ALSO: No earlier play"):
        loaded(tmp_path, TWO.replace("also: api", 'also: ["{{ who }}"]'), extra_vars={"who": "x"})


def test_needs_are_read(tmp_path: Path) -> None:
    shop = loaded(tmp_path, TWO + '  needs: { mail: ">= 1.2, <2", search: 3.0.1 }\n')[1]
    assert shop.needs == (
        Need(app="mail", wanted=">= 1.2, <2", terms=(Term(sign=">=", version="1.2"), Term(sign="<", version="2"))),
        Need(app="search", wanted="3.0.1", terms=(Term(sign="==", version="3.0.1"),)),
    )


WHENS = [
    ("true", 2),
    ("false", 1),
    ('"{{ port == 82 }}"', 2),
    ('"{{ port == 83 }}"', 1),
    ("\"{{ 'web' in groups and 'none' in groups }}\"", 1),
    ('"{{ go | bool }}"', 1),
    ('"{{ later is defined }}"', 1),
]


@pytest.mark.parametrize(("when", "plays"), WHENS)
def test_when_leaves_a_play_out(when: str, plays: int, tmp_path: Path) -> None:
    report = reported(tmp_path, TWO + f"  when: {when}\n", extra_vars={"go": "no"})
    assert report.problems == ()
    assert [p.app for p in report.plays] == ["api", "shop"][:plays]
    said = [f"`shop` ({tmp_path}/play.yml:30) is left out: its `when` is false."]
    assert list(report.left_out) == (said if plays == 1 else [])
    assert [w for w in report.plays[0].warnings if "left out" in w] == list(report.left_out)


def test_nothing_of_a_play_that_is_left_out_has_to_be_there(tmp_path: Path) -> None:
    odd = TWO.replace("hosts: web", "hosts: nowhere").replace("root: /srv/shop", 'artifact: none.tar, root: "{{ x }}"')
    assert "E_GROUP" in {p.code for p in reported(tmp_path, odd).problems}
    assert reported(tmp_path, odd + "  when: false\n").problems == ()
    wrong = reported(tmp_path, odd + "  when: false\n  serial: 0\n")
    assert [p.code for p in wrong.problems] == ["E_BATCH"]  # what is written is checked all the same


def test_a_play_that_is_left_out_has_no_way_back(tmp_path: Path) -> None:
    text = TWO.replace("  hosts: db\n", "  hosts: db\n  when: false\n")
    (shop,) = loaded(tmp_path, text)
    assert shop.on_failure.also == ()
    assert loaded(tmp_path, text.replace("hosts: web\n", "hosts: web\n  when: false\n")) == ()


def test_two_apps_may_share_hosts_but_no_root(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, TWO.replace("hosts: db", "hosts: web"))) == 2
    with pytest.raises(InputError, match="E_ROOT: `/srv/shop` on db1 is the root of both `api` and `shop`"):
        loaded(tmp_path, TWO.replace("hosts: web", "hosts: all").replace("/srv/api", "/srv/shop"))
    assert len(loaded(tmp_path, TWO.replace("/srv/api", "/srv/shop"))) == 2  # no host is in both


def test_every_problem_of_every_play_is_said_at_once_and_once(tmp_path: Path) -> None:
    text = TWO.replace("port: 80,", "port: none,").replace("hosts: db", "hosts: dc").replace("port: 82", "port: 0")
    found = reported(tmp_path, text.replace("forks: 3", "forks: 0"))
    assert [(p.line, p.code) for p in found.problems] == [(4, "E_RANGE"), (9, "E_PORT"), (16, "E_GROUP")]


def test_warnings_stand_with_their_play(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(TWO.replace("  hosts: db\n", "  hosts: db\n  health: { checks: [] }\n"))
    (tmp_path / "play.yml").chmod(0o666)
    api, shop = load(tmp_path / "play.yml", fleet(tmp_path), environ={})
    assert ["nothing is asked" in " ".join(p.warnings) for p in (api, shop)] == [True, False]
    assert ["anybody" in " ".join(p.warnings) for p in (api, shop)] == [True, False]
