"""Secrets in templates: the rendering child gets no value, and what leaves it is a reference in the right place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout.model.host import HostName
from rollout.model.secret import references, revealed, sealed, shown
from rollout.playbook.load import load, validate
from rollout.playbook.nodes import Place, Scalar
from rollout.playbook.options import Options
from rollout.playbook.templates import Rendered, Renderer
from rollout.playbook.vars import Variables
from tests.playbook.fleet import fleet

PW = sealed("env:PW")
COMMON = {"pw": "{{ secret('env:PW') }}", "url": "postgres://app:{{ pw }}@db/x", "all": {"deep": ["{{ pw }}"]}}


def render(text: str, common: Mapping[str, Any] = COMMON, folder: str = "/play") -> Rendered:
    with Renderer(environ={"PW": "hunter2-hunter2"}, folder=folder) as renderer:
        return renderer.render([Scalar(place=Place(file="f", line=1, column=1), value=text)], Variables(common=common))[
            0
        ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ secret('env:PW') }}", PW),
        ("{{ url }}", f"postgres://app:{PW}@db/x"),
        ("{{ 'a' + pw + 'b' }}{{ 'c' ~ pw }}", f"a{PW}bc{PW}"),
        ("{{ all }}", {"deep": [PW]}),
        ("{{ all.deep | join(',') }} {{ pw | default('x') }} {{ pw is defined }}", f"{PW} {PW} True"),
        ("{% for p in [pw, pw] %}{{ p }}{% endfor %}", PW + PW),
        ("{{ '%s' % pw }}{{ '{}'.format(pw) }}", PW + PW),
        ("{{ secret('file:keys/a') }}", sealed("file:/play/keys/a")),
        ("{{ secret('file:/keys/../b') }}", sealed("file:/b")),
        ("{{ secret('cmd:./get  \"the key\"') }}", sealed("cmd:/play/get 'the key'")),
        ("{{ secret('cmd:pass show x') }}", sealed("cmd:pass show x")),
    ],
)
def test_a_secret_becomes_a_reference_wherever_it_is_put(text: str, value: object) -> None:
    found = render(text)
    assert found.problems == ()
    assert found.values == (value,)


@pytest.mark.parametrize(
    "text",
    [
        "{{ pw | upper }}",
        "{{ url | replace('a', 'b') }}",
        "{{ url | urlencode }}",
        "{{ url | tojson }}",
        "{{ url | list }}",
        "{{ [pw] | map('upper') | list }}",
        "{{ pw | int }}",
        "{{ pw | trim }}",
        "{{ url is string }}",
        "{{ pw == 'x' }}",
        "{{ pw or 'x' }}",
        "{{ 'x' if pw }}",
        "{{ [pw] }} in a text",
        "{{ url.upper() }}",
        "{{ url.lower() }}",
        "{{ url[:30] }}",
        "{{ url[::-1] }}",
    ],
)
@pytest.mark.bad("B78")
def test_nothing_else_can_be_done_with_it(text: str) -> None:
    found = render(text)
    assert [p.code for p in found.problems] == ["E_SECRET"], found
    assert "hunter2" not in str(found)


def test_a_template_cannot_make_a_reference_of_its_own() -> None:
    forged = {"branch": PW, "half": "\x0eenv:PW"}
    for text in ("{{ branch }}", "{{ half ~ '\x0f' }}", "\x0eenv:PW\x0f", "{{ '\\x0eenv:PW\\x0f' }}"):
        assert [p.code for p in render(text, forged).problems] == ["E_CONTROL_CHAR"]
        assert render(text + "{{ secret('env:A') }}", forged).problems, "nor beside one that is real"


PLAY = """\
- app: shop
  hosts: web
  vars: { pw: "{{ secret('cmd:touch RAN') }}" }
  release:
    id: v1
    artifact: { url: "https://h/a.tar", headers: { Authorization: "Bearer {{ pw }}" } }
    sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    root: /srv/shop
    shared: { files: [{ path: pw, content: "{{ inventory_hostname }} {{ pw }}" }] }
    prepare: [{ run: [a], env: { A: "{{ pw }}" }, stdin: "{{ pw }}" }]
  hooks: { before_switch: [{ run: [b], undo: { run: [b], stdin: "{{ pw }}" } }] }
  drain: { until: { run: [c], env: "{{ {'B': pw} }}" } }
  service: { systemd: shop.service }
  load_balancers: none
  health: { checks: [{ http: { port: 80, headers: { Cookie: "a={{ pw }}" } } }] }
"""


def test_references_stand_in_the_play_and_nothing_is_run_for_one(tmp_path: Path) -> None:
    book = tmp_path / "play.yml"
    book.write_text(PLAY)
    inventory = fleet(tmp_path)
    (play,) = load(book, inventory, environ={})
    ask = play.resolve({HostName("web1"): "v1"})[HostName("web1")]
    ref = sealed("cmd:touch RAN")
    assert ask.shared.files[0].content == f"web1 {ref}"
    assert ask.checks[0].headers == {"Cookie": f"a={ref}"}  # type: ignore[union-attr]
    prepare, until, before = (ask.tasks[p][0] for p in ("prepare", "drain.until", "before_switch"))
    assert (prepare.env, prepare.stdin) == ({"A": ref}, ref)
    assert until.env == {"B": ref}
    assert before.undo is not None
    assert before.undo.stdin == ref
    assert play.artifact.headers == {"Authorization": f"Bearer {ref}"}
    assert validate(book, inventory, Options(environ={})).problems == ()
    assert not list(tmp_path.rglob("RAN")), "a command runs when something is sent, and not before"
    assert not Path("RAN").exists()


@pytest.mark.parametrize("kind", ["sops", "ansible-vault"])
def test_a_file_that_is_encrypted_is_relative_to_the_playbook(tmp_path: Path, kind: str) -> None:
    book = tmp_path / "play.yml"
    book.write_text(PLAY.replace("cmd:touch RAN", f"{kind}:../s/x.yml#db.pw"))
    (play,) = load(book, fleet(tmp_path), environ={})
    ask = play.resolve({HostName("web1"): "v1"})[HostName("web1")]
    assert ask.shared.files[0].content == f"web1 {sealed(f'{kind}:{tmp_path.parent}/s/x.yml#db.pw')}"


@pytest.mark.parametrize(
    "play",
    [
        PLAY.replace("[{ run: [a]", "{ run: [a]").replace('}}" }]\n  hooks', '}}" }\n  hooks'),
        PLAY.replace("[{ run: [b], undo", "{ run: [b], undo").replace('}}" } }] }', '}}" } } }'),
    ],
    ids=["prepare", "hooks"],
)
def test_one_task_may_be_written_without_a_list_and_have_its_secret(tmp_path: Path, play: str) -> None:
    book = tmp_path / "play.yml"
    book.write_text(play)
    assert play != PLAY
    assert validate(book, fleet(tmp_path), Options(environ={})).problems == ()


def test_a_reference_is_shown_as_three_stars_and_revealed_once_it_is_sent() -> None:
    text = f"postgres://app:{PW}@db/{sealed('file:/a')}"
    assert references(text) == ("env:PW", "file:/a")
    assert shown(text) == "postgres://app:***@db/***"
    assert revealed(text, lambda reference: reference.upper()) == "postgres://app:ENV:PW@db/FILE:/A"
