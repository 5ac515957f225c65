"""What earlier versions have written is read by this one, and comes to the same; what none has written is refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from rollout.engine.lint import violations
from rollout.engine.rollout import fold, initial
from rollout.errors import StoreError
from rollout.model.event import Event, PauseOrdered, Record
from rollout.report.jsonlines import json_line, record_object
from rollout.store.codec import decode, encode
from rollout.store.journal import chained, decoded
from rollout.store.store import open_store
from tests.store.corpus import FOLDER, summary
from tests.store.stories import step
from tests.store.test_store import begin

pytestmark = pytest.mark.fault("F12")
FILES = sorted(FOLDER.glob("*/*.jsonl"))


def read(path: Path) -> tuple[list[Any], Any]:
    """The records of a file, and what they are to come to."""
    *records, came_to = map(json.loads, path.read_text().splitlines())
    return records, came_to


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_journal_of_an_earlier_version_comes_to_what_it_came_to(path: Path) -> None:
    records, came_to = read(path)
    previous = ""
    for one in records:
        assert one["hash"] == chained("r1", one["seq"], one["at"], one["body"], previous), (
            "hashes are over what is kept"
        )
        previous = one["hash"]
    events = [decode(one["body"]) for one in records]
    assert json.loads(json.dumps(summary(fold(initial(), events)))) == came_to
    assert violations(events) == ()
    assert [decode(encode(event)) for event in events] == events


def recomputed(record: Record) -> str:
    """The hash of a record as it is exported, by what `rollout audit export --help` says and nothing of ours."""

    def canonical(value: object) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    said = json.loads(json_line(record_object(record)))
    covered = [said["rollout"], said["seq"], said["at"], canonical(said["event"]), said["previous_hash"]]
    return hashlib.sha256(canonical(covered).encode()).hexdigest()


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_what_is_exported_of_an_earlier_version_fits_its_hashes(path: Path) -> None:
    """What was written is handed out, not what it means today: a field that came later is not in its hash."""
    for one in read(path)[0]:
        assert recomputed(decoded("r1", SimpleNamespace(**one))) == one["hash"], one["body"]


def test_what_is_exported_fits_its_hash_whatever_was_typed(tmp_path: Path) -> None:
    """When it is written too: a name that is no Unicode text is shown as it is kept."""
    store = open_store(str(tmp_path / "s.db"))
    begin(store)
    written = store.journal("r1").append([PauseOrdered(by="J\u00fcrg \udcff \U0001f600", reason='\x00\x7f\u2028"\\/')])
    for record in (*written, *store.journal("r1").read()):
        assert recomputed(record) == record.hash


def test_every_kind_of_record_is_in_the_corpus() -> None:
    there = {json.loads(one["body"])["kind"] for path in FILES for one in read(path)[0]}
    kinds = {kind.__dataclass_fields__["kind"].default for kind in get_args(Event)}
    assert kinds - there == {"host_sickened", "pool_reasserted"} - there


@pytest.mark.parametrize(
    "change",
    [
        ('\'"kind":"step_started"\'', '\'"kind":"step_dreamt"\''),  # a record that came later
        ("'\"op\":'", '\'"tomorrow":1,"op":\''),  # a field that came later
    ],
)
def test_what_a_newer_version_wrote_is_said_and_not_guessed(tmp_path: Path, change: tuple[str, str]) -> None:
    """With its hashes in order: it was not changed, it is not known. Nothing is taken over on such ground."""
    store = open_store(str(tmp_path / "s.db"))
    begin(store)
    store.journal("r1").append(step(1))
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as raw, raw:
        raw.execute(f"UPDATE records SET body = replace(body, {change[0]}, {change[1]}) WHERE seq = 2")
        rehash(raw)
        raw.execute("UPDATE leases SET started = '1'")
    with pytest.raises(
        StoreError, match=r"E_RECORD: record 2 of rollout r1.*Use the version that wrote it, or a newer"
    ):
        open_store(str(tmp_path / "s.db")).journal("r1").read()
    program = str(Path(sys.executable).with_name("rollout"))
    for verb in ("status", "resume", "heal", "revert"):
        words = [program, verb, "r1", "--state", str(tmp_path / "s.db")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "E_RECORD" in done.stderr, "Traceback" in done.stderr) == (8, True, False), done.stderr


def rehash(raw: sqlite3.Connection) -> None:
    """Write the hashes of the records anew, as whoever wrote them would have."""
    previous = ""
    for seq, at, body in raw.execute("SELECT seq, at, body FROM records WHERE rollout = 'r1' ORDER BY seq").fetchall():
        digest = chained("r1", seq, at, body, previous)
        raw.execute("UPDATE records SET previous_hash = ?, hash = ? WHERE seq = ?", (previous, digest, seq))
        previous = digest
    raw.execute("UPDATE rollouts SET head = ?", (previous,))
