"""Templates: types, laziness, precedence; and what they must not do, in a child that the kernel bounds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import InputError
from rollout.playbook.load import load, validate
from rollout.playbook.nodes import Place, Scalar
from rollout.playbook.options import Options
from rollout.playbook.templates import Rendered, Renderer, readable_environ
from rollout.playbook.vars import Variables, same, shared
from tests.playbook.fleet import fleet

PLACE = Place(file="f", line=1, column=1)


def render(text: str, common: Mapping[str, Any] | None = None, hosts: tuple[Any, ...] = (), **environ: str) -> Rendered:
    with Renderer(environ=environ) as renderer:
        return renderer.render([Scalar(place=PLACE, value=text)], Variables(common=common or {}, hosts=hosts))[0]


VALUES = [
    ("{{ 1 + 1 }}", 2),
    ("  {{- 1 -}}  ", 1),
    ("{{ [1, 'a', none, true] }}", [1, "a", None, True]),
    ("{{ {'a': {'b': 1.5}} }}", {"a": {"b": 1.5}}),
    ("{{ 1 }}{{ 2 }}", "12"),
    ("v{{ 1 }}", "v1"),
    ("{{ '}}' }}", "}}"),
    ("{{ n | string }}", "7"),
    ("{{ -1 }}", -1),
    ("{% if n > 5 %}big{% else %}small{% endif %}", "big"),
    ("{# nothing #}x", "x"),
    ("{{ gone | default('d') }}", "d"),
    ("{{ gone is defined }}", False),
    ("{{ lazy }}", 8),
    ("{{ lazy + 1 }}", 9),
    ("{{ deep.list[0].x }}", "x8"),
    ("{{ deep }}", {"list": [{"x": "x8"}]}),
    ("{{ shadow }}", "mine"),
    ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
    ("{% set n = 1 %}{{ n }}", "1"),
    ("a\n{{ n }}\n", "a\n7\n"),
    ("{{ env('ROLLOUT_VAR_X') }}", "{{ n }}"),
    ("{{ 'ü' | upper }}", "Ü"),
]
COMMON = {
    "n": 7,
    "lazy": "{{ n + 1 }}",
    "deep": {"list": [{"x": "x{{ lazy }}"}]},
    "range_": 1,
    "shadow": "{{ mine }}",
    "mine": "mine",
}


@pytest.mark.bad("B74")
@pytest.mark.parametrize(("text", "value"), VALUES)
def test_what_a_template_gives(text: str, value: object) -> None:
    found = render(text, COMMON, ROLLOUT_VAR_X="{{ n }}")
    assert found.problems == ()
    assert found.values == (value,)
    assert type(found.values[0]) is type(value)


FAULTS = [
    ("{{ verison }}", "E_TEMPLATE", "`verison` is undefined. Did you mean `version`?"),
    ("{{ host.name }}", "E_TEMPLATE", "no attribute `name`"),
    ("{{ 1 | lowr }}", "E_TEMPLATE", "Did you mean `lower`?"),
    ("{{ 1 +", "E_TEMPLATE", "cannot be read"),
    ("{% for %}", "E_TEMPLATE", "cannot be read"),
    ("{{ 1 / 0 }}", "E_TEMPLATE", "division by zero"),
    ("{{ broken }}", "E_TEMPLATE", "`nope` is undefined. It is met in the variable `broken`."),
    ("{{ ''.__class__ }}", "E_TEMPLATE_UNSAFE", "`__class__`"),
    ("{{ lipsum.__globals__ }}", "E_TEMPLATE_UNSAFE", "`__globals__`"),
    ("{{ cycler.__init__ }}", "E_TEMPLATE_UNSAFE", "`__init__`"),
    ("{{ env.__globals__ }}", "E_TEMPLATE_UNSAFE", "`__globals__`"),
    ("{{ ''|attr('__class__') }}", "E_TEMPLATE_UNSAFE", "`__class__`"),
    ("{{ '{0.__class__}'.format('') }}", "E_TEMPLATE_UNSAFE", "`__class__`"),
    ("{{ host.pop('a') }}", "E_TEMPLATE_UNSAFE", "`pop`"),
    ("{{ names.append(1) }}", "E_TEMPLATE_UNSAFE", "`append`"),
    ("{% include '/etc/passwd' %}", "E_TEMPLATE_UNSAFE", "include"),
    ("{% import 'x' as y %}", "E_TEMPLATE_UNSAFE", "import"),
    ("{% extends 'x' %}", "E_TEMPLATE_UNSAFE", "extend"),
    ("{{ [1] | random }}", "E_TEMPLATE_UNSAFE", "random"),
    ("{{ range }}", "E_TEMPLATE", "The value is a function"),
    ("{{ names | map('upper') }}", "E_TEMPLATE", "The value is a generator"),
    ("{{ 'x'.ljust(2000000000) }}", "E_TEMPLATE_LIMIT", "memory"),
    ("{{ 'a' * 10**9 }}", "E_TEMPLATE_LIMIT", "memory"),
    ("{{ '%1000000000d' | format(1) }}", "E_TEMPLATE_LIMIT", "memory"),
    ("{{ 'x' * 1048577 }}", "E_TEMPLATE_LIMIT", "1 MiB"),
    ("{% for i in range(90000) %}{{ 'xxxxxxxxxxxxxxxxxxxx' }}{% endfor %}", "E_TEMPLATE_LIMIT", "1 MiB"),
    ("{{ 2 ** 64 }}", "E_TEMPLATE_LIMIT", "64 bits"),
    ("{{ big * 10 }}", "E_TEMPLATE", "no finite number"),
    ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "E_TEMPLATE_LIMIT", "depth"),
    ("{{ a }}", "E_VAR_CYCLE", "a > b > a"),
    ("{{ me }}", "E_VAR_CYCLE", "me > me"),
    ("{{ c0 }}", "E_VAR_CYCLE", "More than 50"),
    ("{{ secret('X') }}", "E_SECRET", "secret('env:NAME')"),
    ("{{ batch.number }}", "E_NOT_BUILT", "`batch` is not built yet"),
    ("{{ rollout.id }}", "E_NOT_BUILT", "`rollout` is not built yet"),
    ("{{ env('PATH') }}", "E_TEMPLATE", "`PATH` is not set, or is not one that may be read"),
    ("{{ '\\x1b[31m' }}", "E_CONTROL_CHAR", "U+001B"),
    ("{{ ['\\u202e'] }}", "E_BIDI", "U+202E"),
]
FAULTY = {
    "version": 1,
    "big": 1e308,
    "host": {"a": 1},
    "names": ["x"],
    "broken": "{{ nope }}",
    "a": "{{ b }}",
    "b": "{{ a }}",
    "me": ["{{ me }}"],
} | {f"c{i}": "{{ c" + str(i + 1) + " }}" for i in range(100)}


@pytest.mark.bad("B67", "B68", "B69", "B71", "B72", "B73", "B75", "B78")
@pytest.mark.parametrize(("text", "code", "said"), FAULTS)
def test_what_a_template_may_not(text: str, code: str, said: str) -> None:
    found = render(text, FAULTY).problems
    assert [p.code for p in found] == [code]
    assert said in str(found[0])


@pytest.mark.bad("B70")
@pytest.mark.parametrize("text", ["{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"])
def test_a_template_that_does_not_end_is_ended_and_named(text: str) -> None:
    with Renderer(environ={}) as renderer, pytest.raises(InputError, match=r"E_TEMPLATE_LIMIT.*99999"):
        renderer.render([Scalar(place=PLACE, value=t) for t in ("{{ 1 }}", text, "{{ 2 }}")], Variables())


def test_a_chain_of_variables_within_the_limit_is_followed() -> None:
    chain = {f"c{i}": "{{ c" + str(i + 1) + " }}" for i in range(40)} | {"c40": 1}
    assert render("{{ c0 }}", chain).values == (1,)


HOSTS = ({"inventory_hostname": "a", "port": 1}, {"inventory_hostname": "b", "port": 2})


def test_each_host_has_its_own_values() -> None:
    found = render("{{ inventory_hostname }}:{{ double }}", {"double": "{{ port * 2 }}"}, HOSTS)
    assert [found.of(i) for i in range(2)] == ["a:2", "b:4"]


def test_what_no_host_makes_a_difference_in_is_rendered_once() -> None:
    found = render("{{ name }}", {"name": "x{{ n }}", "n": 1}, HOSTS)
    assert found.values == ("x1",)
    assert found.of(1) == "x1"


def test_a_fault_that_every_host_has_is_told_once() -> None:
    found = render("{{ port.x }}{{ inventory_hostname }}", {}, HOSTS)
    assert len(found.problems) == 1
    assert found.broken(0)
    assert found.broken(1)


def test_what_may_be_read_of_the_environment() -> None:
    allowed = {"ROLLOUT_VAR_A": "1", "CI_COMMIT_SHA": "2", "GITHUB_SHA": "3"}
    secret = {"CI_JOB_TOKEN": "x", "GITHUB_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "PATH": "x", "ROLLOUT_STATE": "x"}
    assert readable_environ(allowed | secret) == allowed


def test_the_child_sees_nothing_of_the_environment_and_ends_with_the_renderer() -> None:
    with Renderer(environ={}) as renderer:
        renderer.render([Scalar(place=PLACE, value="{{ 1 }}")], Variables())
        assert renderer.child is not None
        pid = renderer.child.pid
        names = {v.split(b"=")[0] for v in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if v}
        assert names <= {b"LC_ALL", b"HOME", b"ROLLOUT_PROGRESS_FD"}
    assert not Path(f"/proc/{pid}").exists()


def test_equal_values_of_different_kinds_are_not_the_same() -> None:
    assert not same(1, True)
    assert not same(1, 1.0)
    assert not same([1], [True])
    assert same({"a": [1]}, {"a": [1]})
    assert shared([{"a": 1, "b": 2, "c": 1}, {"a": 1, "b": 3, "c": True}]) == {"a": 1}


PLAY = """\
- app: shop
  hosts: web
  vars: {{ who: play, version: "1.{{{{ minor }}}}", minor: 4 }}
  vars_files: [{files}]
  release: {{ id: "{{{{ version }}}}", artifact: app.tar, root: "/srv/{{{{ who }}}}" }}
  service: none
  load_balancers: none
  health: {{ checks: [{{ tcp: {{ port: "{{{{ http_port }}}}" }} }}] }}
