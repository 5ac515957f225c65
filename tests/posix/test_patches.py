"""Files that came as patches are the same as if they had come whole, in each of the shells; or nothing is there."""

from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from backports import zstd

from rollout.artifacts.delta import Basis, Cut, Cutting, changed, made
from rollout.artifacts.earlier import SMALLEST, earlier
from rollout.posix.op import Install, Observe, Reply
from rollout.testing.packing import packed, patched
from tests.engine.questions import SERVICE
from tests.posix.conftest import fresh, tooled, with_zstd
from tests.posix.shells import ShellHost, shell
from tests.posix.test_delta import Built, Files, build, install, linked, tree

NAMES = ("-f", 'bin/it\'s "$(id)" `id`', " lib/-o", "ä/-- ö")


def large(seed: int, size: int = SMALLEST + 1000) -> bytes:
    return random.Random(seed).randbytes(size)


def touched(data: bytes) -> bytes:
    return data[:5000] + b"another" + data[5001:-500]


OLD: Files = {name: large(seed) for seed, name in enumerate(NAMES)} | {"small": b"1", "same": b"same"}
NEW: Files = {**OLD, **{name: touched(large(seed)) for seed, name in enumerate(NAMES)}, "small": b"2"}


def between(old: Built, new: Built, folder: Path) -> Cut:
    """Return the delta with patches in it."""
    basis = Basis(release=old.release.id, digest=old.release.manifest, text=old.package.manifest_text)
    cache = folder / "cache"
    with closing(earlier(old.ask, old.release.strip, changed(new.package, basis), cache)) as files:
        cutting = Cutting(package=new.package, ask=new.ask, basis=basis, cache_dir=cache, most=1 << 40, earlier=files)
        cut, _ = made(cutting)
    assert cut is not None
    return cut


@pytest.mark.parametrize("form", [(True, ""), (False, "shop-1")], ids=["gzip, linked", "tar with a top, copied"])
def test_it_is_as_if_all_of_it_had_come(host: ShellHost, tmp_path: Path, form: tuple[bool, str]) -> None:
    zipped, top = form
    used = with_zstd(host, tmp_path)
    old, new = (build(tmp_path, n, f, zipped=zipped, top=top) for n, f in (("v1", OLD), ("v2", NEW)))
    cut = between(old, new, tmp_path)
    assert cut.delta.patches == len(NAMES)
    assert cut.delta.size < 0.01 * new.release.size
    (tmp_path / "other").mkdir()
    bare = ShellHost(shell("dash", tmp_path), tmp_path / "other")
    assert (install(used, old).status, install(bare, new).status) == ("done", "done")
    reply = install(used, new, linked(cut) if zipped else cut)
    assert (reply.status, reply.code) == ("done", ""), reply
    assert tree(used.root / "releases/v2") == tree(bare.root / "releases/v2")
    with tarfile.open(fileobj=io.BytesIO(used.payloads["v2"][: cut.delta.size])) as archive:
        names = {*(f".rollout/{n}" for n in (1, 2, 3, 4)), ".rollout/patches", "small"}
        assert set(archive.getnames()) == names


def swapped(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def written(file: Path) -> None:
    with file.open("r+b") as held:
        held.write(b"X")


def endless(file: Path) -> None:
    """Nothing but its size is there: it would fill all memory."""
    os.truncate(file, 1 << 37)


@pytest.fixture
def dash_zstd(dash: ShellHost, tmp_path: Path) -> ShellHost:
    return with_zstd(dash, tmp_path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (swapped, "no file any more"),
        (piped, "no file any more"),
        (Path.unlink, "no file any more"),
        (written, "zstd makes no"),
        (endless, "of memory"),
    ],
)
def test_an_old_file_that_is_not_as_it_was_is_refused_and_leaves_nothing(
    dash_zstd: ShellHost, tmp_path: Path, write: Callable[[Path], None], said: str
) -> None:
    name = NAMES[1]
    files = (("v1", {name: OLD[name]}), ("v2", {name: NEW[name]}))
    old, new = (build(tmp_path, version, of, zipped=False) for version, of in files)
    assert install(dash_zstd, old).status == "done"
    write(dash_zstd.root / "releases/v1" / name)
    refused(dash_zstd, install(dash_zstd, new, between(old, new, tmp_path)), said)
    assert install(dash_zstd, new).status == "done", "all of it can be sent then"


def refused(host: ShellHost, reply: Reply, said: str, code: str = "E_BASE") -> None:
    assert (reply.status, reply.code) == ("refused", code), reply
    assert said in reply.summary
    assert not (host.root / "releases/v2").exists()
    assert not list((host.root / ".rollout/incoming").glob("*"))


