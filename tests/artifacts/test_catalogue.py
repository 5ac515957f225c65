"""The member policy in every format: what is refused, by code, with the member named; and what is let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.artifacts.limits import Limits
from rollout.artifacts.package import Package, prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk
from tests.artifacts.catalogue import ROWS
from tests.artifacts.rows import FORMATS, Row
from tests.artifacts.tars import codes

CASES = [(r, fmt) for r in ROWS for fmt in r.made]
PARAMS = [pytest.param(r, fmt, marks=pytest.mark.bad(r.number) if r.number else ()) for r, fmt in CASES]
IDS = [f"{r.number} {r.name} {fmt}" for r, fmt in CASES]


def read(row: Row, fmt: str, folder: Path) -> Package:
    path = folder / f"app.{fmt}"
    path.write_bytes(row.made[fmt])
    return prepare(ArtifactAsk(path=str(path), allow_links=row.allow), folder / "cache", Limits(**row.limits))


@pytest.mark.parametrize(("row", "fmt"), PARAMS, ids=IDS)
def test_a_row_of_the_catalogue(row: Row, fmt: str, tmp_path: Path) -> None:
    if not row.code:
        read(row, fmt, tmp_path).close()
        return
    with pytest.raises(InputError) as refused:
        read(row, fmt, tmp_path)
    assert set(codes(refused.value)) == {row.code}, refused.value
    assert str(tmp_path) in str(refused.value)
    assert all(line.isprintable() for line in str(refused.value).split("\n"))
    assert not list((tmp_path / "cache").glob("*"))


def test_every_row_stands_in_every_format_in_which_it_can() -> None:
    assert {r.number for r in ROWS} >= {f"B{n}" for n in range(51, 62)}
    counts = {fmt: sum(fmt in r.made for r in ROWS) for fmt in FORMATS}
    assert all(count > 60 for count in counts.values()), counts
    assert len({(r.name, fmt) for r, fmt in CASES}) == len(CASES)


HINTS = {
    "zip64": "make a .tar.gz or a .tar.zst",
    "encrypted": "is encrypted. Pack it without a password.",
    "stored, with": "Have zip write to a file",
    "not said to be UTF-8": "such as C.UTF-8",
    "hard link": "--hard-dereference",
    "a window": "zstd -19",
    "a dictionary": "without -D",
}


@pytest.mark.parametrize(("name", "hint"), HINTS.items())
def test_what_packers_make_on_other_days_is_told_what_to_be_instead(name: str, hint: str, tmp_path: Path) -> None:
    found = [(row, fmt) for row, fmt in CASES if row.name.startswith(name)]
    assert found
    for row, fmt in found:
        with pytest.raises(InputError) as refused:
            read(row, fmt, tmp_path)
        assert hint in str(refused.value)
