"""A folder with keys, a signed release, a playbook for this very machine, and a state: all of it real."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from rollout.cli import main

RELEASE = "release@example.org"
NAMESPACE = "rollout-release@v1"

PLAYBOOK = """\
- app: {app}
  hosts: web
  release:
    {named}
    artifact: {artifact}
    root: {root}
    {signature}
  service: none
  load_balancers: none
  allow_outage: true
  health: {{ checks: [{{ command: [test, -f, hello] }}], interval: 50ms, healthy_for: 0s, deadline: 20s }}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and everything that it said."""

    code: int
    text: str

    @property
    def codes(self) -> list[str]:
        """Return the codes of what was refused, in order."""
        words = [w.strip(":") for line in self.text.splitlines() for w in line.split()]
        return [w for w in words if w.startswith("E_")]


@dataclass(frozen=True, slots=True)
class Bench:
    """What is typed in a folder, and what lies there."""

    folder: Path

    def key(self, name: str) -> Path:
        """Return a private key, made on first use."""
        path = self.folder / name
        if not path.exists():
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
            subprocess.run(words, check=True)
        return path

    def public(self, name: str) -> str:
        """Return the public key in the form of a file of allowed signers."""
        return " ".join(self.key(name).with_suffix(".pub").read_text().split()[:2])

    def allow(self, *lines: str) -> Path:
        """Write the allowed signers; without lines it is the one key of the release."""
        path = self.folder / "allowed"
        path.write_text("".join(f"{line}\n" for line in lines or [f"{RELEASE} {self.public('key')}"]))
        return path

    def artifact(self, version: str) -> Path:
        """Make a small release."""
        path = self.folder / f"shop-{version}.tar"
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("hello")
            data = f"{version}\n".encode()
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        return path

    def sign(self, version: str, *more: str, app: str = "shop", key: str = "key") -> Path:
        """Make a release and sign it."""
        path = self.artifact(version)
        words = ["sign", str(path), "--app", app, "--id", version, "--key", str(self.key(key)), *more]
        said = self.type(*words)
        assert said.code == 0, said.text
        return path.with_name(path.name + ".rollout-sig")

    def play(self, version: str, signature: str | None = "", *, app: str = "shop", named: bool = True) -> Path:
        """Write the playbook of a release; ``signature`` are words beside the usual ones, None for no signature."""
        lines = "{{ file: shop-{0}.tar.rollout-sig, allowed_signers: allowed, identity: {1}{2} }}"
        signed = "" if signature is None else "signature: " + lines.format(version, RELEASE, signature)
        root = self.folder / "root"
        root.mkdir(mode=0o755, exist_ok=True)
        (self.folder / "hosts.ini").write_text("[web]\nweb1 ansible_connection=local\n")
        path = self.folder / "play.yml"
        id_ = f'id: "{version}"' if named else ""
        artifact = f"shop-{version}.tar"
        path.write_text(PLAYBOOK.format(app=app, named=id_, artifact=artifact, root=root, signature=signed))
        return path

    def roll(self, verb: str, *more: str) -> Said:
        """Type a command about the playbook."""
        place = ["-i", str(self.folder / "hosts.ini"), "--state", str(self.folder / "state.db")]
        return self.type(verb, str(self.folder / "play.yml"), *place, *more)

    def past(self, verb: str, *more: str) -> str:
        """Return what a command says of the newest rollout."""
        place = ["--state", str(self.folder / "state.db")]
        newest = json.loads(self.type("history", "--json", *place).text)[0]["id"]
        return self.type(verb, newest, *place, *more).text

    def type(self, *words: str) -> Said:
        """Run a command in this process."""
        heard = io.StringIO()
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
            code = main(list(words))
        return Said(code, heard.getvalue())

    @property
    def current(self) -> str:
        """Return what the link on the host names, "" where there is none."""
        link = self.folder / "root" / "current"
        return os.readlink(link).removeprefix("releases/") if link.is_symlink() else ""


def bench_in(folder: Path) -> Bench:
    """Return a bench with the usual signer."""
    bench = Bench(folder)
    bench.allow()
    return bench
