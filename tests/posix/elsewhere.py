"""A shell in a mount namespace with users, passwords and sudo rights of its own: nothing of this machine is changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.posix.shells import Shell

USER = 47_111  # who logs in
PASSWORD = "it's $(a) \\pass word"
ASKED = "operator ALL=(ALL) ALL\n"
UNASKED = "operator ALL=(ALL) NOPASSWD: ALL\n"
MODES = {"sudoers": 0o440, "shadow": 0o600}
NEEDS = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0,
    reason="takes root and a mount namespace",
)


@dataclass(frozen=True, slots=True)
class Elsewhere(Shell):
    """A shell of a user whom only its own namespace knows. ``files``: what lies over those of /etc."""

    files: Path = Path()
    at: str = "."

    def command(self) -> list[str]:
        return self.inside(*super(Elsewhere, self).command())

    def inside(self, *argv: str) -> list[str]:
        """Return what runs a command as that user."""
        binds = "".join(f"mount --bind {file} /etc/{file.name} && " for file in sorted(self.files.iterdir()))
        becomes = f"exec setpriv --reuid {USER} --regid {USER} --clear-groups"
        enter = f'{binds} cd {self.at} && {becomes} -- "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh", *argv]


def hashed() -> str:
    """Return PASSWORD as a shadow file holds it."""
    argv = ["openssl", "passwd", "-6", "-stdin"]
    return subprocess.run(argv, input=PASSWORD, capture_output=True, text=True, check=True).stdout.strip()


def etc(folder: Path, sudoers: str, more: Mapping[str, str]) -> Path:
    """Make files of /etc in a folder: this machine's own with ``more`` lines, and ``sudoers`` as visudo takes it."""
    files = folder / "etc"
    files.mkdir()
    told = {name: Path(f"/etc/{name}").read_text() + lines for name, lines in more.items()}
    for file, text in {**told, "sudoers": sudoers}.items():
        (files / file).write_text(text)
        (files / file).chmod(MODES.get(file, 0o644))
    checked = subprocess.run(["visudo", "-cf", files / "sudoers"], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    return files
