"""Bad input: each file in bad/ ends with the very lines that it must be answered with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.errors import InputError, Problem
from rollout.playbook.load import load, validate
from rollout.playbook.loader import read
from rollout.playbook.options import Options
from rollout.playbook.said import render_problem
from tests.badinput.places import wrong_places
from tests.playbook.fleet import fleet
from tests.tables.watching import watched

BAD = sorted((Path(__file__).parent / "bad").glob("*.yml"))
PLAY = """\
- app: shop
  hosts: web
  release: { artifact: app.tar, root: /srv/shop }
  service: { systemd: shop.service }
  load_balancers: none
  health: { checks: [{ tcp: { port: 80 } }] }
"""


def problems(folder: Path, text: str | bytes, options: Options | None = None) -> list[str]:
    """Validate a playbook, and return the one-line forms with the folder taken off.

    Nobody may be contacted for it, nothing written, and every place must be one of the file.
    """
    playbook = folder / "play.yml"
    playbook.write_bytes(text if isinstance(text, bytes) else text.encode())
    inventory = fleet(folder)
    with watched() as seen:
        report = validate(playbook, inventory, options or Options(environ={}))
    assert seen.nothing, seen
    assert bool(report.plays) != bool(report.problems)
    said = [str(p).replace(f"{folder}/", "") for p in report.problems]
    assert not wrong_places("\n".join(said), {"play.yml": playbook.read_bytes().decode("utf-8-sig", "replace")})
    return said


def row(name: str) -> list[pytest.MarkDecorator]:
    """Return the mark of the row that a name begins with: b37_ports, B17 NUL."""
    found = re.match(r"b0*(\d+)[_ ]", f"{name} ", re.IGNORECASE)
    return [pytest.mark.bad(f"B{found[1]}")] if found else []


@pytest.mark.parametrize("bad", [pytest.param(p, id=p.stem, marks=row(p.stem)) for p in BAD])
def test_every_bad_playbook_is_answered_as_written_in_it(
    bad: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    text = bad.read_text()
    expected = re.findall(r"^#= (.*)\n", text, re.MULTILINE)
    assert expected
    assert problems(tmp_path, text) == expected
    places, codes = zip(*(line.split(": ")[:2] for line in expected), strict=True)
    record_property("said", {"codes": sorted(set(codes)), "places": places[:1], "typed": "validate"})


BYTES = [
    pytest.param(b"- name: a\x00b\n", "play.yml:1:10: E_CONTROL_CHAR: The control character U+0000", id="B17 NUL"),
    pytest.param(b"- name: \x1b[31m\n", "play.yml:1:9: E_CONTROL_CHAR: The control character U+001B", id="B17 ESC"),
    pytest.param(b"- name: a\n- \xc2\x9b\n", "play.yml:2:3: E_CONTROL_CHAR: The control character U+009B", id="B17 C1"),
    pytest.param(b"- a\r- b\n", "play.yml:1:4: E_CONTROL_CHAR: The control character U+000D", id="a lone CR"),
    pytest.param("- hosts: w\u202eb\n".encode(), "play.yml:1:11: E_BIDI: The character U+202E", id="B18"),
    pytest.param(b"- name: caf\xe9\n", "play.yml:1:12: E_ENCODING: Byte 0xe9 is not UTF-8.", id="B19 Latin-1"),
    pytest.param("- name: x\n".encode("utf-16"), "play.yml: E_ENCODING: The file is UTF-16.", id="B19 UTF-16"),
    pytest.param(b"", "play.yml:1:1: E_EMPTY: The file says nothing.", id="B21"),
    pytest.param(b"---", "play.yml:1:4: E_EMPTY: The file says nothing.", id="B21 at the end of a line"),
    pytest.param(  # the second: where newer libyaml gives up, ahead of us
        b"[" * 5000, tuple(f"play.yml:1:{n}: E_DEPTH: This is nested more than 64" for n in (65, 1001)), id="B13"
    ),
    pytest.param(b"- " * 5000, "play.yml:1:129: E_DEPTH", id="B13 blocks"),
    pytest.param(b"- forks: " + b"9" * 5000, "play.yml:1:10: E_RANGE: `999", id="B24"),
    pytest.param(b"a: *b\n", "play.yml:1:4: E_YAML: The alias `*b` has no anchor", id="no anchor"),
    pytest.param(b"#" * (4 << 20) + b"\n", "play.yml: E_SIZE: The file is larger than 4 MiB.", id="B26"),
]


MARKED = [pytest.param(*p.values, id=p.id, marks=row(str(p.id))) for p in BYTES]


@pytest.mark.parametrize(("data", "expected"), MARKED)
def test_bytes_that_are_no_playbook(data: bytes, expected: str | tuple[str, ...], tmp_path: Path) -> None:
    found = problems(tmp_path, data)
    assert [f for f in found if f.startswith(expected)]
    assert all(len(f) < 400 for f in found)


@pytest.mark.bad("B20")
def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    assert problems(tmp_path, b"\xef\xbb\xbf" + PLAY.encode()) == []


@pytest.mark.bad("B26")
@pytest.mark.parametrize("name", ["a FIFO", "a directory", "a device", "nothing", "a socket's parent"])
def test_what_is_no_file_is_refused_and_does_not_hang(name: str, tmp_path: Path) -> None:
    path = tmp_path / "play.yml"
    if name == "a FIFO":
        os.mkfifo(path)
    elif name == "a directory":
        path.mkdir()
    elif name == "a device":
        path = Path("/dev/zero")
    elif name == "a socket's parent":
        path = tmp_path / "nowhere" / "play.yml"
    found = validate(path, fleet(tmp_path)).problems
    assert [p.code for p in found] == ["E_NOT_FILE"]


@pytest.mark.bad("B27")
def test_a_file_that_anybody_may_write_is_warned_about(tmp_path: Path) -> None:
    problems(tmp_path, PLAY)
    (tmp_path / "play.yml").chmod(0o666)
    (play,) = load(tmp_path / "play.yml", fleet(tmp_path))
    assert [w for w in play.warnings if "anybody" in w and "0666" in w]


def test_an_alias_may_be_used_within_the_budget(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("a: &a [x, y]\nb: [*a, *a]\n")
    assert read(str(tmp_path / "x.yml")).problems == ()


def test_the_budget_counts_what_aliases_stand_for(tmp_path: Path) -> None:
    def text(times: int) -> str:
        return "a: &a [" + "x," * 998 + "]\nb: [" + "*a," * times + "]\n"

    (tmp_path / "x.yml").write_text(text(98))
    assert read(str(tmp_path / "x.yml")).problems == ()
    (tmp_path / "x.yml").write_text(text(101))
    with pytest.raises(InputError, match="E_ALIAS"):
        read(str(tmp_path / "x.yml"))


def test_aliases_cannot_go_deeper_than_what_is_written(tmp_path: Path) -> None:
    def text(levels: int) -> str:
        return "a0: &a0 x\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, levels))

    (tmp_path / "x.yml").write_text(text(63))
    assert read(str(tmp_path / "x.yml")).problems == ()
    (tmp_path / "x.yml").write_text(text(65))
    with pytest.raises(InputError, match="E_DEPTH"):
        read(str(tmp_path / "x.yml"))


OPTIONS = [
    (Options(limit="db1", environ={}), "--limit: E_LIMIT: `db1` leaves none of the play's 4 hosts."),
    (Options(limit="web9", environ={}), "--limit: E_LIMIT: No host or group is called `web9`. Did you mean"),
    (Options(environment="../prod", environ={}), "--env: E_NAME: The environment `../prod` cannot be used."),
    (Options(environment="", environ={}), "--env: E_NAME: The environment `` cannot be used."),
    (Options(extra_vars={"a-b": 1}, environ={}), "--extra-vars: E_VAR_NAME: `a-b` cannot name a variable."),
]


@pytest.mark.bad("B39", "B46")
@pytest.mark.parametrize(("options", "expected"), OPTIONS)
def test_what_the_command_line_says_is_checked_too(options: Options, expected: str, tmp_path: Path) -> None:
    found = problems(tmp_path, PLAY, options)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_a_pattern_that_finds_nothing_is_the_one_thing_said(tmp_path: Path) -> None:
    text = PLAY.replace("hosts: web", "hosts: wob\n  min_in_service: 2").replace("/srv/shop", "'/srv/{{ http_port }}'")
    found = problems(tmp_path, text)
    assert [f.split(": ")[1] for f in found] == ["E_GROUP"]


@pytest.mark.bad("B36")
def test_two_hosts_at_one_address_and_port(tmp_path: Path) -> None:
    inventory = fleet(
        tmp_path,
        "[web]\nweb1 ansible_host=h\nweb2 ansible_host=h ansible_port=22\nweb3 ansible_host=h ansible_port=23\n",
    )
    (tmp_path / "play.yml").write_text(PLAY)
    found = validate(tmp_path / "play.yml", inventory).problems
    assert [p.code for p in found] == ["E_DUP_HOST"]
    assert "`web2` and `web1`" in found[0].what


def test_the_caret_stands_under_the_column() -> None:
    found = Problem(file="f", line=7, column=3, code="E_X", what="W.", source="\ta\x1b: b")
    assert render_problem(found) == "f:7:3: E_X: W.\n  7 |     a\\x1b: b\n    |      ^"


def test_a_long_line_is_shown_around_the_column() -> None:
    found = Problem(file="f", line=1, column=5001, code="E_X", what="W.", source="x" * 5000 + "y" + "x" * 5000)
    picture = render_problem(found).split("\n")
    assert len(picture[1]) < 140
    assert picture[1][picture[2].index("^")] == "y"


def test_what_is_shown_is_escaped() -> None:
    shown = render_problem(Problem(file="f\x1b[2J", code="E_X", what="\u202eabc\n\r\x9b"))
    assert shown == "f\\x1b[2J: E_X: \\u202eabc\\n\\r\\x9b"
