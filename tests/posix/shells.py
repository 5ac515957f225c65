"""Real shells on this machine, spoken to by the one constant command, each with the tools that its system has."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollout.model.release import Site
from rollout.posix import frame
from rollout.posix.op import Deed, Epoch, Install, Op, Reply
from rollout.testing.packing import Packed

NAMES = ("dash", "bash", "busybox")
NONCE = "n0nce" * 6


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell and the environment that its sessions start with."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    user: int | None = None

    def command(self) -> list[str]:
        """Return the constant command, as this shell being both the login shell and /bin/sh."""
        return [*self.argv, "-c", frame.CONSTANT.replace("/bin/sh", self.argv[0], 1)]

    def send(self, data: bytes, timeout_s: float = 60) -> bytes:
        """Say ``data``; return what was printed."""
        return subprocess.run(
            self.command(),
            input=data,
            stdout=subprocess.PIPE,
            env=dict(self.env),
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            timeout=timeout_s,
            check=False,
        ).stdout


def shell(name: str, scratch: Path) -> Shell:
    """Return a shell by name; ``busybox`` finds nothing but its applets on its PATH."""
    if name != "busybox":
        return Shell(name, (f"/bin/{name}",), {"PATH": "/usr/bin:/bin", "HOME": "/"})
    applets = scratch / "applets"
    if not applets.exists():
        applets.mkdir()
        listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in listed:
            (applets / applet).symlink_to("/bin/busybox")
    return Shell(name, (str(applets / "sh"),), {"PATH": str(applets), "HOME": "/"})


@dataclass(slots=True)
class ShellHost:
    """A root on this machine, worked on through a real shell."""

    shell: Shell
    root: Path
    sent: int = 0
    payloads: dict[str, bytes] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        """Where the app lies."""
        return Site(root=str(self.root), app="shop", environment="default")

    def op(
        self, deed: Deed, *, number: int = 1, rollout: str = "r1", sequence: int | None = None, **more: object
    ) -> Op:
        """Make an Op of the next sequence."""
        self.sent += 1
        at = self.sent if sequence is None else sequence
        epoch = Epoch(number=number, rollout=rollout, sequence=at)
        return Op(id=f"{rollout}-{at}", epoch=epoch, site=self.site, do=deed, **more)  # type: ignore[arg-type]

    def bytes_of(self, op: Op) -> bytes:
        """Return what is sent for an Op, payload included."""
        payload = b""
        if isinstance(op.do, Install) and not op.do.present:
            payload = self.payloads.get(op.do.release.id, b"")
        return frame.render(op, NONCE) + payload

    def execute(self, op: Op) -> Reply:
        """Say an Op and return the reply; there must be one."""
        printed = self.shell.send(self.bytes_of(op))
        reply = frame.parse(NONCE, printed)
        assert reply is not None, printed
        return reply

    def do(self, deed: Deed, **more: object) -> Reply:
        """Say a deed as the next Op."""
        return self.execute(self.op(deed, **more))  # type: ignore[arg-type]

    def provide(self, built: Packed) -> None:
        """Have the payload of a release at hand."""
        self.payloads[built.release.id] = built.payload

    def current(self) -> str:
        """Return what current names, "" for nothing."""
        link = self.root / "current"
        return os.readlink(link).removeprefix("releases/") if link.is_symlink() else ""
