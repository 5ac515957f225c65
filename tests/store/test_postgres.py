"""PostgreSQL: what only a server can do to a store, and what is said of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from rollout.errors import InputError, StoreError
from rollout.store import postgres
from rollout.store.store import open_store
from rollout.testing.store_contract import LONG_AGO, many_of, staged
from tests.store.benches import PostgresBench, Server


@pytest.fixture
def bench(server: Server) -> PostgresBench:
    return PostgresBench.fresh(server, f"t{uuid.uuid4().hex[:12]}")


def another(bench: PostgresBench, script: str) -> subprocess.Popen[str]:
    """Begin another process with a store of its own, which says when it is ready."""
    head = "import sys\nfrom rollout.errors import Held, StoreError\nfrom rollout.store import postgres\n"
    head += "from rollout.store.store import open_store\nfrom rollout.testing.store_contract import staged, started\n"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{head}{script}", bench.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


RACE = """
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for app in range(20):
    try:
        print(store.take("default", f"app{app}", f"r{app}-{sys.argv[0]}{id(store)}", "ann"))
    except Held:
        print(0)
"""


@pytest.mark.fault("F15")
def test_of_two_processes_one_gets_each_lease(bench: PostgresBench) -> None:
    bench.open().close()
    both = [another(bench, RACE) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    one, two = (process.communicate(timeout=60)[0].split() for process in both)
    assert len(one) == len(two) == 20
    assert [sorted(pair) for pair in zip(one, two, strict=True)] == [["0", "1"]] * 20


FROZEN = """
postgres.IDLE_MS = 500
store = open_store(sys.argv[1])
store.take("default", "shop", "r1", "ann")
journal = store.journal("r1")
journal.append([started("r1")])
def work(connection):
    print("ready", flush=True)
    sys.stdin.readline()
    connection.exec_driver_sql("UPDATE leases SET holder = 'false'")
try:
    store.database.write(work)
except StoreError as error:
    print(error)
"""


def test_a_controller_that_is_frozen_while_it_writes_holds_nobody_up(bench: PostgresBench) -> None:
    """Its lock is given back in a time that is bounded, and what it had in hand is not written."""
    bench.open().close()
    process = another(bench, FROZEN)
    process.send_signal(signal.SIGSTOP)
    try:
        with many_of(bench) as many:
            assert many().take("default", "blog", "r2", "bob") == 1
            process.send_signal(signal.SIGCONT)
            said = process.communicate("go\n", timeout=60)[0]
            assert said.startswith("E_JOURNAL_OPEN"), said
            assert many().lease("default", "shop").holder == "ann"
    finally:
        process.kill()
        process.wait()


WRITING = """
store = open_store(sys.argv[1])
store.take("default", "shop", "r1", "ann")
journal = store.journal("r1")
journal.append([started("r1")])
print("ready", flush=True)
for op in range(1, 100_000):
    journal.append(staged(op))
    print(op, flush=True)
"""


@pytest.mark.fault("F2")
def test_a_kill_while_writing_leaves_whole_turns(bench: PostgresBench) -> None:
    process = another(bench, WRITING)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    said = process.communicate()[0].split()
    with many_of(bench) as many:
        store = many()
        read = store.journal("r1").read()
        assert len(read) % 2 == 1, "half a turn was written"
        assert len(read) >= 3 + 2 * len(said), "an append that returned was lost"
        assert store.retake("r1", "bob") == 2
        assert store.journal("r1").append(staged(1))[0].seq == len(read) + 1


FULL = """
CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER broken AFTER INSERT ON records DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION broken()
"""
REFUSALS = {
    "E_JOURNAL_FULL.*disk is full.*Make room": FULL.format(
        "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100';"
    ),
    "E_JOURNAL_IO.*server's log": FULL.format("RAISE EXCEPTION 'could not write' USING ERRCODE = '58030';"),
    "E_JOURNAL_OPEN.*cannot be reached": FULL.format("PERFORM pg_terminate_backend(pg_backend_pid());"),
}


@pytest.mark.parametrize("said", REFUSALS)
@pytest.mark.fault("F4", "F6")
def test_what_fails_at_the_commit_is_said_and_not_believed(bench: PostgresBench, said: str) -> None:
    """The answer to a commit is lost or bad: this process writes no more, another one reads what is there."""
    with many_of(bench) as many:
        journal = many.begun().journal("r1")
        with bench.server.connect(bench.name) as raw:
            raw.execute(REFUSALS[said])
        with pytest.raises(StoreError, match=said) as caught:
            journal.append(staged())
        assert caught.value.exit_code == 8
        assert "hunter2" not in str(caught.value)
        with bench.server.connect(bench.name) as raw:
            raw.execute("DROP TRIGGER broken ON records")
        with pytest.raises(StoreError, match="E_JOURNAL_POISONED"):
            journal.append(staged())
        bench.elsewhere(LONG_AGO)
        two = many()
        assert len(two.journal("r1").read()) == 1, "nothing false is there"
        assert two.retake("r1", "bob") == 2
        assert len(two.journal("r1").append(staged())) == 2


def test_a_commit_that_takes_too_long_is_not_known_and_read_by_the_next(
    bench: PostgresBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server bounds statements and no commits: a disk or a standby that hangs would hold the rollout up for ever."""
    with many_of(bench) as many:
        journal = many.begun().journal("r1")
        with bench.server.connect(bench.name) as raw:
            raw.execute(FULL.format("PERFORM pg_sleep(2);"))
        monkeypatch.setattr(postgres, "WHOLE_S", 0.3)
        with pytest.raises(StoreError, match=r"E_JOURNAL_OPEN.*cannot be reached"):
            journal.append(staged()[:1])
        monkeypatch.undo()
        with pytest.raises(StoreError, match="E_JOURNAL_POISONED"):
            journal.append(staged())
        bench.elsewhere(LONG_AGO)
        two = many()
        assert two.retake("r1", "bob") == 2, "once the server is done with it"
        assert len(two.journal("r1").read()) == 2, "it was committed after all"