FILE = b"what v2 has there\n"
V1 = packed("v1", {"bin/x": b"what v1 has there\n", "a": b"a"})
V2 = packed("v2", {"bin/x": FILE, "a": b"a"})


def told(host: ShellHost, data: bytes, frame: bytes = b"") -> Reply:
    """Install v2 with a patch that makes such a file; or with a frame that somebody else made."""
    host.provide(V1)
    assert host.do(Install(release=V1.release)).status == "done"
    delta, payload = patched(V1, V2, "bin/x", data, frame)
    host.payloads["v2"] = payload
    return host.do(Install(release=V2.release, way=delta))


@pytest.mark.parametrize("data", [FILE[:-1], FILE + b"x", bytes(len(FILE))])
def test_a_patch_that_makes_something_else_is_refused_and_leaves_nothing(dash_zstd: ShellHost, data: bytes) -> None:
    refused(dash_zstd, told(dash_zstd, data), "is not what that was installed with")


def test_a_patch_writes_no_more_than_the_file_has(host: ShellHost, tmp_path: Path) -> None:
    """What comes behind the bytes that the file is to have is not written, however much it is."""
    used = with_zstd(host, tmp_path)
    frame = zstd.compress(FILE + bytes(100_000_000))
    assert len(frame) < 20_000
    assert told(used, FILE, frame).status == "done"
    assert (used.root / "releases/v2/bin/x").read_bytes() == FILE
    assert (used.root / "releases/v2/bin/x").stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="mount takes root")
def test_what_may_be_executed_comes_so_to_a_disk_from_which_nothing_may(host: ShellHost, tmp_path: Path) -> None:
    used = with_zstd(host, tmp_path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,mode=755", "tmpfs", used.root], check=True)
    try:
        assert told(used, FILE).status == "done"
        assert (used.root / "releases/v2/bin/x").stat().st_mode & 0o777 == 0o755
    finally:
        subprocess.run(["umount", "--lazy", used.root], check=True)


def test_what_is_no_patch_is_said(dash_zstd: ShellHost) -> None:
    refused(dash_zstd, told(dash_zstd, FILE, b"nothing of zstd"), "zstd makes no bin/x of the one in v1: ")


DF = "#!/bin/sh\nfull=0 free=99999999\n[ ! -e {said} ] || free=0\necho x; echo x 1 1 $free\n"
HEAD = '#!/bin/sh\n[ "$2" != {size} ] || {{ : >{said}; exit 1; }}\nexec /usr/bin/head "$@"\n'


def test_a_disk_that_becomes_full_meanwhile_is_said(dash: ShellHost, tmp_path: Path) -> None:
    tools = tmp_path / "full"
    tools.mkdir()
    for name, text in (("df", DF), ("head", HEAD)):
        (tools / name).write_text(text.format(said=tmp_path / "said", size=len(FILE)))
        (tools / name).chmod(0o755)
    refused(dash, told(tooled(dash, tools), FILE), "is full", "E_DISK")


def test_a_host_without_zstd_says_so(tmp_path: Path) -> None:
    with fresh("busybox", tmp_path) as host:
        assert host.do(Observe(service=SERVICE)).fields["patches"] == ""
        refused(host, told(host, FILE), "zstd is not there, and a delta takes it")


def test_one_that_is_too_old_says_so(dash: ShellHost, tmp_path: Path) -> None:
    """Before 1.4.5 there is no --patch-from."""
    tools = tmp_path / "old"
    tools.mkdir()
    (tools / "zstd").write_text('#!/bin/sh\n[ "$1" != -H ] || exec echo --long\necho "bad usage: $4" >&2\nexit 1\n')
    (tools / "zstd").chmod(0o755)
    assert dash.do(Observe(service=SERVICE)).fields["patches"] == "zstd"
    used = tooled(dash, tools)
    assert used.do(Observe(service=SERVICE)).fields["patches"] == ""
    refused(used, told(used, FILE), "zstd makes no bin/x of the one in v1: ")


@pytest.mark.long
def test_a_file_may_have_more_than_zstd_looks_back_unasked(dash_zstd: ShellHost, tmp_path: Path) -> None:
    data = large(9, 140 << 20)
    old = build(tmp_path, "v1", {"app": data[: 130 << 20]}, zipped=False)
    new = build(tmp_path, "v2", {"app": data}, zipped=False)
    cut = between(old, new, tmp_path)
    assert cut.delta.patches == 1
    assert (install(dash_zstd, old).status, install(dash_zstd, new, cut).status) == ("done", "done")
    assert (dash_zstd.root / "releases/v2/app").read_bytes() == data
