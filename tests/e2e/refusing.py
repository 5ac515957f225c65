"""A disk of the state that refuses to write or to sync, for one rollout and as long as the test says so."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.lab import Lab

SOURCE = Path(__file__).with_name("refusing.c")
FOREVER = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Disk:
    """What it is told. ``told``: the file that says which calls fail from now on."""

    told: Path

    def refuse(self, call: str, error: str, times: int = FOREVER, after: int = 0) -> None:
        """Let calls (``write`` or ``sync``) fail with an error, so often, ``after`` so many that do not."""
        new = self.told.with_suffix(".new")
        new.write_text(f"{call} {getattr(errno, error)} {after} {times}\n")
        new.replace(self.told)

    def obey(self) -> None:
        """Work again."""
        self.told.unlink()


@contextmanager
def refusing(lab: Lab) -> Iterator[Disk]:
    """Have what is begun in a lab meanwhile write its state to such a disk."""
    library = lab.folder / "refusing.so"
    argv = ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(argv, check=True)
    disk = Disk(lab.folder / "told")
    kept = lab.prefix
    said = {"LD_PRELOAD": library, "REFUSING_BELOW": f"{lab.state.parent}", "REFUSING_TOLD": disk.told}
    lab.prefix = ("env", *(f"{name}={value}" for name, value in said.items()))
    try:
        yield disk
    finally:
        lab.prefix = kept
