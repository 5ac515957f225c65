"""The loader against anything: it answers with a tree or an InputError, and never reads what YAML would not."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.errors import InputError
from rollout.playbook.files import Text
from rollout.playbook.loader import Document, compose
from rollout.playbook.nodes import Listing, Node, Scalar, Table, plain
from rollout.playbook.scalars import Ambiguous, resolve

PIECES = [
    *"-?:,[]{}#&*!|>'\"%@` \n\t",
    "- ",
    ": ",
    "<<",
    "&a ",
    "*a",
    "!!int ",
    "---\n",
    "...\n",
    "no",
    "1_0",
    "\u202e",
]
PIECES += [
    "key: ",
    "  ",
    "\n  ",
    "true",
    "null",
    "~",
    "0755",
    "1.10",
    "22:22",
    "2026-11-22",
    "0x1f",
    "é",
    "%YAML 1.1\n",
]
YAMLISH = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join)
NUMBERISH = st.text("0123456789+-._:xobeETZ", min_size=1, max_size=12)


def composed(text: str) -> Document:
    return compose(Text(file="f", text=text, lines=tuple(text.split("\n"))))


@settings(max_examples=300, deadline=None)
@given(YAMLISH)
def test_any_text_is_a_tree_or_an_input_error(text: str) -> None:
    try:
        walk(composed(text).root)
    except InputError as error:
        said = str(error)
    else:
        return
    assert said.startswith("f:")


def walk(node: Node) -> None:
    assert node.place.line >= 1
    assert node.place.column >= 1
    for below in children(node):
        walk(below)


def children(node: Node) -> list[Node]:
    if isinstance(node, Scalar):
        return []
    return list(node.items) if isinstance(node, Listing) else [e.node for e in node.items.values()]


@settings(max_examples=300, deadline=None)
@given(YAMLISH)
def test_what_is_accepted_is_what_yaml_reads(text: str) -> None:
    try:
        document = composed(text)
    except InputError:
        return
    if document.problems:
        return
    try:
        expected = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return
    assert repr(plain(document.root)) == repr(expected)


@settings(max_examples=1000, deadline=None)
@given(NUMBERISH)
def test_a_plain_scalar_is_what_yaml_reads_or_refused(text: str) -> None:
    try:
        ours = resolve(text)
        theirs = yaml.safe_load(f"[{text}]")
    except (Ambiguous, yaml.YAMLError, ValueError):
        return
    if isinstance(theirs, list) and len(theirs) == 1:
        assert isinstance(theirs[0], dict) or repr(theirs[0]) == repr(ours)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("false", False), ("", None), ("~", None), ("12", 12), ("-3", -3), ("1.5", 1.5), ("0", 0)]
    + [(t, t) for t in ("1.4.2", "127.0.0.1:80", "n", "y", "a b", "1.2.3.4", "v1", "10%", "5m", "1-2", "web[0:2]")],
)
def test_what_plain_scalars_are(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_every_node_knows_where_it_stands() -> None:
    root = composed("a:\n  - b: [1,\n      two]\n").root
    assert isinstance(root, Table)
    listing = root.get("a")
    assert isinstance(listing, Listing)
    table = listing.items[0]
    assert isinstance(table, Table)
    assert (table.items["b"].place.line, table.items["b"].place.column) == (2, 5)
    assert [(n.place.line, n.place.column) for n in children(table.items["b"].node)] == [(2, 9), (3, 7)]


def test_all_problems_of_a_file_come_at_once() -> None:
    text = "a: no\na: 1\nb: !x 0755\n1: 2\n<<: {}\n? [c]\n: 1_0\n"
    codes = [p.code for p in composed(text).problems]
    assert codes == ["E_TYPE", "E_DUP_KEY", "E_TAG", "E_TYPE", "E_KEY", "E_MERGE", "E_KEY", "E_TYPE"]


def test_a_key_that_is_there_twice_keeps_its_first_value_and_names_both_lines() -> None:
    document = composed("a: 1\nb: 2\na: 3\n")
    assert plain(document.root) == {"a": 1, "b": 2}
    assert document.problems[0].line == 3
    assert "line 1" in document.problems[0].what


def test_importing_the_package_is_cheap_and_the_parent_never_loads_jinja2() -> None:
    light = "import sys, rollout.playbook; print({'yaml', 'pydantic', 'jinja2'} & set(sys.modules))"
    parent = "import sys, rollout.playbook.load; print({'jinja2'} & set(sys.modules))"
    for code in (light, parent):
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
