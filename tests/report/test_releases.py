"""The table of releases."""

from __future__ import annotations

from typing import Any

from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.report.releases import Shelf, entries, shelf_lines, shelf_object
from rollout.store.rows import StoredRelease

A, B = HostName("a"), HostName("b")
SEEN = (
    Observation(host=A, current="v2", releases={"v1": "1", "v2": "2"}, ledger={"v2": frozenset({"kept", "verified"})}),
    Observation(host=B, current="odd", releases={"v1": "1"}),
)


def stored(name: str, **more: Any) -> StoredRelease:
    said = {"artifact": "a", "verdict": "good", "rollout": f"r-{name}", "at": "2026-11-23T10:00:00.000Z", **more}
    return StoredRelease(environment="default", app="shop", id=name, manifest="1", **said)


def shelf(*rows: StoredRelease, seen: Any = SEEN, **more: Any) -> Shelf:
    found = entries(rows, {"v1": 2_000_000}, seen, [r.id for r in rows])
    asked = tuple(s.host for s in seen)
    return Shelf(app="shop", environment="default", entries=found, **{"asked": asked, **more})


def test_the_newest_stands_first_and_what_only_hosts_know_last() -> None:
    made = shelf(stored("v1"), stored("v2"))
    assert [(e.release, e.current, e.present) for e in made.entries] == [
        ("v2", (A,), ()),
        ("v1", (), (A, B)),
        ("odd", (B,), ()),
    ]
    assert made.entries[0].marks == {A: ("kept", "verified")}


def test_what_became_of_each_is_said() -> None:
    rows = [
        stored("good"),
        stored("bad", verdict="bad"),
        stored("new", verdict=""),
        stored("old", artifact=""),
        stored("worse", artifact="", verdict="bad"),
    ]
    assert {e.release: e.state for e in shelf(*rows).entries} == {
        "good": "good",
        "bad": "bad",
        "new": "unproven",
        "old": "adopted",
        "worse": "adopted, bad",
        "v1": "not on record",
        "v2": "not on record",
        "odd": "not on record",
    }


def test_the_table_says_who_has_no_way_back() -> None:
    lines = shelf_lines(shelf(stored("v1"), back={A: "v2"}, rollback="v1", silent={HostName("c"): "gone\x1b[2J"}))
    said = "\n".join(lines)
    assert lines[0] == "shop in default, 2 hosts asked:"
    assert "2.0 MB" in said
    assert "the next apply can bring 1 host back to v2: a" in said
    assert "NO WAY BACK on 1 host: b" in said
    assert "c could not be asked: gone" in said
    assert "\x1b" not in said
    assert lines[-1] == "rollout rollback goes to v1"


def test_without_hosts_it_is_as_recorded() -> None:
    lines = shelf_lines(shelf(stored("v1"), seen=()))
    assert lines[0] == "shop in default, as recorded:"
    assert "PLAYBOOK" in lines[-2]
    assert lines[-1] == "no rollback: there is no earlier release"
    assert "no release" in shelf_lines(shelf(seen=()))[1]


def test_json_has_all_of_it() -> None:
    said: Any = shelf_object(shelf(stored("v1"), back={A: "v1"}))
    assert said["back"] == {A: "v1"}
    assert said["entries"][0]["manifest"] == "1"
