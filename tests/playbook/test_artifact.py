"""What a play names as its artifact: a file, a single file, or what a URL names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.model.play import ArtifactAsk
from rollout.playbook.load import load, validate
from rollout.playbook.options import Options
from tests.playbook.fleet import fleet

SHA = "a" * 64
PLAY = """\
- app: shop
  hosts: web
  release:
    root: /srv/shop
    {release}
  service: {{ systemd: shop.service }}
  load_balancers: none
  health: {{ checks: [{{ tcp: {{ port: 80 }} }}] }}
"""


def asked(tmp_path: Path, *lines: str, **variables: Any) -> ArtifactAsk:
    (tmp_path / "play.yml").write_text(PLAY.format(release="\n    ".join(lines)))
    options = Options(environ={"ROLLOUT_VAR_TOKEN": "s3cr3t"}, extra_vars=variables)
    report = validate(tmp_path / "play.yml", fleet(tmp_path), options)
    assert report.problems == ()
    return report.plays[0].artifact


@pytest.mark.parametrize(
    "written",
    [
        "artifact: https://example.org/shop-{{ version }}.tar.gz?x=1",
        "artifact: { url: 'https://example.org/shop-{{ version }}.tar.gz?x=1' }",
        "artifact: '{{ place }}'",
        "artifact: { url: '{{ place }}' }",
    ],
)
def test_a_url_is_a_url_however_it_is_written(written: str, tmp_path: Path) -> None:
    url = "https://example.org/shop-1.tar.gz?x=1"
    ask = asked(tmp_path, written, f"sha256: {SHA}", version="1", place=url)
    assert (ask.url, ask.path, ask.sha256) == (url, "", SHA)
    assert ask.name == "https://example.org/shop-1.tar.gz"
    assert ask.place[:2] == (str(tmp_path / "play.yml"), 5)
    assert ask.sha256_place[1] == 6
    assert ask.on_record.url == ask.name


def test_headers_are_rendered_and_stand_in_no_text(tmp_path: Path) -> None:
    headers = "{ Authorization: \"Bearer {{ env('ROLLOUT_VAR_TOKEN') }}\" }"
    ask = asked(tmp_path, "artifact:", "  url: https://example.org/a.tar", f"  headers: {headers}", f"sha256: {SHA}")
    assert ask.headers == {"Authorization": "Bearer s3cr3t"}
    assert "s3cr3t" not in repr(ask)


def test_s3(tmp_path: Path) -> None:
    ask = asked(tmp_path, "artifact: s3://releases/shop/a b-{{ version }}.tar", f"sha256: {SHA}", version="1")
    assert ask.url == ask.name == "s3://releases/shop/a b-1.tar"


def test_a_single_file_and_links(tmp_path: Path) -> None:
    ask = asked(tmp_path, 'artifact: { path: app.rar, as: bin/app, mode: "0755" }', "allow_links: /usr/bin/python3")
    assert (ask.path, ask.as_name, ask.mode) == (str(tmp_path / "app.rar"), "bin/app", "0755")
    assert ask.allow_links == ("/usr/bin/python3",)


def test_where_no_release_is_needed_a_url_that_is_not_known_is_none(tmp_path: Path) -> None:
    lines = ["artifact:", "      url: https://example.org/{{ version }}.tar"]
    headers = ["      headers: { Authorization: '{{ nobody }}' }", '    sha256: "{{ sha }}"']
    (tmp_path / "play.yml").write_text(PLAY.format(release="\n".join(lines + headers)))
    (play,) = load(tmp_path / "play.yml", fleet(tmp_path), released=False)
    assert (play.artifact.url, play.artifact.path, play.artifact.name) == ("", "", "")


def test_what_is_kept_and_what_is_added(tmp_path: Path) -> None:
    text = PLAY.format(release="artifact: https://example.org/a.tar\n    sha256: " + SHA)
    said = "  release:\n    keep: 3\n    keep_for: 2h\n    shared: { dirs: [log], add: [public/assets] }\n"
    found = []
    for body in (text, text.replace("  release:\n", said)):
        (tmp_path / "play.yml").write_text(body)
        (play,) = load(tmp_path / "play.yml", fleet(tmp_path))
        (ask, *_) = play.resolve(dict.fromkeys(play.hosts, "1")).values()
        found.append((play.keep, play.keep_for_s, ask.shared.add))
    assert found == [(5, 604_800.0, ()), (3, 7200.0, ("public/assets",))]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("keep: 0", "E_"),
        ("keep: '5'", "E_"),
        ("keep_for: 7", "E_DURATION"),
        ("shared: { dirs: [public], add: [public/assets] }", "E_SHARED"),
        ("shared: { add: [../x] }", "E_PATH"),
    ],
)
def test_what_cannot_be_kept_is_said_where_it_stands(said: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY.format(release=f"artifact: a.tar\n    {said}"))
    problems = validate(tmp_path / "play.yml", fleet(tmp_path), Options()).problems
    (found,) = [p for p in problems if p.line == 6]
    assert found.code.startswith(code), found
    assert found.column > 1
