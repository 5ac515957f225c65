"""A large artifact is read once, in little memory, whatever it is packed in."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from backports import zstd

SIZE = 64 * 1024**2
MOST = SIZE // 2  # of memory, above what the interpreter takes
TIMES = 12  # as much CPU as hashing the file once: some three hashes, a decompression and a writing
READ = """
import hashlib, json, resource, sys
from pathlib import Path
from rollout.artifacts.package import prepare
from rollout.model.play import ArtifactAsk

def used():
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime, now.ru_maxrss * 1024

path, cache, name = sys.argv[1:]
began, before = used()
package = prepare(ArtifactAsk(path=path, as_name=name), Path(cache))
ended, after = used()
with open(path, "rb") as file:
    hashlib.file_digest(file, "sha256")
print(json.dumps([after - before, ended - began, used()[0] - ended, package.size]))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same 64 MiB in every packing."""
    folder = tmp_path_factory.mktemp("large")
    data = os.urandom(SIZE)
    (folder / "app").write_bytes(data)
    with tarfile.open(folder / "app.tar", "w") as tar:
        info = tarfile.TarInfo("app/data")
        info.size = SIZE
        tar.addfile(info, io.BytesIO(data))
    packed = (folder / "app.tar").read_bytes()
    (folder / "app.tar.gz").write_bytes(gzip.compress(packed, 0))
    (folder / "app.tar.zst").write_bytes(zstd.compress(packed, 1))
    with zipfile.ZipFile(folder / "app.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:
        archive.writestr("app/data", data)
    return folder


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["app.tar", "app.tar.gz", "app.tar.zst", "app.zip", "app"])
def test_memory_is_flat_and_it_is_read_once(name: str, large: Path, tmp_path: Path) -> None:
    said = [sys.executable, "-c", READ, str(large / name), str(tmp_path / "cache"), "bin/app" if name == "app" else ""]
    done = subprocess.run(said, capture_output=True, text=True, check=True)
    memory, taken, hashing, size = json.loads(done.stdout)
    assert size > SIZE
    assert memory < MOST
    assert taken < TIMES * hashing + 0.2