"""


@pytest.mark.parametrize(
    ("files", "extra", "root"),
    [("", {}, "/srv/play"), ("v.yml", {}, "/srv/file"), ("v.yml", {"who": "extra"}, "/srv/extra")],
)
def test_who_wins(files: str, extra: dict[str, str], root: str, tmp_path: Path) -> None:
    (tmp_path / "v.yml").write_text("who: file\n")
    (tmp_path / "play.yml").write_text(PLAY.format(files=files))
    inventory = fleet(tmp_path, "[web]\nweb1 http_port=80 who=host\nweb2 http_port=81 who=host2\n")
    (play,) = load(tmp_path / "play.yml", inventory, extra_vars=extra, environ={})
    asks = play.resolve(dict.fromkeys(play.hosts, play.release_id))
    assert {a.root for a in asks.values()} == {root}
    assert [a.checks[0].port for a in asks.values()] == [80, 81]  # type: ignore[union-attr]
    assert play.release_id == "1.4"


def test_a_playbook_without_templates_starts_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    inventory = fleet(tmp_path, "[web]\nweb1 http_port=80\n")
    plain = PLAY.format(files="").replace('"1.{{ minor }}"', "1.4.2").replace("{{ version }}", "1.4.2")
    plain = plain.replace("{{ who }}", "x").replace('"{{ http_port }}"', "80")
    (tmp_path / "play.yml").write_text(plain)
    assert validate(tmp_path / "play.yml", inventory, Options(environ={})).problems == ()
    (tmp_path / "play.yml").write_text(PLAY.format(files=""))
    with pytest.raises(OSError, match="none"):
        load(tmp_path / "play.yml", inventory, environ={})


def test_what_the_environment_holds_is_in_no_picture_of_a_play(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY.format(files=""))
    inventory = fleet(tmp_path, "[web]\nweb1 http_port=80\n")
    (play,) = load(tmp_path / "play.yml", inventory, environ={"ROLLOUT_VAR_X": "canary", "TOKEN": "canary"})
    play.resolve({play.hosts[0]: "1"})
    assert "canary" not in repr(play)


def test_a_child_that_cannot_start_is_no_riddle(tmp_path: Path) -> None:
    code = "import rollout.playbook.sandbox as s; s.main()"
    done = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, env={**os.environ})
    assert (done.returncode, done.stdout) == (0, b"")
