"""Leases, history and releases, over a real file."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.errors import Busy, Fenced, Held, InputError, StoreError
from rollout.model.event import RevertStarted, RolloutFinished
from rollout.model.host import HostName
from rollout.store import leasing
from rollout.store.place import state_url, wrong_with
from rollout.store.process import this_process
from rollout.store.store import Store, open_store
from tests.store.stories import REVERTED, SUCCEEDED, started, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = open_store(str(path))
    yield opened
    opened.close()


def begin(store: Store, rollout: str = "r1", **how: object) -> int:
    number = store.take("default", "shop", rollout, "alice")
    store.journal(rollout).append([started(id=rollout, **how)])
    return number


def test_a_rollout_is_in_history_from_its_first_record_to_its_end(store: Store) -> None:
    begin(store)
    now = store.find("r1")
    assert (now.unfinished, now.by, now.message, now.release) == (True, "alice@bastion", "summer sale", "2.0.0")
    last = store.journal("r1").append([*step(1), SUCCEEDED])[-1]
    done = store.find("r1")
    assert (done.end, done.exit_code, done.head, done.finished) == ("succeeded", 0, last.hash, last.at)
    assert store.unfinished("default", "shop") is None
    assert [r.id for r in store.rollouts()] == ["r1"]
    assert store.rollouts(app="other") == store.rollouts(environment="other") == ()


def test_epochs_only_grow_and_an_end_gives_the_lease_back(store: Store) -> None:
    first = begin(store, "r1")
    store.journal("r1").append([SUCCEEDED])
    second = begin(store, "r2")
    third = store.take("default", "other", "r3", "bob")
    assert (first, second, third) == (1, 2, 1)


def test_an_unfinished_rollout_holds_its_app_and_is_named(store: Store) -> None:
    begin(store)
    with pytest.raises(Held, match=rf"E_HELD: rollout r1 .*alice, pid {os.getpid()} on .*kill -INT {os.getpid()}"):
        store.take("default", "shop", "r2", "bob")
    store.release("r1")
    with pytest.raises(Held, match="rollout revert r1"):
        store.take("default", "shop", "r2", "bob")
    assert store.take("staging", "shop", "r2", "bob") == 1


def test_a_lease_without_a_plan_is_given_back(store: Store) -> None:
    store.take("default", "shop", "r1", "alice")
    with pytest.raises(Held, match="still preparing"):
        store.take("default", "shop", "r2", "bob")
    with pytest.raises(StoreError, match="E_NEVER_BEGAN"):
        store.find("r1")
    store.release("r1")
    assert store.take("default", "shop", "r2", "bob") == 2


ELSEWHERE = """
import sys, time
from rollout.store.store import open_store
from tests.store.stories import started, step
store = open_store(sys.argv[1])
store.take("default", "shop", "r1", "alice")
if sys.argv[2] == "begun":
    journal = store.journal("r1")
    journal.append([started()])
    print("ready", flush=True)
    op = 0
    while True:
        op += 1
        journal.append(step(op))
        print(op, flush=True)
