"""``python -m tests.trust``: signed, unsigned, replayed and revoked releases, typed one after the other."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.trust.bench import Bench, Said, bench_in


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


def main() -> int:
    """Run it in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(XDG_CACHE_HOME=f"{folder}/cache", CI="")
        return 0 if story(bench_in(Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main())
