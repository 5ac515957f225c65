"""Which way a release comes to which host, and what a host may say about the one that it has."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from rollout.app.records import Origin, Records
from rollout.app.sending import Sending
from rollout.app.transfer import (
    COMMANDS,
    NO_BASE,
    PACKED,
    SIGNED,
    SMALL,
    TASKS,
    TOO_MUCH,
    UNREAD,
    WRITABLE,
    Choice,
    ways,
)
from rollout.artifacts.package import Package, prepare
from rollout.model.check import CommandCheck, TcpCheck
from rollout.model.host import HostName
from rollout.model.play import ArtifactAsk
from rollout.model.release import Delta, NoService, Pull, Push, Release, ReleaseId, RenderedFile, Way
from rollout.model.task import Task
from rollout.model.trust import SignatureAsk
from rollout.perform.effects import Effect, Tell
from rollout.posix.delta import PIECE
from rollout.posix.manifest import digest
from rollout.posix.op import ReadManifest, Reply
from rollout.posix.rendered import manifest_with
from tests.engine.questions import ask, bare, on, play

H1, H2 = HostName("h1"), HostName("h2")
NOTHING: Mapping[str, Any] = {}
FILES = {f"n{n}": random.Random(n).randbytes(60_000) for n in range(20)}


@dataclass(slots=True)
class Hosts:
    """Hosts that hand out a manifest as they like."""

    text: str
    lies: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def perform(self, effect: Effect) -> Any:
        assert isinstance(effect, Tell)
        deed = effect.op.do
        assert isinstance(deed, ReadManifest)
        self.asked.append(effect.host)
        if effect.host in self.lies:
            return self.lies[effect.host]
        return said(self.text, deed.at)


def said(text: str, at: int = 0, **more: str) -> Reply:
    packed = base64.encodebytes(gzip.compress(text.encode()[at : at + PIECE])).decode().split()
    fields = {"manifest": hashlib.sha256(text.encode()).hexdigest(), **more}
    return Reply(status="done", fields=fields, tail=tuple(packed))


def package(folder: Path, name: str, files: Mapping[str, bytes]) -> tuple[Package, ArtifactAsk]:
    with tarfile.open(folder / f"{name}.tar", "w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    asked = ArtifactAsk(path=str(folder / f"{name}.tar"))
    return prepare(asked, folder / "cache"), asked


@dataclass(slots=True)
class Case:
    """A new release, an old one on record, and hosts that have it."""

    new: Package
    asked: ArtifactAsk
    old: Package
    hosts: Hosts
    recorded: str
    seen: dict[HostName, Any] = field(default_factory=dict)
    own: dict[str, dict[HostName, str]] = field(default_factory=dict)
    origin: Origin | None = None

    def ways(
        self,
        transfer: Literal["auto", "push", "pull", "delta"] = "auto",
        asked: Mapping[str, Any] = NOTHING,
        **more: Any,
    ) -> dict[HostName, Way]:
        digest = self.old.manifest_sha256
        seen = {h: on("v1", h, releases={"v1": digest}) for h in (H1, H2)} | self.seen
        sending = Sending(package=self.new)
        choice = Choice(
            play=play((H1, H2), transfer=transfer, artifact=self.asked, **more),
            release=Release(id=ReleaseId("v2"), artifact=self.new.sha256, manifest=self.new.manifest_sha256),
            rollout="r1",
            outside=self.hosts,  # type: ignore[arg-type]
            records=Records(of={"v1": self.recorded}, own=self.own),  # type: ignore[arg-type]
            sending=sending,
            asks={h: replace(ask(h), **asked) for h in (H1, H2)},
            seen=seen,
            origin=lambda _: self.origin,
        )
        found = ways(choice)
        assert {w.artifact for w in found.values() if isinstance(w, Delta)} == set(sending.cuts)
        sending.close()
        return found


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr("rollout.perform.manifests.LONGEST", 2 * PIECE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    old, _ = package(tmp_path, "v1", FILES)
    new, asked = package(tmp_path, "v2", {**FILES, "n3": b"new"})
    assert new.size > SMALL
    return Case(new, asked, old, Hosts(old.manifest_text), old.manifest_sha256)


def test_one_host_is_asked_for_all_that_have_the_same(case: Case) -> None:
    found = case.ways()
    assert found[H1] == found[H2]
    assert isinstance(found[H1], Delta)
    assert (found[H1].base, found[H1].manifest) == ("v1", case.old.manifest_sha256)
    assert case.hosts.asked == [H1]


def test_files_are_shared_only_where_nothing_that_runs_can_write_them(case: Case) -> None:
    """Each host says as whom its units run; a process of our own, a command and a task are ours, and can."""
    case.seen = {H2: on("v1", H2, releases={"v1": case.old.manifest_sha256}, apart=True)}
    assert {h: (w.linked, w.why) for h, w in case.ways().items() if isinstance(w, Delta)} == {
        H1: (False, WRITABLE),
        H2: (True, ""),
    }
    assert all(w.linked for w in case.ways(asked={"service": NoService()}).values() if isinstance(w, Delta))
    for where, links in (("host", False), ("one_host", False), ("delegates", False), ("controller", True)):
        tasks = {"before_switch": (Task(argv=("true",), where=where),)}  # type: ignore[arg-type]
        found = case.ways(asked={"tasks": tasks})[H2]
        assert isinstance(found, Delta)
        assert (found.linked, found.why) == (links, "" if links else TASKS)
    for check, why in ((CommandCheck(argv=("true",)), COMMANDS), (TcpCheck(port=80), "")):
        found = case.ways(asked={"checks": (check,)})[H2]
        assert isinstance(found, Delta)
        assert (found.linked, found.why) == (not why, why)


def test_what_the_play_says_is_done(case: Case) -> None:
    assert case.ways("push") == {}
    assert case.hosts.asked == []


@pytest.mark.parametrize("transfer", ["auto", "delta"])
def test_what_is_signed_is_sent_whole(case: Case, transfer: Literal["auto", "delta"]) -> None:
    """A host with a helper holds what it is sent to the statement, which is about the artifact."""
    asked = SignatureAsk(file="v2.sig", allowed_signers="signers", identity="release@example.org")
    assert set(case.ways(transfer, signature=asked).values()) == {Push(why=SIGNED)}
    assert case.hosts.asked == []


LIES: Mapping[str, Reply] = {
    "another manifest": said("0644 x  ./n1\n"),
    "another text under its digest": Reply(status="done", fields={}, tail=said("x").tail),
    "no base64": Reply(status="done", tail=("***",)),
    "no gzip": Reply(status="done", tail=("aGVsbG8=",)),
    "too much": Reply(status="done", tail=tuple(base64.encodebytes(gzip.compress(bytes(9 * PIECE))).decode().split())),
    "a refusal": Reply(status="refused", code="E_TOOL"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_host_that_says_something_else_is_not_believed(case: Case, lie: str) -> None:
    told = LIES[lie]
    fields = {"manifest": case.old.manifest_sha256} if lie != "another manifest" else told.fields
    case.hosts.lies = {H1: Reply(status=told.status, code=told.code, fields=fields, tail=told.tail)}
    assert isinstance(case.ways()[H2], Delta), "the next one is asked"
    case.hosts.lies = {**case.hosts.lies, H2: case.hosts.lies[H1]}
    assert case.ways() == dict.fromkeys((H1, H2), Push(why=UNREAD.format(base="v1")))


def test_hosts_fetch_what_is_at_the_url_where_the_play_says_so(case: Case) -> None:
    assert case.ways("pull") == dict.fromkeys((H1, H2), Pull())
    asked = SignatureAsk(file="v2.sig", allowed_signers="signers", identity="release@example.org")
    assert case.ways("pull", signature=asked) == dict.fromkeys((H1, H2), Push(why=SIGNED))
    case.new = replace(case.new, source="0" * 64)
    assert case.ways("pull") == dict.fromkeys((H1, H2), Push(why=PACKED))
    assert case.hosts.asked == []


def test_only_what_is_on_record_is_compared_with(case: Case) -> None:
    case.recorded = "0" * 64
    assert case.ways() == dict.fromkeys((H1, H2), Push(why=NO_BASE))
    assert case.hosts.asked == []


def test_each_host_has_a_way_of_its_own(case: Case) -> None:
    case.seen = {H1: bare(H1), H2: on("v1", H2, releases={"v2": case.new.manifest_sha256})}
    assert case.ways() == {H1: Push(why=NO_BASE)}


def test_a_base_with_files_of_each_hosts_own_makes_one_delta_for_all(case: Case) -> None:
    """What is rendered is never sent: only the digest of the base differs."""
    text = manifest_with(case.old.manifest_text, [RenderedFile(path="env", content="of h1")])
    case.hosts.text = text
    own = {H1: digest(text), H2: "f" * 64}
    case.own = {"v1": own}
    case.seen = {h: on("v1", h, releases={"v1": own[h]}) for h in own}
    found = case.ways()
    assert {h: w.manifest for h, w in found.items() if isinstance(w, Delta)} == own
    assert len({w.artifact for w in found.values() if isinstance(w, Delta)}) == 1
    assert case.hosts.asked == [H1]


def test_half_of_it_is_too_much_unless_it_is_asked_for(case: Case, tmp_path: Path) -> None:
    other = {f"n{n}": random.Random(f"other {n}").randbytes(60_000) for n in range(12)}
    case.new, case.asked = package(tmp_path, "v2", {**FILES, **other})
    assert case.ways() == dict.fromkeys((H1, H2), Push(why=TOO_MUCH.format(base="v1")))
    assert isinstance(case.ways("delta")[H1], Delta)


def test_what_is_small_is_sent_unless_it_is_asked_for(case: Case, tmp_path: Path) -> None:
    case.new, case.asked = package(tmp_path, "v2", {"n1": FILES["n1"], "n2": FILES["n2"], "more": b"x"})
    assert case.ways() == {}
    assert isinstance(case.ways("delta")[H1], Delta)