def test_a_server_that_is_frozen_is_not_waited_for_without_end(
    bench: PostgresBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with many_of(bench) as many:
        store = many.begun()
        with bench.server.connect("postgres") as admin:
            asked = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
            pids = [row[0] for row in admin.execute(asked, [bench.name])]
        assert pids
        monkeypatch.setattr(postgres, "WHOLE_S", 0.3)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError, match=r"E_JOURNAL_OPEN.*cannot be reached"):
                store.journal("r1").append(staged())
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert len(store.journal("r1").read()) == 1


@pytest.mark.fault("F5")
def test_a_standby_is_read_and_not_written(bench: PostgresBench) -> None:
    with many_of(bench) as many:
        many.begun().journal("r1").append(staged())
        with bench.server.connect("postgres") as admin:
            admin.execute(f"ALTER DATABASE {bench.name} SET default_transaction_read_only = on")
        store = many()
        assert len(store.journal("r1").read()) == 3
        with pytest.raises(StoreError, match=r"E_JOURNAL_READONLY.*standby.*Name the primary"):
            store.take("default", "blog", "r2", "bob")


def test_a_lock_is_not_waited_for_without_end(bench: PostgresBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_MS", 100)
    with many_of(bench) as many, bench.server.connect(bench.name) as raw:
        store = many.begun()
        raw.execute(f"SELECT pg_advisory_lock({postgres.LOCK})")
        assert len(many().journal("r1").read()) == 1, "readers do not wait for a writer"
        with pytest.raises(StoreError, match=r"E_JOURNAL_LOCKED.*keeps it locked.*Wait"):
            store.journal("r1").append(staged())


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("CREATE TABLE songs (name text)", "E_NOT_OURS"),
        (
            "CREATE TABLE rollout_schema (version int); INSERT INTO rollout_schema VALUES (99)",
            "E_STATE_NEWER.*schema 99",
        ),
    ],
)
def test_another_programs_database_is_refused(bench: PostgresBench, done: str, said: str) -> None:
    with bench.server.connect(bench.name) as raw:
        raw.execute(done)
    with pytest.raises(StoreError, match=said):
        bench.open()


def test_reading_makes_nothing(bench: PostgresBench) -> None:
    with pytest.raises(StoreError, match=r"E_NO_STATE.*nothing was ever recorded.*--state"):
        open_store(bench.url, create=False)
    with bench.server.connect(bench.name) as raw:
        assert raw.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_an_older_state_grows_and_loses_nothing(bench: PostgresBench) -> None:
    with many_of(bench) as many:
        many.begun().journal("r1").append(staged())
    with bench.server.connect(bench.name) as raw:
        raw.execute(
            "DROP TABLE drains; ALTER TABLE rollouts DROP COLUMN limited; UPDATE rollout_schema SET version = 1"
        )
    with many_of(bench) as many:
        store = many()
        assert store.drained() == ()
        assert store.find("r1").limited == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("/t[0-9a-f]+$", "/nothing"), "E_JOURNAL_OPEN.*does not let us in.*nothing"),
        (("//rollout:", "//stranger:"), "E_JOURNAL_OPEN.*does not let us in.*stranger"),
        (("@127.0.0.1:[0-9]+", "@127.0.0.1:1"), "E_JOURNAL_OPEN.*cannot be reached"),
    ],
)
@pytest.mark.fault("F20")
def test_who_cannot_be_reached_is_said_without_the_password(
    bench: PostgresBench, change: tuple[str, str], said: str
) -> None:
    environ = {**os.environ, "ROLLOUT_STATE": re.sub(*change, bench.url)}
    command = [str(Path(sys.executable).with_name("rollout")), "history"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 8
    assert re.search(said, " ".join(done.stderr.split())), done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"E_EXTRA.*pip install 'rollout\[postgres\]'") as caught:
        open_store("postgres://ann:hunter2@db/x")
    assert "hunter2" not in str(caught.value)
