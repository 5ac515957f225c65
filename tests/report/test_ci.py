"""What the runners of GitHub and GitLab are told: groups that close, annotations, and nothing that others wrote."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import Problem
from rollout.model.event import Provenance, Record, RolloutFinished, RolloutStarted, StepFinished, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Stage
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.report.github import GithubSink, annotated, data, harmless, markdown, prop, summary
from rollout.report.gitlab import CLEAR, GitlabSink
from rollout.report.recap import Line
from rollout.report.sinks import sink_for
from tests.engine.stories import failed, plan_of
from tests.engine.test_rollout import API, WEB, Tale
from tests.report import journals
from tests.report.journals import Script
from tests.report.test_sinks import feed
from tests.store.stories import started

EVIL = st.text(alphabet=st.sampled_from("::# []%,\r\n\x1b\x9b abgroupendset-env name=x|`<>@"), max_size=60)
BAD, ILL = failed(Cause.RELEASE), failed(Cause.HOST)
GOOD = ("succeeded", "succeeded")
COMMAND = re.compile(
    r"::(group::staging|group::taken over|group::batch \d+ of \d+: .*|group::halt|group::revert of .*"
    r"|endgroup::|(error|warning) (file=[^:,]*,(line=\d+,)?)?title=[^:,]*::.*)"
)


def told(text: str, playbook: str = "", *lines: int) -> list[Record]:
    """A journal in which a host and a person said this."""
    script = Script()
    begun = started(hosts=2, batches=(1,))
    of = begun.plan
    script.add(replace(begun, provenance=replace(begun.provenance, playbook=playbook, lines=lines)))
    script.stage(of)
    bad = Outcome(verdict=Verdict.FAILED, cause=Cause.RELEASE, summary=text, tail=(text, f"error {text}"))
    script.forward(of, HostName("web1"), upto=3, outcome=bad)
    script.finish("halted", text, 3)
    return script.records


@given(EVIL)
def test_no_line_is_a_command_to_github_but_ours(text: str) -> None:
    out = io.StringIO()
    feed(GithubSink(out, {}), told(text), note=text)
    for line in re.split(r"[\r\n]", out.getvalue()):
        if line.lstrip().startswith("::"):
            assert COMMAND.fullmatch(line), line
        assert "##[" not in line
        assert "\x1b" not in line


@given(EVIL)
def test_no_text_is_a_marker_to_gitlab_but_ours(text: str) -> None:
    out = io.StringIO()
    feed(GitlabSink(out, lambda: 7.0), told(text), note=text)
    ours = re.sub(r"\x1b\[0Ksection_(start|end):7:rollout_\d+\r\x1b\[0K", "", out.getvalue())
    assert "\x1b" not in ours
    assert "\r" not in ours


@given(EVIL)
def test_markdown_shows_what_was_said_and_does_nothing(text: str) -> None:
    said = markdown(text)
    assert not re.search(r"(?<!\\)[`*_\[\]|@<>]", said)
    assert "\n" not in said


@pytest.mark.parametrize("name", ["good", "reverted", "interrupted"])
def test_every_group_is_closed_before_the_next_one(name: str) -> None:
    journal = getattr(journals, name, journals.good)()
    out = io.StringIO()
    feed(GithubSink(out, {}), journal)
    depth = 0
    for line in out.getvalue().splitlines():
        depth += line.startswith("::group::") - line.startswith("::endgroup::")
        assert depth in (0, 1), line
    assert depth == 0
    marks = io.StringIO()
    feed(GitlabSink(marks, lambda: 7.0), journal)
    assert marks.getvalue().count("section_start:") == marks.getvalue().count("section_end:") > 1
    assert CLEAR in marks.getvalue()


def test_a_failure_is_annotated_and_the_recap_is_the_steps_summary(tmp_path: Path) -> None:
    place = tmp_path / "summary.md"
    out = io.StringIO()
    feed(GithubSink(out, {"GITHUB_STEP_SUMMARY": str(place)}), told("GET /healthz: 500 100%"))
    assert "::error title=web1 failed::GET /healthz: 500 100%25\n" in out.getvalue()
    assert "::error title=rollout%3A halted::" in out.getvalue()
    written = place.read_text()
    assert written.startswith("### HALTED\\: shop 2\\.0\\.0")
    assert "| why |" in written
    feed(GithubSink(io.StringIO(), {"GITHUB_STEP_SUMMARY": str(tmp_path)}), told("x"))  # a folder: said, not raised


def test_an_annotation_stands_at_the_line_where_its_play_begins() -> None:
    out = io.StringIO()
    feed(GithubSink(out, {}), told("no", "deploy/shop.yml", 7))
    assert "::error file=deploy/shop.yml,line=7,title=web1 failed::no\n" in out.getvalue()
    assert "::error file=deploy/shop.yml,line=7,title=rollout%3A halted::no\n" in out.getvalue()
    earlier = io.StringIO()
    feed(GithubSink(earlier, {}), told("no", "deploy/shop.yml"))  # a journal of a version that kept no lines
    assert "::error file=deploy/shop.yml,title=web1 failed::no\n" in earlier.getvalue()


@given(EVIL)
def test_no_playbook_is_more_than_a_name(name: str) -> None:
    out = io.StringIO()
    feed(GithubSink(out, {}), told("no", f"x{name}", 7))
    for line in re.split(r"[\r\n]", out.getvalue()):
        if line.lstrip().startswith("::"):
            assert COMMAND.fullmatch(line), line


def test_an_annotation_is_of_the_play_that_failed() -> None:
    script = Script()
    begun = started(hosts=2, batches=(1,))
    two = replace(begun.plan, plays=(begun.plan.plays[0], replace(begun.plan.plays[0], app="web")))
    by = replace(begun.provenance, playbook="two.yml", lines=(3, 20))
    script.add(replace(begun, plan=two, provenance=by))
    bad = Outcome(verdict=Verdict.FAILED, cause=Cause.HOST, summary="no")
    script.add(StepStarted(play=1, host=HostName("web1"), op=1, at=0, action=Stage()))
    script.add(StepFinished(play=1, host=HostName("web1"), op=1, outcome=bad))
    script.add(RolloutFinished(end="halted", reason="no", exit_code=3, plays=("succeeded", "halted")))
    out = io.StringIO()
    feed(GithubSink(out, {}), script.records)
    assert out.getvalue().count("::error file=two.yml,line=20,") == 2


@pytest.mark.parametrize(
    ("fails", "off", "ended", "said"),
    [
        pytest.param((WEB, BAD), (), ("halted", "reverted"), "error file=two.yml,line=40,", id="the later"),
        pytest.param((API, BAD), (), ("reverted", "halted"), "error file=two.yml,line=3,", id="the earlier"),
        pytest.param((WEB, ILL), (), GOOD, "warning file=two.yml,line=40,", id="within what is allowed"),
        pytest.param((), (API, WEB), GOOD, "warning file=two.yml,line=3,", id="both off target"),
        pytest.param((), (WEB,), GOOD, "warning file=two.yml,line=40,", id="off target from the start"),
    ],
)
def test_the_end_is_annotated_at_the_play_that_it_came_from(
    fails: tuple[Any, ...], off: tuple[int, ...], ended: tuple[str, ...], said: str
) -> None:
    told = Tale(plan_of(3))
    allowed, missing = 0 if BAD in fails else 1, [(HostName("h9"),) if n in off else () for n in (API, WEB)]
    plays = (replace(told.plan.plays[n], off_target=missing[n], max_failures=allowed) for n in (API, WEB))
    told.plan = replace(told.plan, plays=tuple(plays))
    told.begin()
    if fails:
        told.finish(told.until("verify", fails[0]))
        told.finish(told.until("verify", fails[0]), fails[1])
    told.to_the_end()
    assert told.ends == ended
    script, out = Script(), io.StringIO()
    by = Provenance(playbook="two.yml", lines=(3, 40))
    script.add(*(replace(e, provenance=by) if isinstance(e, RolloutStarted) else e for e in told.events))
    feed(GithubSink(out, {}), script.records)
    last = [line for line in out.getvalue().splitlines() if "title=rollout%3A" in line]
    assert [line.startswith(f"::{said}") for line in last] == [True], last


def test_what_is_wrong_in_a_file_is_annotated_at_its_place() -> None:
    out = io.StringIO()
    wrong = Problem(file="a,b.yml", line=3, column=0, code="E_KEY", what="no such key:\n::error::x", instead="100%")
    annotated([wrong], out)
    assert out.getvalue() == "::error file=a%2Cb.yml,line=3,col=1,title=E_KEY::no such key:\\n::error::x 100%25\n"


def test_the_words_of_the_escapes() -> None:
    assert (data("a%b"), prop("a:b,c")) == ("a%25b", "a%3Ab%2Cc")
    assert (harmless("  ::set-env::x"), harmless("12:00 ::x"), harmless("##[error]")) == (
        ".  ::set-env::x",
        "12:00 ::x",
        "## [error]",
    )
    assert "| a |" in summary([Line(label="", text="end"), Line(label="a", text="b|c")])
    assert isinstance(sink_for("github", io.StringIO(), {}), GithubSink)
    assert isinstance(sink_for("gitlab", io.StringIO(), {}), GitlabSink)
