"""Which hosts, users and ports are let through: a table of what was tried against ssh and resolvers."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import InputError
from rollout.inventory import load_inventory
from rollout.inventory.ini import words
from rollout.inventory.names import host_fault, port_number, user_fault

GOOD = [
    *(
        "web1",
        "web-1.example.org",
        "a_b",
        "_dmarc.example.org",
        "10.0.0.1",
        "127.0.0.1",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
    ),
    *("::ffff:10.0.0.1", "xn--bcher-kva.example", "1and1", "a" * 63, ".".join(["a" * 60] * 4), "WEB1", "0", "10")[:-2],
    *("2001:db8::1", "3com.example"),
]
BAD = [
    *(
        "",
        "-oProxyCommand=touch",
        "--",
        "-",
        "web1;id",
        "web`id`",
        "web$(id)",
        "web'1",
        'web"1',
        "web 1",
        "web\n1",
        "web\x001",
    ),
    *(
        "a" * 64,
        ".".join(["a" * 60] * 5),
        "web1.",
        ".web1",
        "web..1",
        ".",
        "123",
        "0x7f.1",
        "127.1",
        "1.2.3.256",
        "1.2.3.4.5",
    ),
    *(
        "0x7f000001",
        "017700000001",
        "::1%",
        "::1%a b",
        "::g",
        "a:b",
        "web%1",
        "web1-",
        "a.-b",
        "w\\1",
        "w/1",
        "w|1",
        "w&1",
        "w@1",
    ),
    *("010.0.0.1", "[::1]", "web[1]", "*", "~web"),
]


@pytest.mark.bad("B34")
@pytest.mark.parametrize("name", GOOD)
def test_names_and_addresses_are_let_through(name: str) -> None:
    assert host_fault(name) is None


@pytest.mark.bad("B31", "B32", "B34")
@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_not(name: str) -> None:
    fault = host_fault(name)
    assert fault is not None
    assert fault.code == "E_HOSTNAME"
    assert fault.what.isprintable()


def test_a_name_that_ssh_takes_for_an_option_is_called_that() -> None:
    fault = host_fault("-oProxyCommand=touch")
    assert fault is not None
    assert "option" in fault.what


@pytest.mark.bad("B35")
def test_characters_beyond_ascii_are_shown_by_code_point() -> None:
    fault = host_fault("w\u0435b1")
    assert fault is not None
    assert fault.code == "E_HOSTNAME_NONASCII"
    assert "U+0435 CYRILLIC SMALL LETTER IE" in fault.what


@pytest.mark.bad("B33")
@pytest.mark.parametrize(
    ("user", "good"),
    [("deploy", True), ("_x", True), ("a.b-c_1", True), ("a" * 32, True)]
    + [
        (u, False)
        for u in ("", "a" * 33, "Deploy", "a$b", "a\\b", "1a", "-l", "a b", "a;b", "a\n", "é", None, 5, True, ["a"])
    ],
)
def test_users(user: object, good: bool) -> None:
    assert (user_fault(user) is None) == good


@pytest.mark.bad("B37")
@pytest.mark.parametrize(
    ("port", "number"),
    [(22, 22), (1, 1), (65535, 65535), ("22", 22)]
    + [
        (p, None)
        for p in (
            0,
            65536,
            -1,
            "22 ",
            " 22",
            "022",
            "+22",
            "2_2",
            22.0,
            "22.0",
            True,
            False,
            None,
            "",
            "0x16",
            "\u0662",
        )
    ],
)
def test_ports(port: object, number: int | None) -> None:
    assert port_number(port) == number


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("-oProxyCommand=x", "E_HOSTNAME"),
        ("'web;id'", "E_HOSTNAME"),
        ("w\u0435b1", "E_HOSTNAME_NONASCII"),
        ("web1:0", "E_PORT"),
        ("web1:65536", "E_PORT"),
        ("web1:", "E_PORT"),
        ("[::1]", "E_SECTION"),
        ("web\u202e1", "E_BIDI"),
        ("web\x1b1", "E_CONTROL_CHAR"),
        ("web[1:99999]", "E_RANGE"),
        ("web[1:999999999]", "E_RANGE"),
        ("web[5:1]", "E_RANGE"),
        ("web[1:5:0]", "E_RANGE"),
        ("web[1:5", "E_RANGE"),
        ("[g:things]", "E_SECTION"),
        ("[../../etc]", "E_GROUP"),
        ("[&g]", "E_GROUP"),
    ],
)
def test_a_bad_line_is_refused_where_it_stands(line: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(f"ok\n\n  {line}\n")
    with pytest.raises(InputError) as refused:
        load_inventory([tmp_path / "hosts"], None)
    (problem,) = refused.value.problems
    assert (problem.code, problem.line) == (code, 3)
    assert problem.column >= 3
    assert str(problem).isprintable()


@given(st.text(alphabet="ab= \t'\"\\#[,\u00a0", max_size=12))
def test_lines_are_split_as_shlex_splits_them(line: str) -> None:
    def said(split: Callable[[str], list[str]]) -> object:
        try:
            return split(line)
        except ValueError as problem:
            return str(problem)

    assert said(words) == said(lambda text: shlex.split(text, comments=True))
