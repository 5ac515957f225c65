"""What is refused in inventories and variable files, where, and with every problem at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rollout.errors import InputError
from rollout.inventory import load_inventory
from rollout.inventory.draft import MAX_HOSTS


def problems(tmp_path: Path, text: str, name: str = "hosts") -> list[tuple[str, int, int]]:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as refused:
        load_inventory([tmp_path / name], None)
    return [(p.code, p.line, p.column) for p in refused.value.problems]


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/ok").write_text("a: !vault x\n")
    found = problems(tmp_path, "ok\nbad;\n[g:vars]\nx\n[g]\nok word\n[p:children]\nh\n")
    assert found == [
        ("E_TAG", 1, 4),
        ("E_HOSTNAME", 2, 1),
        ("E_VARIABLE", 4, 1),
        ("E_VARIABLE", 6, 4),
        ("E_GROUP", 8, 1),
    ]


def test_unknown_groups_get_a_hint(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("[webserver]\na\n[p:children]\nwebservers\n")
    with pytest.raises(InputError, match="Did you mean `webserver`"):
        load_inventory([tmp_path / "hosts"], None)


@pytest.mark.bad("B38")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a:children]\na\n", "a > a"),
        ("[a:children]\nb\n[b:children]\nc\n[c:children]\na\n", "a"),
        ("[a:children]\nall\n[b]\n", "all"),
        ("[x]\n[a:children]\nb\nx\n[b:children]\na\n", "a > b > a"),
    ],
)
def test_group_cycles_are_shown(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(text)
    with pytest.raises(InputError, match="contain each other") as refused:
        load_inventory([tmp_path / "hosts"], None)
    assert [p.code for p in refused.value.problems] == ["E_GROUP"]
    assert said in str(refused.value)
    assert refused.value.problems[0].line > 0


@pytest.mark.bad("B48")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosts.sh", "#!/bin/sh\necho {}\n"),
        ("hosts", "#!/usr/bin/env python3\n"),
        ("hosts.toml", "[all]\n"),
    ],
)
def test_other_kinds_are_said_to_be_not_built(name: str, text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text, name) == [("E_NOT_BUILT", 1, 1)]


VARS = {
    "a: !vault |\n  x\n": "E_TAG",
    "a: !!python/object/apply:os.system [id]\n": "E_TAG",
    "$ANSIBLE_VAULT;1.1;AES256\n3132\n": "E_NOT_BUILT",
    "- a\n": "E_SHAPE",
    "word\n": "E_SHAPE",
    "a: 1\n---\nb: 2\n": "E_MULTI_DOC",
    "a: [\n": "E_YAML",
    "a:\n\t- b\n": "E_YAML",
    "a: &x [*x]\n": "E_ALIAS_CYCLE",
    "a: " + "[" * 5000 + "]" * 5000 + "\n": "E_DEPTH",
    "a: " + "[" * 100 + "]" * 100 + "\n": "E_DEPTH",
    "\n".join(
        ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    ): "E_ALIAS_LIMIT",
    "\n".join(
        ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}" for n in range(1, 15)]
    ): "E_ALIAS_LIMIT",
    "a: \x1b\n": "E_CONTROL_CHAR",
    "a: " + "9" * 5000 + "\n": "E_YAML",
    "? [a]\n: b\n": "E_YAML",
}


@pytest.mark.bad("B10", "B11", "B12", "B13", "B14", "B15", "B23", "B24")
@pytest.mark.parametrize("text", VARS, ids=lambda t: repr(t[:30]))
def test_variable_files_are_refused_in_time_and_by_code(text: str, tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text(text)
    assert [code for code, _, _ in problems(tmp_path, "a\n")] == [VARS[text]]


@pytest.mark.bad("B26")
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "binary").write_bytes(b"a\nb\xff\n")
    (tmp_path / "large").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    for name, wanted in {
        "fifo": "E_NOT_FILE",
        "nowhere": "E_NOT_FILE",
        "binary": "E_ENCODING",
        "large": "E_SIZE",
    }.items():
        with pytest.raises(InputError) as refused:
            load_inventory([tmp_path / name], None)
        assert [p.code for p in refused.value.problems] == [wanted]
    with pytest.raises(InputError, match="E_NOT_FILE"):
        load_inventory([Path("/dev/zero")], None)


@pytest.mark.bad("B20", "B27")
def test_a_byte_order_mark_and_world_writable_files_are_taken(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_bytes(b"\xef\xbb\xbfweb1\n")
    (tmp_path / "hosts").chmod(0o666)
    inventory = load_inventory([tmp_path / "hosts"], None)
    assert list(inventory.hosts) == ["web1"]
    assert "chmod o-w" in inventory.warnings[0]


@pytest.mark.bad("B47")
def test_too_many_hosts_are_refused_once(tmp_path: Path) -> None:
    half = MAX_HOSTS // 2
    text = "".join(f"h{letter}[1:{half}]\n" for letter in "abcd")
    assert problems(tmp_path, text) == [("E_LIMIT", 3, 1)]


def _seconds(tmp_path: Path, hosts: int) -> float:
    lines = [
        f"web{n:05}.example.org ansible_host=10.{n // 65536}.{n // 256 % 256}.{n % 256} http_port={n}"
        for n in range(hosts)
    ]
    (tmp_path / f"h{hosts}").write_text("[web]\n" + "\n".join(lines) + "\n[web:vars]\na=1\n[p:children]\nweb\n")
    started = time.process_time()
    inventory = load_inventory([tmp_path / f"h{hosts}"], None)
    assert len(inventory.match("web*:&p")) == hosts
    return time.process_time() - started


def test_the_time_to_load_grows_with_the_hosts_and_no_faster(tmp_path: Path) -> None:
    few = min(_seconds(tmp_path, 1000) for _ in range(3))
    assert min(_seconds(tmp_path, 10_000) for _ in range(2)) < 40 * few
