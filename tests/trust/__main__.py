"""``python -m tests.trust``: signed, unsigned, replayed and revoked releases, and a stolen key that gets nowhere."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

from rollout.model.release import Release, ReleaseId, Site
from rollout.model.task import Task
from rollout.posix.frame import CONSTANT, render
from rollout.posix.op import Epoch, Install, Op, RunTask
from tests.sshd import Sshd
from tests.trust.bench import Bench, Said, bench_in
from tests.trust.gate import Gate
from tests.trust.test_gate import SHARED


def typed(bench: Bench, title: str, words: tuple[str, ...], expected: int) -> bool:
    """Type a command about the playbook, and print what it was answered."""
    said = bench.roll(*words)
    print(f"\n== {title}\n$ rollout {words[0]} play.yml {' '.join(words[1:])}".rstrip())
    print("\n".join(f"  {line}" for line in told(bench, said)))
    print(f"  exit {said.code}{'' if said.code == expected else f', AND NOT {expected}'}; web1 is on {bench.current}")
    return said.code == expected


def told(bench: Bench, said: Said) -> list[str]:
    """Return the lines that are about signatures, and how it ended."""
    lines = said.text.replace(f"{bench.folder}/", "").splitlines()
    kept = [
        line.strip() for line in lines if re.search(r"E_[A-Z]|signed  |let pass|REVERTED|SUCCEEDED|rolled out", line)
    ]
    return [line for line in kept if not line.startswith("{")]


def story(bench: Bench) -> bool:
    """Tell it; return whether everything ended as it must."""
    bench.sign("v1")
    time.sleep(1.1)
    bench.sign("v2")
    bench.artifact("v3")
    good = []
    for version in ("v1", "v2"):
        bench.play(version)
        good.append(typed(bench, f"{version}, signed", ("apply", "-y"), 0))
    bench.play("v3", None)
    good.append(typed(bench, "v3, not signed", ("apply", "-y"), 6))
    bench.play("v1")
    good.append(typed(bench, "v1 again: an old signature, sent again", ("apply", "-y"), 6))
    good.append(typed(bench, "back to v1 by its record: nobody is asked", ("rollback", "-y"), 0))
    bench.play("v2", ", revoked: revoked")
    (bench.folder / "revoked").write_text(bench.public("key") + "\n")
    good.append(typed(bench, "v2, and its key was revoked since", ("apply", "-y"), 2))
    (bench.folder / "revoked").write_text("")
    with (bench.folder / "shop-v2.tar").open("ab") as file:
        file.write(b"\0" * 512)
    good.append(typed(bench, "v2, and 512 bytes more", ("apply", "-y"), 2))
    return all(good)


def stolen(gate: Gate) -> bool:
    """Try a key that was stolen from a pipeline, on a host with the helper."""
    gate.bench.sign("v1")
    gate.bench.artifact("v2")
    gate.play("v1")
    gate.install()
    code, _ = gate.apply()
    print(f"\n== a host that verifies by itself: v1, signed\n  exit {code}; web1 is on {gate.bench.current}")
    good = [code == 0]
    for title, words in (("a shell", ()), ("a command", ("id",)), ("ours, and more", (CONSTANT + "; id",))):
        done = gate.ssh(*words, fed=b"id\n")
        good.append(done.returncode == 77 and not done.stdout)
        print(f"\n== the stolen key: {title}\n  {done.stderr.decode().strip()}\n  exit {done.returncode}")
    forward = gate.ssh(options=("-W", f"127.0.0.1:{gate.sshd.port}"))
    good.append(not forward.stdout)
    print(f"\n== the stolen key: a forward\n  {forward.stderr.decode().strip().splitlines()[0]}")
    site = Site(root=str(gate.bench.folder / "root"), app="shop", environment="default")
    epoch = Epoch(number=10**9, rollout="thief", sequence=1, over=("*",))
    release = Release(id=ReleaseId("v2"), artifact="0" * 64, manifest="0" * 64)
    deeds = {
        "a release that nobody signed": Install(release=release, shared=SHARED),
        "a task": RunTask(task=Task(argv=("id",)), release=ReleaseId("v1")),
    }
    for title, deed in deeds.items():
        step = render(Op(id="x", epoch=epoch, site=site, do=deed, timeout_s=20), "0" * 32)
        done = gate.ssh(CONSTANT, fed=step)
        said = (done.stdout + done.stderr).decode().replace("0" * 32 + " ", "").strip()
        good.append(b" end done" not in done.stdout)
        print(f"\n== the stolen key: {title}\n  " + "\n  ".join(said.splitlines()))
    return all(good)


def main() -> int:
    """Run it in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(XDG_CACHE_HOME=f"{folder}/cache", CI="")
        good = story(bench_in(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(XDG_CACHE_HOME=f"{folder}/cache")
        gate = Gate(bench_in(Path(folder)), Sshd(Path(folder) / "sshd"))
        try:
            return 0 if stolen(gate) and good else 1
        finally:
            gate.stop()


if __name__ == "__main__":
    sys.exit(main())
