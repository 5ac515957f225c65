"""The statement's text, and the files that ssh writes, read as they are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.trust.signers import matches, moment, signers
from rollout.trust.sshsig import signature
from rollout.trust.statement import Statement, parted, statement
from tests.trust.bench import Bench

SAID = Statement(
    app="shop",
    release="1.4.2",
    artifact="a" * 64,
    sent="b" * 64,
    manifest="c" * 64,
    created="2026-11-28T14:00:00Z",
    expires="2026-12-28T14:00:00Z",
)


@pytest.mark.parametrize("said", [SAID, replace(SAID, expires="")])
def test_what_is_written_is_read(said: Statement) -> None:
    assert statement(said.text) == said


@settings(deadline=None)
@given(st.integers(0, len(SAID.text) - 1), st.characters(codec="ascii"))
def test_a_text_with_another_character_is_another_statement_or_none(at: int, char: str) -> None:
    changed = SAID.text[:at] + char + SAID.text[at + 1 :]
    assert (statement(changed) == SAID) == (changed == SAID.text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        SAID.text + "\n",
        SAID.text + "app other\n",
        SAID.text.replace("\n", "\r\n"),
        SAID.text.replace("shop", "Shop"),
        SAID.text.replace("app shop\nrelease 1.4.2\n", "release 1.4.2\napp shop\n"),
        SAID.text.replace("release 1", "release 2", 1),
        SAID.text.replace("expires ", "expires 9"),
    ],
)
def test_what_is_no_statement(text: str) -> None:
    assert statement(text) is None


def test_a_signature_says_its_namespace_and_key(bench: Bench) -> None:
    _, armour = parted(bench.sign("v1").read_text())
    found = signature(armour)
    assert found is not None
    assert found.namespace == "rollout-release@v1"
    assert [s.key for s in signers(f"a {bench.public('key')} comment")] == [found.key]
    assert [signature(armour[:at]) for at in range(0, len(armour) - 1, 7)] == [None] * len(range(0, len(armour) - 1, 7))
    assert signature(armour.replace("U1NI", "U1NJ")) is None


def test_allowed_signers_are_read_with_their_options() -> None:
    text = """
# nobody
"ann smith,b*" cert-authority,namespaces="a,b",valid-after="20260101",valid-before="20270101Z" ssh-ed25519 AAAA x
c ssh-ed25519 AAAB
d ssh-ed25519
e ssh-ed25519 !!!!
"""
    first, second = signers(text)
    assert (first.principals, first.namespaces, first.after, first.before) == (
        "ann smith,b*",
        "a,b",
        "20260101",
        "20270101Z",
    )
    assert (first.is_called("bob"), first.is_called("ann smith"), first.is_called("c")) == (True, True, False)
    assert (second.principals, second.after) == ("c", "")


@pytest.mark.parametrize(
    ("name", "patterns", "is_meant"),
    [
        ("a@x", "a@x", True),
        ("a@x", "*@x", True),
        ("a@x", "?@x", True),
        ("ab@x", "?@x", False),
        ("a@x", "b@x,a@x", True),
        ("a@x", "*@x,!a@x", False),
        ("a@x", "", False),
        ("a[x", "a[x", True),
        ("a.x", "a?x", True),
        ("abx", "a.x", False),
    ],
)
def test_patterns_match_as_ssh_has_them(name: str, patterns: str, is_meant: bool) -> None:
    assert matches(name, patterns) == is_meant


def test_times_of_allowed_signers() -> None:
    assert moment("20260102Z") == datetime(2026, 1, 2, tzinfo=UTC)
    assert moment("202601021530Z") == datetime(2026, 1, 2, 15, 30, tzinfo=UTC)
    assert moment("20260102153059Z") == datetime(2026, 1, 2, 15, 30, 59, tzinfo=UTC)
    assert moment("20260102") is not None
    assert moment("") is moment("tomorrow") is None
