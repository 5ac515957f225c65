"""What follows an Op: all of an artifact, what differs, or nothing, and what is answered where it is not at hand."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.app.sending import Sending
from rollout.artifacts.delta import Basis, cut
from rollout.artifacts.package import Package, prepare
from rollout.model.play import ArtifactAsk
from rollout.model.release import Delta, Pull, Release, ReleaseId, Site
from rollout.posix import frame
from rollout.posix.op import Epoch, Install, Observe, Op, Reply
from rollout.posix.pull import SIZE, request
from tests.engine.questions import SERVICE


def op(deed: Install | Observe) -> Op:
    site = Site(root="/srv/shop", app="shop", environment="default")
    return Op(id="r1-1", epoch=Epoch(number=1, rollout="r1", sequence=1), site=site, do=deed)


@pytest.fixture
def package(tmp_path: Path) -> Package:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name in ("a", "b"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(name.encode()))
    (tmp_path / "app.tar.gz").write_bytes(gzip.compress(held.getvalue(), mtime=0))
    return prepare(ArtifactAsk(path=str(tmp_path / "app.tar.gz")), tmp_path / "cache")


@pytest.fixture
def deed(package: Package) -> Install:
    said = len(package.manifest_text)
    sizes = {"size": package.size, "manifest_size": said}
    return Install(release=Release(id=ReleaseId("v2"), artifact=package.sha256, manifest="0" * 64, **sizes))  # type: ignore[arg-type]


def test_what_follows_is_as_long_as_the_script_announces(package: Package, deed: Install, tmp_path: Path) -> None:
    old = "".join(line for line in package.manifest_text.splitlines(keepends=True) if not line.endswith("./b\n"))
    basis = Basis(release=ReleaseId("v1"), digest="1" * 64, text=old)
    made = cut(package, ArtifactAsk(path=package.path), basis, tmp_path / "cache", 1 << 20)
    assert made is not None
    sending = Sending(package=package, cuts={made.delta.artifact: made})
    for way in (deed.way, made.delta):
        said = op(replace(deed, way=way))
        found = sending.payload(said)
        assert isinstance(found, tuple)
        stream, size = found
        frame.render(said, "n" * 16, size)
        assert len(stream.read()) == size
    sending.close()
    assert made.file.closed


def test_a_delta_that_is_not_at_hand_is_answered_here(package: Package, deed: Install) -> None:
    """As after a takeover: whoever says the step goes on with all of it."""
    delta = Delta(base=ReleaseId("v1"), manifest="1" * 64, artifact="2" * 64, size=9)
    found = Sending(package=package).payload(op(replace(deed, way=delta)))
    assert isinstance(found, Reply)
    assert (found.status, found.code) == ("refused", "E_BASE")


URL = "https://example.org/app.tar.gz?token=dapper-otter"


def test_a_host_that_fetches_is_told_from_where(package: Package, deed: Install) -> None:
    ask = ArtifactAsk(url=URL, headers={"Authorization": "Bearer x"})
    said = op(replace(deed, way=Pull()))
    found = Sending(package=package, ask=ask).payload(said)
    assert isinstance(found, tuple)
    stream, size = found
    script = frame.render(said, "n" * 16, size)
    sent = stream.read()
    assert len(sent) == size
    assert sent == request(URL, ask.headers) + package.manifest_text.encode()
    assert b"dapper-otter" not in script


def test_one_that_cannot_be_told_is_answered_here(package: Package, deed: Install) -> None:
    """After a takeover nothing secret is known any more: all of it is sent. What cannot be told stays a refusal."""
    said = op(replace(deed, way=Pull()))
    found = Sending(package=package).payload(said)
    assert isinstance(found, Reply)
    assert (found.status, found.code) == ("refused", "E_BASE")
    long = ArtifactAsk(url=URL, headers={"A": "b" * SIZE})
    found = Sending(package=package, ask=long).payload(said)
    assert isinstance(found, Reply)
    assert (found.code, "transfer: push" in found.summary, "bbb" in found.summary) == ("E_FETCH", True, False)


def test_nothing_follows_what_needs_nothing(package: Package, deed: Install) -> None:
    sending = Sending(package=package)
    assert sending.payload(op(replace(deed, present=True))) is None
    assert sending.payload(op(Observe(service=SERVICE))) is None
    assert Sending().payload(op(deed)) is None
