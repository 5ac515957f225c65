"""Which hosts are sent patches of large files, and what the plan says where they are sent whole."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from rollout.app.earlier import NO_LIBRARY, NOT_HERE
from rollout.app.records import Origin, origin_of
from rollout.app.transfer import NO_ZSTD, TOO_MUCH, WRITABLE
from rollout.artifacts.earlier import SMALLEST
from rollout.model.event import Provenance, RolloutStarted
from rollout.model.host import HostName
from rollout.model.play import ArtifactAsk
from rollout.model.release import Delta, Push, Release, ReleaseId, Way
from rollout.posix.delta import PIECE
from rollout.store.schema import records
from rollout.store.store import open_store
from tests.app.test_transfer import H1, H2, Case, Hosts, package
from tests.engine.questions import on
from tests.store.stories import SUCCEEDED, plan

LARGE = random.Random(1).randbytes(SMALLEST + 1000)
REST = {f"n{n}": random.Random(n).randbytes(60_000) for n in range(20, 30)}
GONE = NOT_HERE.format(base="v1")


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr("rollout.perform.manifests.LONGEST", 2 * PIECE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    old, ask = package(tmp_path, "v1", {"app": LARGE, **REST})
    new, asked = package(tmp_path, "v2", {"app": LARGE[:-9], **REST})
    release = Release(id=ReleaseId("v1"), artifact=old.sha256, manifest=old.manifest_sha256)
    return Case(
        new,
        asked,
        old,
        Hosts(old.manifest_text),
        old.manifest_sha256,
        seen={h: on("v1", h, releases={"v1": old.manifest_sha256}, patches=True) for h in (H1, H2)},
        origin=Origin(release=release, ask=ask),
    )


def one(case: Case, **more: object) -> Way:
    found = case.ways(**more)  # type: ignore[arg-type]
    assert found[H1] == found[H2]
    return found[H1]


def test_a_patch_is_made_once_for_all_that_have_the_same(case: Case) -> None:
    """What is too much as it is comes as a patch; the files that were made beside it are let go."""
    way = one(case)
    assert isinstance(way, Delta)
    assert (way.patches, way.why) == (1, WRITABLE)
    assert way.size < 0.05 * len(LARGE)
    assert case.hosts.asked == [H1]
    assert one(case, transfer="delta") == way


def test_who_takes_none_is_sent_the_file_in_the_same_rollout(case: Case) -> None:
    case.seen[H2] = replace(case.seen[H2], patches=False)
    found = case.ways("delta")
    patched, whole = found[H1], found[H2]
    assert isinstance(patched, Delta)
    assert isinstance(whole, Delta)
    assert (patched.patches, whole.patches, whole.why) == (1, 0, f"{NO_ZSTD}; {WRITABLE}")
    assert whole.size > len(LARGE) - 9
    assert case.ways()[H2] == Push(why=f"{TOO_MUCH.format(base='v1')}; {NO_ZSTD}")


def test_what_is_not_here_any_more_is_said(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert case.origin is not None
    origin, too_much = case.origin, TOO_MUCH.format(base="v1")
    for lost in (None, replace(origin, ask=replace(origin.ask, path="/nowhere"))):
        case.origin = lost
        assert one(case) == Push(why=f"{too_much}; {GONE}")
    case.origin = origin
    Path(origin.ask.path).write_bytes(Path(case.asked.path).read_bytes())
    assert one(case) == Push(why=f"{too_much}; {GONE}"), "the new one lies there now"
    monkeypatch.delattr("rollout.artifacts.earlier._read")
    case.origin = replace(origin, ask=case.asked)
    assert one(case) == Push(why=f"{too_much}; {GONE}"), "and need not be read for that"


def test_nor_can_they_be_made_without_a_library(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollout.artifacts.patches.able", lambda: False)
    assert one(case) == Push(why=f"{TOO_MUCH.format(base='v1')}; {NO_LIBRARY}")


def test_what_was_fetched_lies_in_the_cache(case: Case, tmp_path: Path) -> None:
    assert case.origin is not None
    kept = tmp_path / "cache/rollout/artifacts" / case.old.sha256
    kept.parent.mkdir(parents=True)
    Path(case.origin.ask.path).rename(kept)
    case.origin = replace(case.origin, ask=replace(case.origin.ask, path="", url="https://example.org/x"))
    assert isinstance(one(case), Delta)


def test_a_cache_folder_that_takes_no_more_stops_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollout.artifacts.earlier.TOGETHER", 0)
    assert one(case) == Push(why=f"{TOO_MUCH.format(base='v1')}; {GONE}")


def test_nothing_is_said_of_patches_where_no_file_is_large(case: Case, tmp_path: Path) -> None:
    case.old, _ = package(tmp_path, "v1", {**REST, "n20": b"x"})
    case.hosts.text, case.recorded = case.old.manifest_text, case.old.manifest_sha256
    case.new, case.asked = package(tmp_path, "v2", REST)
    case.seen = {HostName(h): on("v1", h, releases={"v1": case.recorded}) for h in (H1, H2)}
    way = one(case, transfer="delta")
    assert isinstance(way, Delta)
    assert (way.patches, way.why) == (0, WRITABLE)


def test_the_state_says_what_a_release_was_made_of(tmp_path: Path) -> None:
    """As the rollout that first brought it has it; what a journal says that nobody can read is nothing."""
    store = open_store(str(tmp_path / "state.db"))
    asks = (ArtifactAsk(path="till.tar"), ArtifactAsk(path="dist/app.tar", as_name="app"))
    for rollout, release, artifacts in (("r1", "v1", asks), ("r2", "v2", ())):
        store.take("default", "shop", rollout, "ann")
        who = Provenance(folder="/home/ann", artifacts=artifacts)
        plays = (*plan(1, app="till").plays, *plan(1, release=release).plays)
        told = replace(plan(1, id=rollout), plays=plays)
        store.journal(rollout).append([RolloutStarted(plan=told, provenance=who)])
        store.journal(rollout).append([SUCCEEDED])
    found = origin_of(store, "default", "shop", "v1")
    assert found is not None
    assert found.ask == replace(asks[1], path="/home/ann/dist/app.tar")
    assert found.release.id == "v1"
    assert origin_of(store, "default", "shop", "v2") is None
    assert origin_of(store, "default", "shop", "v3") is None
    store.database.write(lambda c: c.execute(update(records).where(records.c.rollout == "r1").values(body="{}")))
    assert origin_of(store, "default", "shop", "v1") is None
    store.close()
