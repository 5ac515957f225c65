"""Files that are no plans of ours are refused; what lives is no drift."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.app.apply import _hold_to
from rollout.app.planfile import Filed, drift, read_plan, write_plan
from rollout.errors import InputError, Refused
from rollout.model.event import RolloutStarted
from rollout.model.plan import Plan, PlayPlan
from rollout.model.release import Release, ReleaseId, Site
from rollout.store.store import open_store
from tests.store.stories import REVERTED

ID = "20260102T030405-abcdef"


def made(**play: object) -> Plan:
    release = Release(id=ReleaseId("v1"), artifact="a" * 64, manifest="b" * 64)
    one = PlayPlan(
        name="shop",
        app="shop",
        release=release,
        site=Site(root="/srv/shop", app="shop", environment="default"),
        batches=(),
        hosts={},
    )
    return Plan(id=ID, environment="default", plays=(replace(one, **play),), sources={"/here/shop.yml": "1"})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_plan(tmp_path / "p", made())
    assert read_plan(tmp_path / "p").plan == made()
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o600
    assert [f.name for f in tmp_path.iterdir()] == ["p"]


@pytest.mark.bad("B50")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"environment":"default"', '"environment":"other"', "changed after"),
        ('"version":1', '"version":2', "another version"),
        ("rollout-plan", "terraform", "no plan file of ours"),
        ("{", "", "not JSON"),
    ],
)
def test_a_file_that_is_not_as_we_wrote_it_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "p"
    write_plan(file, made())
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        read_plan(file)


@pytest.mark.bad("B50")
@pytest.mark.parametrize("text", ["", "[]", "null", '{"format":"rollout-plan","version":1}', "[" * 100_000])
def test_any_other_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p").write_text(text)
    with pytest.raises(InputError, match="E_PLAN_FILE"):
        read_plan(tmp_path / "p")


def test_what_lives_and_where_the_checkout_lies_is_no_drift() -> None:
    now = replace(
        made(width=3, failures_at_start=1), id="other", epoch=9, over=("r1",), sources={"/there/shop.yml": "1"}
    )
    assert not drift(Filed(plan=made(), tool=_tool()), now)


def test_a_plan_is_carried_out_once_also_by_who_waited_for_the_lease(tmp_path: Path) -> None:
    """Its id was free when the command began, and it has the lease now that the same file was carried out, badly."""
    filed = Filed(plan=made(), tool=_tool())
    with closing(open_store(str(tmp_path / "state.db"))) as store:
        _hold_to(filed, made(), store)
        store.take("default", "shop", ID, "ann")
        store.journal(ID).append([RolloutStarted(plan=made()), REVERTED])
        for id in (ID, "another"):
            with pytest.raises(Refused, match=f"E_PLAN_USED.*as rollout {ID}"):
                _hold_to(filed, replace(made(), id=id), store)


@pytest.mark.bad("B49", "B50")
def test_what_was_decided_is_named_was_and_is() -> None:
    found = drift(Filed(plan=made(), tool="0.0.1"), replace(made(max_failures=2), sources={"/here/shop.yml": "2"}))
    said = "\n".join(map(str, found))
    for line in ("tool: 0.0.1 -> ", "plays[0].max_failures: 0 -> 2", "sources.shop.yml: 1 -> 2"):
        assert line in said


def _tool() -> str:
    from rollout import __version__

    return __version__
