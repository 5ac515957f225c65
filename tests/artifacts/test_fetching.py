"""Fetching: once, resumed, within bounds, and believed only by its digest."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.artifacts import cache
from rollout.artifacts.limits import Limits
from rollout.artifacts.package import Package, prepare
from rollout.artifacts.remote import Answer, Patience
from rollout.errors import InputError, Refused
from tests.artifacts.fetches import CONTENT, QUICK, SHA, ask, fetch
from tests.artifacts.registry import Asked, Registry, broken, stalled, status, trickled
from tests.artifacts.tars import codes


def whole(registry: Registry, folder: Path) -> None:
    """Fetch it, and see that it is there and nothing else is."""
    assert fetch(ask(registry), folder) == CONTENT
    assert [p.name for p in (folder / "artifacts").iterdir()] == [SHA]


def test_it_is_fetched_once(registry: Registry, tmp_path: Path) -> None:
    said: list[str] = []
    package = prepare(ask(registry), tmp_path, say=said.append)
    assert (package.sha256, package.path) == (SHA, registry.url())
    assert said == [f"fetching {registry.url()}, {len(CONTENT)} bytes"]
    assert prepare(ask(registry), tmp_path, say=said.append).sha256 == SHA
    assert (len(registry.asked), len(said)) == (1, 1)
    assert (tmp_path / "artifacts").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "artifacts" / SHA).stat().st_mode & 0o777 == 0o600


def test_it_goes_on_where_it_broke_off(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [broken(100_000), broken(100_000)]
    whole(registry, tmp_path)
    assert registry.ranges_asked == ["", "bytes=100000-", "bytes=200000-"]
    assert registry.sent == len(CONTENT)


def test_the_next_run_goes_on_where_the_last_one_broke_off(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [broken(100_000), status(503), status(503), status(503)]
    with pytest.raises(Refused, match=r"100000 bytes of it came\. Try again: it goes on from there"):
        fetch(ask(registry), tmp_path)
    registry.asked.clear()
    registry.answers.clear()
    whole(registry, tmp_path)
    assert registry.ranges_asked == ["bytes=100000-"]


@pytest.mark.parametrize(
    ("tag", "ranges"),
    [("", True), ('W/"weak"', True), ('"has a space"', True), ('"one"', False)],
    ids=["no tag", "a weak tag", "no tag at all", "no ranges"],
)
def test_without_ranges_it_is_fetched_from_the_beginning(
    tag: str, ranges: bool, registry: Registry, tmp_path: Path
) -> None:
    registry.tag, registry.ranges = tag, ranges
    registry.answers = [broken(100_000)]
    whole(registry, tmp_path)
    assert registry.sent == len(CONTENT) + 100_000
    assert registry.ranges_asked == ["", "bytes=100000-" if tag == '"one"' else ""]


def test_what_changed_in_between_is_fetched_from_the_beginning(registry: Registry, tmp_path: Path) -> None:
    registry.content = bytes(len(CONTENT))

    def change(asked: Asked) -> None:
        broken(100_000)(asked)
        registry.content, registry.tag = CONTENT, '"two"'

    registry.answers = [change]
    whole(registry, tmp_path)


def test_a_part_of_something_else_is_found_out(registry: Registry, tmp_path: Path) -> None:
    """A server may call two files by the same tag."""
    registry.content = bytes(len(CONTENT))

    def change(asked: Asked) -> None:
        broken(100_000)(asked)
        registry.content = CONTENT

    registry.answers = [change, status(503), status(503), status(503)]
    with pytest.raises(Refused):
        fetch(ask(registry), tmp_path)
    said: list[str] = []
    assert fetch(ask(registry), tmp_path, say=said.append) == CONTENT
    assert any("of another file" in line for line in said)


def test_a_part_of_another_url_is_not_gone_on_with(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [broken(100_000), status(503), status(503), status(503)]
    with pytest.raises(Refused):
        fetch(ask(registry), tmp_path)
    registry.asked.clear()
    registry.answers.clear()
    assert fetch(ask(registry, "/other.tar"), tmp_path) == CONTENT
    assert registry.ranges_asked == [""]


@pytest.mark.parametrize(
    "said",
    [
        {"code": 206, "Content_Range": "bytes 7-9/10"},
        {"code": 206, "Content_Range": "bytes 100000-100001/900000"},
        {"code": 206, "Content_Range": "bytes 100000-x/*"},
        {"code": 206},
        {"code": 416},
    ],
)
def test_another_part_than_was_asked_for_is_no_answer(said: dict[str, Any], registry: Registry, tmp_path: Path) -> None:
    registry.answers = [broken(100_000), status(**said)]
    whole(registry, tmp_path)
    assert registry.ranges_asked == ["", "bytes=100000-", ""]


def test_another_file_is_refused_where_the_digest_stands(registry: Registry, tmp_path: Path) -> None:
    registry.content = b"another"
    with pytest.raises(InputError) as refused:
        prepare(ask(registry), tmp_path)
    assert codes(refused.value) == ["E_DIGEST"]
    assert str(refused.value).startswith(f"play.yml:6:13: E_DIGEST: {registry.url()}: ")
    assert hashlib.sha256(b"another").hexdigest() in str(refused.value)
    assert not (tmp_path / "artifacts" / SHA).exists()
    registry.content = CONTENT
    whole(registry, tmp_path)


def test_nothing_is_fetched_without_a_digest(registry: Registry, tmp_path: Path) -> None:
    for digest in ("", "../../x", "A" * 64):
        with pytest.raises(InputError, match="E_DIGEST"):
            prepare(ask(registry, sha256=digest), tmp_path)
    assert registry.asked == []


def test_what_is_too_large_is_not_fetched(registry: Registry, tmp_path: Path) -> None:
    limits = Limits(size=200_000)
    with pytest.raises(InputError, match=f"E_ARCHIVE_LIMIT: it has {len(CONTENT)} bytes"):
        prepare(ask(registry), tmp_path, limits)
    assert (tmp_path / "artifacts" / f"{SHA}.part").stat().st_size == 0

    def endless(asked: Asked) -> None:
        asked.head(200)
        while True:
            asked.send(bytes(65536))

    registry.answers, registry.sent = [endless], 0
    with pytest.raises(InputError, match="E_ARCHIVE_LIMIT: it grows beyond"):
        prepare(ask(registry), tmp_path, limits)
    assert registry.sent < 20_000_000


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (401, r"it asks who is there \(401\). Say it in `headers`"),
        (403, "lets nobody have it"),
        (404, "nothing of that name"),
        (410, "gone"),
        (418, "answers 418"),
        (204, "answers 204"),
        (304, "answers 304"),
    ],
)
def test_a_no_is_said_in_words_and_not_asked_again(code: int, why: str, registry: Registry, tmp_path: Path) -> None:
    registry.answers = [status(code)]
    with pytest.raises(Refused, match=why) as refused:
        fetch(ask(registry, "/app.tar?token=s3cr3t"), tmp_path)
    assert str(refused.value).startswith(f"E_FETCH: play.yml:5:15: {registry.url()}: ")
    assert len(registry.asked) == 1


def test_a_server_that_has_no_time_is_asked_again(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [status(503), status(429)]
    whole(registry, tmp_path)
    registry.answers = [status(503)] * 9
    with pytest.raises(Refused, match=r"it answers 503\. 0 bytes of it came\. Try again later"):
        fetch(ask(registry), tmp_path / "other")
    assert len(registry.answers) == 6  # asked three times: once, and twice more


def test_a_port_where_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Refused, match=r"no answer from localhost: Connection refused\."):
        fetch(ask(Registry(port=port)), tmp_path)


def test_a_server_that_stalls_is_asked_again(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [stalled(20, 100_000)]
    began = time.monotonic()
    whole(registry, tmp_path)
    assert registry.ranges_asked == ["", "bytes=100000-"]
    assert time.monotonic() - began < 15


def test_a_head_that_trickles_is_given_up(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [trickled(20)] * 3
    began = time.monotonic()
    with pytest.raises(Refused, match="no whole answer in time"):
        fetch(ask(registry), tmp_path, replace(QUICK, connect_s=0.2, read_s=0.2))
    assert time.monotonic() - began < 30


def test_all_of_it_has_a_time(registry: Registry, tmp_path: Path) -> None:
    def slow(asked: Asked) -> None:
        asked.head(200, Content_Length=len(CONTENT), ETag='"one"')
        for at in range(0, len(CONTENT), 1000):
            asked.send(CONTENT[at : at + 1000])
            time.sleep(0.05)

    registry.answers = [slow]
    began = time.monotonic()
    with pytest.raises(Refused, match="it takes more than 1 s"):
        fetch(ask(registry), tmp_path, replace(QUICK, total_s=1))
    assert time.monotonic() - began < 8


def test_two_at_once_fetch_it_once(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [stalled(0.3, 100_000)]
    one = ask(registry)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: fetch(one, tmp_path), range(4))) == {CONTENT}
    assert registry.sent == len(CONTENT)


def _rot(path: Path) -> None:
    path.write_bytes(b"rotten")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    os.truncate(path, 5000)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("harm", [_rot, _empty, _cut, _link])
def test_what_went_bad_in_the_cache_is_fetched_again(
    harm: Callable[[Path], None], registry: Registry, tmp_path: Path
) -> None:
    prepare(ask(registry), tmp_path).close()
    harm(tmp_path / "artifacts" / SHA)
    package = prepare(ask(registry), tmp_path)
    assert (package.sha256, len(registry.asked)) == (SHA, 2)


def test_a_cache_that_others_can_write_to_is_not_used(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts").chmod(0o777)
    (tmp_path / "file").touch()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/artifacts").symlink_to(tmp_path)
    for place in (tmp_path, tmp_path / "file", tmp_path / "linked"):
        with pytest.raises(InputError, match=r"E_CACHE_PLACE.*XDG_CACHE_HOME"):
            prepare(ask(registry), place)
    assert registry.asked == []


def test_the_cache_keeps_the_last_ten(tmp_path: Path) -> None:
    folder = cache.folder_of(tmp_path)
    for n in range(12):
        (folder / f"{n:064d}").touch()
        os.utime(folder / f"{n:064d}", (n, n))
    for name, age_s in (("a" * 64 + ".part", 8 * 86_400), ("b" * 64 + ".part", 60), ("mine.txt", 10**8)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age_s,) * 2)
    cache.tidy(folder)
    kept = {f"{n:064d}" for n in range(2, 12)} | {"b" * 64 + ".part", "mine.txt"}
    assert {p.name for p in folder.iterdir()} == kept


def test_what_is_fetched_is_read_like_a_file(registry: Registry, tmp_path: Path) -> None:
    registry.content = b"#!/bin/sh\n"
    digest = hashlib.sha256(registry.content).hexdigest()
    package: Package = prepare(ask(registry, sha256=digest, as_name="bin/app", mode="0755"), tmp_path)
    assert (package.source, package.strip) == (digest, "")
    assert "0755" in package.manifest_text
    assert "./bin/app" in package.manifest_text


def test_a_source_that_ends_early_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody's source may be less careful than ours."""

    class Careless:
        asked = 0

        def open(self, start: int, tag: str, patience: Patience) -> Answer:
            self.asked += 1
            said = iter([CONTENT[start : 100_000 * self.asked], b""] if self.asked < 4 else [CONTENT[start:], b""])
            return Answer(start=start, size=len(CONTENT), tag="one", read=lambda: next(said), close=lambda: None)

    one = Careless()
    monkeypatch.setattr("rollout.artifacts.fetching._source", lambda _: one)
    assert fetch(ask(Registry()), tmp_path) == CONTENT
    assert one.asked == 4
