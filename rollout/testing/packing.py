"""Small releases made in memory, for suites that need a payload which a real host accepts."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from rollout.model.release import Delta, Release, ReleaseId
from rollout.posix import manifest, patches

NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A release, and the payload that carries it: the artifact's bytes, then the manifest's text."""

    release: Release
    payload: bytes


def packed(
    name: str, files: Mapping[str, bytes], *, links: Mapping[str, str] = NONE, strip: str = "", zipped: bool = True
) -> Packed:
    """Pack files (those below ``bin/`` may be executed) and links into a release called ``name``."""
    said = manifest.text(_entries(files, links)).encode()
    data = _tar(files, links, f"{strip}/" if strip else "")
    data = gzip.compress(data, 1, mtime=0) if zipped else data
    release = Release(
        id=ReleaseId(name),
        artifact=hashlib.sha256(data).hexdigest(),
        manifest=hashlib.sha256(said).hexdigest(),
        size=len(data),
        manifest_size=len(said),
        unpacked=sum(map(len, files.values())),
        files=said.count(b"\n"),
        compression="gzip" if zipped else "",
        strip=strip,
    )
    return Packed(release=release, payload=data + said)


def differing(base: Packed, new: Packed, files: Mapping[str, bytes]) -> tuple[Delta, bytes]:
    """Return the delta of ``new`` against ``base``, and its payload: these files are what differs."""
    data = _tar(files, NONE, "")
    digest = hashlib.sha256(data).hexdigest()
    delta = Delta(base=base.release.id, manifest=base.release.manifest, artifact=digest, size=len(data))
    return delta, data + new.payload[new.release.size :]


def patched(base: Packed, new: Packed, path: str, data: bytes, frame: bytes = b"") -> tuple[Delta, bytes]:
    """Return the delta of ``new``, in which one file comes as a patch of the one that ``base`` has, and its payload.

    ``frame``: the patch, where it is not to hold the file as it is.
    """
    members = {f"{patches.FOLDER}/1": frame or stored(data), patches.LIST: patches.listed(len(data), path).encode()}
    tar = _tar(members, NONE, "", {f"{patches.FOLDER}/1"} if _runs(path) else ())
    delta = Delta(
        base=base.release.id,
        manifest=base.release.manifest,
        artifact=hashlib.sha256(tar).hexdigest(),
        size=len(tar),
        patches=1,
    )
    return delta, tar + new.payload[new.release.size :]


def stored(data: bytes) -> bytes:
    """Return a frame of zstd that holds data as it is: what makes it of any other file."""
    if len(data) > 128 * 1024:
        raise ValueError("a block of zstd holds 128 KiB")
    block = len(data) << 3 | 1  # the last one, raw
    return b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little") + block.to_bytes(3, "little") + data


def _runs(path: str) -> bool:
    return path.startswith("bin/")


def _entries(files: Mapping[str, bytes], links: Mapping[str, str]) -> Iterable[manifest.Entry]:
    for path, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        yield manifest.Entry(path=path, kind="f", mode="0755" if _runs(path) else "0644", sha256=sha256)
    for path, target in links.items():
        yield manifest.Entry(path=path, kind="l", target=target)
    for folder in {str(p) for path in (*files, *links) for p in PurePosixPath(path).parents} - {"."}:
        yield manifest.Entry(path=folder, kind="d")


def _tar(files: Mapping[str, bytes], links: Mapping[str, str], prefix: str, run: Collection[str] = ()) -> bytes:
    """Modes are the narrowest that an archive may have: the host must widen them as the manifest says.

    ``run``: files that may be executed, beside those below ``bin/``.
    """
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(prefix + path)
            member.size, member.mode = len(data), 0o700 if _runs(path) or path in run else 0o600
            archive.addfile(member, io.BytesIO(data))
        for path, target in links.items():
            member = tarfile.TarInfo(prefix + path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return held.getvalue()
