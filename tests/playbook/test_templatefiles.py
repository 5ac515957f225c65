"""``release.templates``: files of the project, rendered whole for each host, with every fault at its line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rollout.model.host import HostName
from rollout.model.release import RenderedFile
from rollout.model.secret import sealed
from rollout.playbook.load import Report, load, validate
from rollout.playbook.options import Options
from tests.playbook.fleet import fleet

PLAY = """\
- app: shop
  hosts: web
  vars: {{ name: shop, kind: env, pw: "{{{{ secret('env:PW') }}}}" }}
  release:
    id: v1
    artifact: {{ path: app.tar, as: app }}
    root: /srv/shop
    shared: {{ dirs: [log], files: [{{ path: config/port, content: "1" }}] }}
    templates: {templates}
  service: {{ process: {{ command: [./app] }} }}
  load_balancers: none
  health: {{ checks: [{{ tcp: {{ port: 80 }} }}] }}
"""
ONE = "[{ src: templates/env.j2, dest: config/env }]"


def written(folder: Path, templates: str, files: Mapping[str, str]) -> None:
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "rollout.toml").touch()
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "play.yml").write_text(PLAY.format(templates=templates))


def of_hosts(folder: Path, templates: str, files: Mapping[str, str]) -> Mapping[str, tuple[RenderedFile, ...]]:
    written(folder, templates, files)
    (play,) = load(folder / "play.yml", fleet(folder))
    return {h: ask.templates for h, ask in play.resolve(dict.fromkeys(play.matched, "v1")).items()}


def report(folder: Path, templates: str, files: Mapping[str, str]) -> Report:
    written(folder, templates, files)
    return validate(folder / "play.yml", fleet(folder), Options())


def test_each_host_has_its_own(tmp_path: Path) -> None:
    text = "{# said once #}PORT={{ http_port }}\nAT={{ release.path }}\nPW={{ pw }}\n"
    found = of_hosts(tmp_path, ONE, {"templates/env.j2": text})
    assert found["web2"] == (
        RenderedFile(
            path="config/env", content=f"PORT=8082\nAT=/srv/shop/releases/v1\nPW={sealed('env:PW')}\n", mode="0640"
        ),
    )
    assert found["web1"][0].content.startswith("PORT=8081\n")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("{{ http_port }}", "8081"),
        ("{{ (1, 2) }}", "(1, 2)"),
        ("{{ [1, 'a'] }}\n", "[1, 'a']\n"),
        ("plain\n\n", "plain\n\n"),
        ("", ""),
    ],
)
def test_a_file_is_a_text_whatever_it_is_made_of(tmp_path: Path, text: str, content: str) -> None:
    assert of_hosts(tmp_path, ONE, {"templates/env.j2": text})["web1"][0].content == content


def test_names_may_be_templates_too(tmp_path: Path) -> None:
    templates = "[{ src: 'templates/{{ kind }}.j2', dest: 'config/{{ name }}.{{ http_port }}', mode: '0440' }]"
    (file,) = of_hosts(tmp_path, templates, {"templates/env.j2": "x"})["web3"]
    assert (file.path, file.mode) == ("config/shop.8083", "0440")


def test_what_was_read_is_among_the_sources(tmp_path: Path) -> None:
    written(tmp_path, ONE, {"templates/env.j2": "x"})
    (play,) = load(tmp_path / "play.yml", fleet(tmp_path))
    assert str(tmp_path / "templates/env.j2") in play.sources


WRONG = {
    "no such file": (ONE, {}, ["E_NOT_FILE play.yml:9"]),
    "a name that is not there": (ONE, {"templates/env.j2": "a\nb {{ http_prt }}\n"}, ["E_TEMPLATE env.j2:2"]),
    "no template": (ONE, {"templates/env.j2": "a\n\n{% if %}\n"}, ["E_TEMPLATE env.j2:3"]),
    "not for everybody": (ONE, {"templates/env.j2": "{{ ''.__class__ }}"}, ["E_TEMPLATE_UNSAFE env.j2:1"]),
    "another file": (ONE, {"templates/env.j2": "{% include 'x' %}"}, ["E_TEMPLATE_UNSAFE env.j2:1"]),
    "a hidden character": (ONE, {"templates/env.j2": "ok\na\x0eb"}, ["E_CONTROL_CHAR env.j2:2"]),
    "part of a secret": (ONE, {"templates/env.j2": "\n{{ pw | upper }}"}, ["E_SECRET env.j2:2"]),
    "too large": (ONE, {"templates/env.j2": "{{ 'x' * 70000 }}"}, ["E_SIZE play.yml:9"]),
    "outside": ("[{ src: ../env.j2, dest: env }]", {}, ["E_INCLUDE play.yml:9"]),
    "a secret in a name": ("[{ src: 'templates/{{ pw }}', dest: env }]", {}, ["E_SECRET_IN_NAME play.yml:9"]),
    "a way out": ("[{ src: templates/env.j2, dest: ../env }]", {"templates/env.j2": ""}, ["E_PATH play.yml:9"]),
    "ours": ("[{ src: templates/env.j2, dest: .rollout-x }]", {"templates/env.j2": ""}, ["E_TEMPLATE_DEST play.yml:9"]),
    "shared": ("[{ src: templates/env.j2, dest: log/env }]", {"templates/env.j2": ""}, ["E_TEMPLATE_DEST play.yml:9"]),
    "above what is shared": (
        "[{ src: templates/env.j2, dest: config }]",
        {"templates/env.j2": ""},
        ["E_TEMPLATE_DEST play.yml:9"],
    ),
    "twice": (
        "[{ src: templates/env.j2, dest: a }, { src: templates/env.j2, dest: a/b }]",
        {"templates/env.j2": ""},
        ["E_TEMPLATE_DEST play.yml:9"],
    ),
    "written by others": (
        "[{ src: templates/env.j2, dest: a, mode: '0660' }]",
        {"templates/env.j2": ""},
        ["E_MODE play.yml:9"],
    ),
    "a number": ("[{ src: templates/env.j2, dest: a, mode: 0640 }]", {"templates/env.j2": ""}, ["E_TYPE play.yml:9"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_where_it_stands(tmp_path: Path, case: str) -> None:
    templates, files, wanted = WRONG[case]
    found = report(tmp_path, templates, files).problems
    assert [f"{p.code} {Path(p.file).name}:{p.line}" for p in found] == wanted, [str(p) for p in found]


def test_a_link_that_leads_out_of_the_project_is_not_read(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "password").write_text("{{ nobody.sees.this }}")
    (project / "templates").mkdir()
    (project / "templates/env.j2").symlink_to(tmp_path / "password")
    assert [p.code for p in report(project, ONE, {}).problems] == ["E_INCLUDE"]


def test_who_does_not_ask_for_a_file_is_not_kept_by_its_faults(tmp_path: Path) -> None:
    """A host's own name of a file counts: what only another one could not render is none of its business."""
    templates = "[{ src: 'templates/{{ inventory_hostname }}.j2', dest: env }]"
    files = {
        f"templates/web{n}.j2": "{% if http_port|int != 808" + str(n) + " %}{{ nothing }}{% endif %}" for n in "1234"
    }
    found = of_hosts(tmp_path, templates, files)
    assert {h: files[0].content for h, files in found.items()} == dict.fromkeys(map(HostName, found), "")