print("ready", flush=True)
time.sleep(60)
"""


def elsewhere(path: Path, how: str) -> subprocess.Popen[str]:
    """Run another controller up to the point named, and a little further."""
    process = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(path), how], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def killed(process: subprocess.Popen[str]) -> list[str]:
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[0]
    return said.split()


@pytest.mark.fault("F16")
@pytest.mark.bad("B92")
def test_a_live_controller_cannot_be_taken_over_and_a_dead_one_can(path: Path) -> None:
    process = elsewhere(path, "begun")
    with_live = open_store(str(path))
    with pytest.raises(Held, match=f"kill -INT {process.pid}"):
        with_live.retake("r1", "bob")
    with pytest.raises(Held, match=f"pid {process.pid}"):
        with_live.take("default", "shop", "r2", "bob")
    killed(process)
    with pytest.raises(Held, match=r"process is gone.*rollout revert r1"):
        with_live.take("default", "shop", "r2", "bob")
    assert with_live.retake("r1", "bob") == 2
    with_live.journal("r1").append([REVERTED])
    assert with_live.take("default", "shop", "r2", "bob") == 3


def test_a_controller_that_died_before_its_plan_holds_nothing(path: Path) -> None:
    process = elsewhere(path, "taken")
    killed(process)
    assert open_store(str(path)).take("default", "shop", "r2", "bob") == 2


@pytest.mark.fault("F18")
def test_a_controller_that_was_taken_over_can_write_nothing_more(path: Path) -> None:
    """The pid is that of a living process, and its start time is not: pids come round."""
    one, two = open_store(str(path)), open_store(str(path))
    begin(one)
    mine = one.journal("r1")
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE leases SET started = '1'")
    assert two.retake("r1", "bob") == 2
    with pytest.raises(Fenced, match="E_FENCED"):
        mine.append(step(1))
    with pytest.raises(Fenced):
        one.heartbeat("r1")
    one.release("r1")
    assert two.lease("default", "shop").rollout == "r1"
    two.journal("r1").append(step(1))
    two.heartbeat("r1")


def test_a_holder_on_another_machine_is_believed_alive_until_it_has_been_silent(path: Path) -> None:
    clock = ["2026-01-01T10:00:00.000Z"]
    store = open_store(str(path), now=lambda: clock[0])
    begin(store)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE leases SET machine = 'another'")
    clock[0] = "2026-01-01T10:00:59.000Z"
    with pytest.raises(Held, match="cannot be seen from here"):
        store.retake("r1", "bob")
    clock[0] = "2026-01-01T10:01:01.000Z"
    assert store.retake("r1", "bob") == 2


@pytest.mark.parametrize(
    ("now", "kind", "said"),
    [
        (
            "2026-01-01T10:00:59.000Z",
            Busy,
            r"cannot be seen .*T10:00:00.000Z\. As far .* at work.* rollout halt r1 --keep$",
        ),
        ("2026-01-01T10:01:01.000Z", Held, r"cannot be seen .*T10:00:00.000Z\. .* counts as gone.* rollout revert r1$"),
        ("2026-01-01T09:00:00.000Z", Busy, r"By the state's clock .* set back\? As far .* at work.* --keep$"),
    ],
    ids=["heard of lately", "silent", "ahead"],
)
def test_of_a_holder_on_another_machine_is_said_what_is_known(
    path: Path, now: str, kind: type[Held], said: str
) -> None:
    clock = ["2026-01-01T10:00:00.000Z"]
    store = open_store(str(path), now=lambda: clock[0])
    begin(store)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE leases SET machine = 'another'")
    clock[0] = now
    with pytest.raises(Held, match=said) as caught:
        store.take("default", "shop", "r2", "bob")
    assert type(caught.value) is kind
    assert "is gone" not in str(caught.value)


def test_a_finished_rollout_cannot_be_taken_over(store: Store) -> None:
    begin(store)
    store.journal("r1").append([SUCCEEDED])
    with pytest.raises(StoreError, match="E_FINISHED"):
        store.retake("r1", "bob")


@pytest.mark.bad("B92")
@pytest.mark.parametrize(
    ("asked", "said"),
    [("x", "E_NO_ROLLOUT"), ("", "E_AMBIGUOUS"), ("2026-a", "E_AMBIGUOUS"), ("%", "E_NO_ROLLOUT"), ("_026-ab", "E_NO")],
)
def test_a_name_that_means_no_single_rollout_is_refused_in_words(store: Store, asked: str, said: str) -> None:
    for name in ("2026-ab", "2026-ac"):
        begin(store, name)
        store.journal(name).append([SUCCEEDED])
    assert store.find("2026-ab").id == "2026-ab"
    with pytest.raises(StoreError, match=said):
        store.find(asked)


def test_a_release_is_good_or_bad_by_how_its_rollout_ended(store: Store) -> None:
    begin(store, "r1", release="1")
    store.journal("r1").append([SUCCEEDED])
    begin(store, "r2", release="2", manifest="e" * 64)
    assert store.condemned("default", "shop") == frozenset()
    store.journal("r2").append([RevertStarted(hosts=(HostName("web1"),), condemned=True), REVERTED])
    assert store.condemned("default", "shop") == {"2"}
    good, bad = store.release_named("default", "shop", "1"), store.release_named("default", "shop", "2")
    assert good is not None
    assert bad is not None
    assert (good.verdict, bad.verdict, bad.rollout) == ("good", "bad", "r2")
    assert [r.id for r in store.releases_by_digest("default", "shop", "c" * 64)] == ["1", "2"]
    assert store.manifest_of("default", "shop", "2") == "e" * 64
    assert store.manifest_of("default", "shop", "3") == store.manifest_of("staging", "shop", "2") == ""


def test_a_revert_for_another_cause_does_not_condemn(store: Store) -> None:
    begin(store)
    store.journal("r1").append([RevertStarted(hosts=(), condemned=False), REVERTED])
    assert store.condemned("default", "shop") == frozenset()


def test_one_id_never_means_two_contents(store: Store) -> None:
    begin(store)
    store.journal("r1").append([RolloutFinished(end="halted", reason="", exit_code=3)])
    store.take("default", "shop", "r2", "alice")
    with pytest.raises(StoreError, match=r"E_RELEASE_CONFLICT.*2\.0\.0"):
        store.journal("r2").append([started(id="r2", manifest="f" * 64)])
    assert [r.id for r in store.rollouts()] == ["r1"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_state_is_private_from_its_first_moment(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = open_store(str(tmp_path / "a" / "state.db")) if umask != 0o777 else open_store(str(tmp_path / "s.db"))
        begin(store)
    finally:
        os.umask(before)
    folder = store.database.path.parent
    for file in folder.glob("s*.db*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    assert umask == 0o777 or stat.S_IMODE(folder.stat().st_mode) == 0o700
    store.close()


def _link(path: Path) -> None:
    (path.parent / "other").touch(mode=0o600)
    path.symlink_to(path.parent / "other")


def _wal_link(path: Path) -> None:
    path.touch(mode=0o600)
    path.with_name(path.name + "-wal").symlink_to("/dev/null")


def _not_a_database(path: Path) -> None:
    path.touch(mode=0o600)
    path.write_text("this is a text of some length " * 50)


def _another_program(path: Path) -> None:
    path.touch(mode=0o600)
    sqlite3.connect(path).execute("CREATE TABLE songs (name)").connection.close()


def _newer(path: Path) -> None:
    open_store(str(path)).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE rollout_schema SET version = 99")


@pytest.mark.bad("B91")
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_link, "E_STATE_PLACE"),
        (_wal_link, "-wal is not a plain file"),
        (lambda path: path.symlink_to(path.parent / "made-by-us"), "E_STATE_PLACE"),
        (lambda path: path.touch(mode=0o644), "chmod 600"),
        (lambda path: path.mkdir(), "E_STATE_PLACE"),
        (lambda path: path.parent.chmod(0o777), "chmod o-w"),
        (_not_a_database, "E_JOURNAL_CORRUPT"),
        (_another_program, "E_NOT_OURS"),
        (_newer, "E_STATE_NEWER.*schema 99"),
    ],
)
def test_a_place_that_cannot_be_trusted_is_refused(tmp_path: Path, spoil: object, said: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    spoil(folder / "state.db")  # type: ignore[operator]
    with pytest.raises(StoreError, match=said):
        open_store(str(folder / "state.db"))
    assert not (folder / "made-by-us").exists(), "a link was followed"


@pytest.mark.bad("B91")
def test_another_users_file_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "f").touch(mode=0o600)
    mine = list((tmp_path / "f").stat())
    assert wrong_with(os.stat_result(mine)) == ""
    mine[stat.ST_UID] += 1
    assert "belongs to user" in wrong_with(os.stat_result(mine))


def test_reading_makes_nothing(path: Path) -> None:
    with pytest.raises(StoreError, match=r"E_NO_STATE.*--state"):
        open_store(str(path), create=False)
    assert not path.parent.exists()


@pytest.mark.parametrize("url", ["mysql://u:hunter2@db/x", "sqlite://", "sqlite:///", "s3://bucket"])
def test_there_are_no_other_stores_and_no_password_is_repeated(url: str) -> None:
    with pytest.raises(InputError) as caught:
        open_store(url)
    assert "E_STATE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_where_the_state_is(tmp_path: Path) -> None:
    assert state_url("x", {"ROLLOUT_STATE": "y"}) == ("x", False)
    assert state_url(None, {"ROLLOUT_STATE": "y"}) == ("y", False)
    default, is_default = state_url(None, {})
    assert is_default
    assert default.endswith("/rollout/state.db")
    opened = open_store(f"sqlite:///{tmp_path}/50% off?.db")
    assert opened.database.path.name == "50% off?.db"
    assert opened.database.path.exists()
    opened.close()


@pytest.mark.fault("F23")
@pytest.mark.parametrize("now", ["2019-01-01T00:00:00.000Z", "2039-01-01T00:00:00.000Z"])
def test_a_clock_that_is_years_off_takes_over_nobody_who_lives(path: Path, now: str) -> None:
    begin(open_store(str(path)))
    other = open_store(str(path), now=lambda: now)
    with pytest.raises(Held, match=f"kill -INT {os.getpid()}"):
        other.retake("r1", "bob")
    with pytest.raises(Held, match="E_HELD"):
        other.take("default", "shop", "r2", "bob")


@pytest.mark.fault("F10")
def test_which_rollout_is_the_newest_is_not_for_clocks_to_say(path: Path) -> None:
    clock = ["2026-01-01T10:00:00.000Z"]
    store = open_store(str(path), now=lambda: clock[0])
    begin(store, "r1")
    store.journal("r1").append([SUCCEEDED])
    clock[0] = "2026-01-01T08:00:00.000Z"
    begin(store, "r2")
    store.journal("r2").append([SUCCEEDED])
    assert [r.id for r in store.rollouts()] == ["r2", "r1"]


def test_two_processes_that_carry_out_one_plan_file_wait_for_each_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have the rollout's id from the file; the one that prepares it keeps its lease."""
    store.take("default", "shop", "r1", "alice")
    store.take("default", "shop", "r1", "alice")
    monkeypatch.setattr(leasing, "this_process", lambda: replace(this_process(), pid=1, started="another"))
    with pytest.raises(Busy, match="it is still preparing"):
        store.take("default", "shop", "r1", "bob")
