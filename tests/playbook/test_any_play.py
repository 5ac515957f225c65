"""Whatever stands at whatever key, the answer is a report: a play or problems with places, never a traceback."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.playbook.load import Report, validate
from rollout.playbook.options import Options
from tests.playbook.fleet import fleet
from tests.playbook.test_keys import good

ODD = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "none", "a b", "{{ 1 }}", "{{ [] }}", "{{ x", "../x", "10%", "5s", [], {}]
)
ANY = ODD | st.recursive(ODD, lambda v: st.lists(v, max_size=2) | st.dictionaries(st.sampled_from("ab"), v, max_size=2))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in steps:
        found += paths(below, (*path, step))
    return found


def everything() -> dict[str, Any]:
    play = good()
    play |= {"name": "x", "serial": [1], "order": "sorted", "vars": {"v": 1}, "vars_files": [], "forks": 2}
    play |= {"min_in_service": 1, "max_failures": 0, "max_fail_percentage": 0, "unreachable": "refuse"}
    play["connection"] |= {"become": {"user": "root"}, "known_hosts": ["k"], "connect_timeout": "1s"}
    play["release"] |= {"id": "1", "sha256": "a" * 64, "links": "none"}
    play["service"]["systemd"][0] |= {"action": "restart", "timeout": "1s", "hosts": "all"}
    play["health"] |= {
        "checks": [{"http": {"port": 80, "json": {"a": 1}, "tls": {"verify": True}}}, {"command": ["x"]}]
    }
    play["health"] |= {"identity": "process", "healthy_for": "1s", "fall": 1}
    play["drain"] = {"deadline": "auto", "on_deadline": "fail"}
    play["on_failure"] = {"revert": "none", "before_switch": "halt", "collect": "default", "also": []}
    play |= {"needs": {"api": ">= 1, < 2"}, "when": "{{ v == 1 }}"}
    play["limits"] = {"step_timeout": "1m"}
    return play


EVERYTHING = everything()
CHANGES = st.lists(st.tuples(st.sampled_from(paths(EVERYTHING)), ANY), min_size=1, max_size=3)


@settings(max_examples=120, deadline=None)
@given(CHANGES)
def test_any_value_at_any_key_is_answered(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    play = copy.deepcopy(EVERYTHING)
    for path, value in changes:
        at = play
        for step in path[:-1]:
            at = at[step] if has(at, step) else {}
        if has(at, path[-1]):
            at[path[-1]] = value
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "play.yml").write_text(yaml.safe_dump([play]))
        report = validate(Path(folder) / "play.yml", fleet(Path(folder)), Options(environ={}))
    answered(report)


def answered(report: Report) -> None:
    """Plays (or none, because ``when`` says so), or else problems with places."""
    assert not (report.plays and report.problems)
    assert report.plays or report.left_out or report.problems
    for found in report.problems:
        assert found.code.startswith("E_")
        assert found.line >= 1 or found.file == "--env"
        assert "Traceback" not in str(found)


def two() -> list[dict[str, Any]]:
    shared = {k: v for k, v in EVERYTHING.items() if k not in ("name", "app", "max_fail_percentage")}
    over = {"serial": ["100%"], "health": {"interval": "2s"}, "vars": {"v": 1}}
    first, second = {"app": "api", "hosts": "db"}, {"app": "shop", "on_failure": {"also": ["api"]}, "environments": {}}
    second["environments"] = {"default": {"forks": 3}}
    return [{"defaults": {**shared, "environments": {"default": over, "other": over}}}, first, second]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(paths(two())), ANY), min_size=1, max_size=3))
def test_any_value_in_any_layer_is_answered(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    plays: Any = copy.deepcopy(two())
    for path, value in changes:
        at = plays
        for step in path[:-1]:
            at = at[step] if has(at, step) else {}
        if has(at, path[-1]):
            at[path[-1]] = value
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "play.yml").write_text(yaml.safe_dump(plays))
        report = validate(Path(folder) / "play.yml", fleet(Path(folder)), Options(environ={}))
    answered(report)


def has(at: Any, step: Any) -> bool:
    if isinstance(at, dict):
        return step in at
    return isinstance(at, list) and isinstance(step, int) and step < len(at)


def test_the_whole_play_is_good_to_begin_with() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "play.yml").write_text(
            yaml.safe_dump([{k: v for k, v in EVERYTHING.items() if "percent" not in k}])
        )
        assert validate(Path(folder) / "play.yml", fleet(Path(folder)), Options(environ={})).problems == ()
