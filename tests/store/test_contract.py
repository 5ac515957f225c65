"""Every store under one contract; and what is said of a server that is away."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollout.app.states import way_of
from rollout.errors import Busy, InputError, StoreError
from rollout.store.store import open_store
from rollout.testing.store_contract import CONTRACT, StoreBench, many_of, staged
from tests.posix.shells import shell
from tests.store.benches import FilesBench, PostgresBench, Server, SqliteBench


def _sqlite(_: pytest.FixtureRequest, folder: Path) -> StoreBench:
    return SqliteBench(folder)


def _postgres(request: pytest.FixtureRequest, _: Path) -> StoreBench:
    return PostgresBench.fresh(request.getfixturevalue("server"), f"t{uuid.uuid4().hex[:12]}")


def _files(_: pytest.FixtureRequest, folder: Path) -> StoreBench:
    return FilesBench(folder, shell("dash", folder))


def _files_busybox(_: pytest.FixtureRequest, folder: Path) -> StoreBench:
    return FilesBench(folder, shell("busybox", folder))


BENCHES: dict[str, Callable[[pytest.FixtureRequest, Path], StoreBench]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "files on a host": _files,
    "files on a small host": _files_busybox,
}


@pytest.mark.parametrize("rule", CONTRACT)
@pytest.mark.parametrize("kind", BENCHES)
def test_every_store_keeps_the_contract(kind: str, rule: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with many_of(BENCHES[kind](request, tmp_path)) as many:
        CONTRACT[rule](many)


def test_a_server_that_dies_in_the_middle_and_comes_back(server: Server) -> None:
    """Nothing that was written is lost, nothing false is there, and no password is said."""
    bench = PostgresBench.fresh(server, f"t{uuid.uuid4().hex[:12]}")
    with many_of(bench) as many:
        store = many.begun()
        journal = store.journal("r1")
        journal.append(staged())
        server.kill()
        with pytest.raises(StoreError, match="E_JOURNAL_OPEN") as lost:
            journal.append(staged(2))
        assert lost.value.exit_code == 8
        assert "hunter2" not in str(lost.value)
        with pytest.raises(StoreError, match=r"E_JOURNAL_OPEN: postgresql://rollout:\*\*\*@"):
            bench.open()
        server.start()
        with pytest.raises(StoreError, match="E_JOURNAL_POISONED"):
            journal.append(staged(2))
        assert len(many().journal("r1").read()) == 3


@pytest.mark.parametrize(
    ("setting", "asked", "so"),
    [
        ("synchronous_commit = off", "synchronous_commit", "on"),
        ("default_transaction_isolation = 'serializable'", "transaction_isolation", "read committed"),
    ],
)
def test_a_writing_is_what_it_is_whatever_the_user_is_set_to(server: Server, setting: str, asked: str, so: str) -> None:
    """Durable; and it sees what was committed while it waited for the lock: it does not fail for that."""
    bench = PostgresBench.fresh(server, f"t{uuid.uuid4().hex[:12]}")
    with server.connect("postgres") as admin:
        admin.execute(f"ALTER DATABASE {bench.name} SET {setting}")
    with many_of(bench) as many:
        store, shown = many(), list[str]()
        for _ in range(2):  # a connection that was read through is a writer's again
            store.rollouts()
            store.database.write(lambda c: shown.append(c.exec_driver_sql(f"SHOW {asked}").scalar_one()))
    assert shown == [so] * 2


def test_silence_is_told_by_the_servers_clock(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PostgresBench.fresh(server, f"t{uuid.uuid4().hex[:12]}")
    with many_of(bench) as many:
        store = many()
        store.database._clock.set(datetime.now(UTC) + timedelta(days=365))  # type: ignore[attr-defined]
        ours, theirs = store.now()[:4], many().now()[:4]
    assert int(ours) == int(theirs) + 1


@pytest.mark.parametrize("ahead_s", [61, -61])
def test_after_a_failover_silence_is_told_by_the_clock_of_who_answers(server: Server, ahead_s: float) -> None:
    """Of two servers whose clocks differ by a minute; each write reads the clock again."""
    bench = PostgresBench.fresh(server, f"t{uuid.uuid4().hex[:12]}")
    with many_of(bench) as many:
        holder = many.begun()
        other = many()
        for store in (holder, other):  # as if the server before had said so
            store.database._clock.set(datetime.now(UTC) + timedelta(seconds=ahead_s))  # type: ignore[attr-defined]
        bench.elsewhere(other.now())
        holder.heartbeat("r1")
        with pytest.raises(Busy):
            many().take("default", "shop", "r2", "bob")
        apart = datetime.fromisoformat(holder.now()) - datetime.fromisoformat(many().now())
        assert abs(apart.total_seconds()) < 5
        with pytest.raises(Busy):
            other.retake("r1", "bob")


@pytest.mark.parametrize("url", ["postgres://u:hunter2@127.0.0.1:port/x"])
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(InputError, match="E_STATE_URL") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_a_turn_of_the_loop_is_one_round_trip(tmp_path: Path) -> None:
    bench = FilesBench(tmp_path, shell("dash", tmp_path))
    with many_of(bench) as many:
        journal = many.begun().journal("r1")
        before = bench.told
        for op in range(1, 6):
            journal.append(staged(op))
        assert bench.told - before == 5
        other = many()
        assert other.take("default", "blog", "r9", "bob") == 1
        before = bench.told
        journal.append(staged(6))
        assert bench.told - before == 3, "somebody else has written: read what, and write again"


@pytest.mark.parametrize(
    "url", ["ssh://u:hunter2@h/x", "ssh://h", "ssh://h:port/x", "ssh://h/x?shell=sh", "ssh:///x", "ssh://h/x?jump=a:0"]
)
def test_a_way_that_is_none_is_said(url: str) -> None:
    with pytest.raises(InputError, match="E_STATE_URL") as caught:
        way_of(url)
    assert "hunter2" not in str(caught.value)
