"""A release that comes as what differs from the one before, on real hosts: the same as any other, or all is sent."""

from __future__ import annotations

import io
import os
import random
import tarfile
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

MANY, SIZE = 40, 50_000
LARGE = 20_000_000


def fill(lab: Lab, version: str, seed: int) -> None:
    """Add files that no archive makes smaller, one of them another for each seed, and all with names that hurt."""
    lab.release(version)
    path = lab.folder / "dist" / f"shop-{version}.tar.gz"
    with tarfile.open(path) as old:
        held = [(m, old.extractfile(m).read() if m.isfile() else b"") for m in old.getmembers()]  # type: ignore[union-attr]
    top = held[0][0].name.partition("/")[0]
    with tarfile.open(path, "w:gz", compresslevel=1) as new:
        for member, data in held:
            new.addfile(member, io.BytesIO(data))
        for number in range(MANY):
            data = random.Random(number or seed).randbytes(SIZE)
            member = tarfile.TarInfo(f"{top}/assets/it's {number} $x/-f.bin")
            member.size, member.mode = len(data), 0o755 if number % 2 else 0o644
            new.addfile(member, io.BytesIO(data))


def enlarge(lab: Lab, version: str) -> None:
    """Add one large file; of each version a single byte is its own."""
    lab.release(version)
    path = lab.folder / "dist" / f"shop-{version}.tar.gz"
    with tarfile.open(path) as old:
        held = [(m, old.extractfile(m).read() if m.isfile() else b"") for m in old.getmembers()]  # type: ignore[union-attr]
    top = held[0][0].name.partition("/")[0]
    data = bytearray(random.Random(1).randbytes(LARGE))
    data[LARGE // 2 : LARGE // 2 + len(version)] = version.encode()
    with tarfile.open(path, "w:gz", compresslevel=1) as new:
        for member, content in held:
            new.addfile(member, io.BytesIO(content))
        member = tarfile.TarInfo(f"{top}/lib/it's -large $(id)")
        member.size, member.mode = LARGE, 0o755
        new.addfile(member, io.BytesIO(data))


def delta(lab: Lab, version: str, *more: str) -> str:
    done = lab.type(*lab.words_of("apply", version, *more))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def staged(lab: Lab) -> dict[str, str]:
    """Return the way by which each host was staged, as the journal has it."""
    events = lab.events(lab.last()["id"])
    started = [e["event"] for e in events if e["event"]["kind"] == "step_started"]
    return {e["host"]: e["action"]["way"]["kind"] for e in started if e["action"]["kind"] == "stage"}


def staging_s(lab: Lab) -> float:
    """Return how long it took from the first upload that began to the last that ended."""
    records = lab.events(lab.last()["id"])
    staged = {r["event"]["op"]: r["at"] for r in records if r["event"].get("action", {}).get("kind") == "stage"}
    ended = [r["at"] for r in records if r["event"]["kind"] == "step_finished" and r["event"]["op"] in staged]
    first, last = datetime.fromisoformat(min(staged.values())), datetime.fromisoformat(max(ended))
    return (last - first).total_seconds()


def same(lab: Lab, version: str) -> None:
    done = lab.type("verify", str(lab.folder / "shop.yml"), "-i", str(lab.fleet.inventory), "--state", str(lab.state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.all_on(version)


def test_what_differs_is_what_is_sent(lab: Lab) -> None:
    for number, version in enumerate(("v1", "v2", "v3"), start=1):
        fill(lab, version, seed=-number)
    lab.playbook(extra="min_in_service: 2\n  limits: { upload_rate: 4MB }")
    first = delta(lab, "v1")
    assert staging_s(lab) > 0.8 * 4 * MANY * SIZE / 4e6, "four hosts, at the rate of all of them together"
    lab.playbook()
    assert "all of it to" in first
    assert "no release that it could be compared with" in first
    said = delta(lab, "v2")
    assert "what differs from v1 to lab1, lab2, lab3, lab4, 5" in said, said
    assert set(staged(lab).values()) == {"delta"}
    # One host's base is not what it was: that host is sent all of it, and nobody has to be told to.
    spoilt = lab.fleet.host("lab2").root / "releases/v2/assets/it's 3 $x/-f.bin"
    os.chmod(spoilt, 0o644)
    spoilt.write_bytes(b"another")
    said = delta(lab, "v3")
    assert "lab2" in next(line for line in said.splitlines() if "all of it is sent" in line), said
    same(lab, "v3")


def test_of_a_large_file_a_patch_is_sent(lab: Lab) -> None:
    for version in ("v1", "v2"):
        enlarge(lab, version)
    lab.playbook()
    delta(lab, "v1")
    said = delta(lab, "v2")
    sent = next(line for line in said.splitlines() if "transfer" in line)
    assert "what differs from v1 (1 file patched) to lab1, lab2, lab3, lab4, " in sent, said
    ways = [play["hosts"][h]["steps"][0]["do"]["way"] for play in planned(lab) for h in play["hosts"]]
    assert {way["patches"] for way in ways} == {1}
    assert max(way["size"] for way in ways) < 0.01 * LARGE
    assert "all of it is sent" not in said
    same(lab, "v2")
    back = lab.type(*lab.words_of("rollback", "v1"))
    assert back.returncode == 0, back.stdout + back.stderr
    same(lab, "v1")


def planned(lab: Lab) -> list[dict[str, Any]]:
    """Return the plays of the last rollout, as its journal has them."""
    plays: list[dict[str, Any]] = lab.events(lab.last()["id"])[0]["event"]["plan"]["plays"]
    return plays
