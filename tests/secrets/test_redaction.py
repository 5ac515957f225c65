"""The second line: what a host or a library says back is shown without the values, whatever form they have."""

from __future__ import annotations

import base64
import json
import shlex
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from rollout.errors import Unreachable
from rollout.model.check import Probed
from rollout.model.pool import Rotation
from rollout.posix.op import Reply
from rollout.report.github import summary
from rollout.report.recap import Line
from rollout.secrets.redaction import Redaction, redactable
from tests.secrets.watch import Needles

VALUE = "pa\"ss \\w/ü'rd&+"
FORMS = [
    VALUE,
    base64.b64encode(VALUE.encode()).decode(),
    base64.b64encode(f"app:{VALUE}".encode()).decode(),
    base64.b64encode(f"admin:{VALUE}:x".encode()).decode(),
    base64.urlsafe_b64encode(f"ab{VALUE}".encode()).decode(),
    quote(VALUE),
    quote(VALUE, safe=""),
    quote_plus(VALUE),
    json.dumps({"a": VALUE}),
    json.dumps({"a": VALUE}, ensure_ascii=False),
    repr([VALUE]),
    VALUE.encode().hex(),
    VALUE.encode().hex().upper(),
    VALUE.encode().hex(" "),
    f"pw={shlex.quote(VALUE)}",
]


def hiding(*values: str) -> Redaction:
    hides = Redaction()
    for value in values:
        hides.learn(value)
    return hides


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_value_is_taken_out(form: str) -> None:
    assert hiding(VALUE).text(form) != form
    assert "***" in hiding("other", VALUE).text(f"{{{{ {form} }}}}")


def test_only_base64_that_is_the_value_itself_is_taken_out() -> None:
    encoded = base64.b64encode(f"app:{VALUE}".encode()).decode()
    left = hiding(VALUE).text(encoded)
    assert left.startswith(base64.b64encode(b"app").decode())
    assert len(left.replace("***", "")) <= 10, "what is left of it says nothing"


def test_the_lines_of_a_key_are_taken_out_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END KEY-----"
    said = hiding(key).text("line 2: MIIEvQIBADANBgkqhkiG (short)")
    assert said == "line 2: *** (short)"


def test_the_longer_of_two_values_goes_first() -> None:
    assert hiding("hunter2", "hunter2-and-more").text("hunter2-and-more hunter2") == "*** ***"


@pytest.mark.bad("B77")
@pytest.mark.parametrize("value", ["a", "abc", "true", "Password", "    ", "1234"])
def test_a_value_that_is_in_every_text_is_left_alone(value: str) -> None:
    assert not redactable(value)
    text = f"a true Password abc {value} of     1234"
    assert hiding(value).text(text) == text


def test_answers_and_errors_are_cleaned_and_everything_else_stays_what_it_is() -> None:
    hides = hiding("s3cr3t-value")
    reply = Reply(
        status="failed", code="E_TASK", summary="no s3cr3t-value", fields={"a": "s3cr3t-value"}, tail=("s3cr3t-value",)
    )
    assert "s3cr3t" not in str(hides.of((reply, [Probed(ok=False, summary="s3cr3t-value")])))
    error = Unreachable("h: s3cr3t-value")
    assert hides.of(error) is error
    assert str(error) == "h: ***"
    for same in (Rotation.READY, 7, None, Path("s3cr3t-value")):
        assert hides.of(same) is same
    assert Redaction().of(reply) is reply


def test_the_canary_run_sees_what_the_summary_of_a_step_would_give_away() -> None:
    needles = Needles({"env": 'k4n"r1 env&+/~<x'}, "control-1-parrot")
    lines = (needles.control, needles.canaries["env"])
    shown = summary(Line(label="why", text=text) for text in lines).encode()
    assert (needles.seen(shown), needles.found(shown)) == (True, {"env"})
    assert not Needles({"env": "another-one"}, "control-2-parrot").seen(shown)
