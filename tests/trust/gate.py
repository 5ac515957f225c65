"""A host whose key may do rollouts and nothing else: a real sshd with a forced command, and the helper behind it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.sshd import Sshd
from tests.trust.bench import RELEASE, Bench

INVENTORY = """\
[web]
web1 ansible_host=127.0.0.1 ansible_port={port} ansible_user=root ansible_ssh_private_key_file={key}
"""


SERVICE = """\
    shared: { dirs: [log], files: [{ path: config/motto, content: "it's $HOME\\n`id`\\n" }] }
  service: { process: { command: [sh, -c, "exec sleep 300"] } }
"""


@dataclass(frozen=True, slots=True)
class Gate:
    """A bench whose one host is reached over SSH, by a key that runs the helper."""

    bench: Bench
    sshd: Sshd

    @property
    def host(self) -> Path:
        """Return the folder of what is the host's own."""
        return self.bench.folder / "of-the-host"

    def install(self, allowed: str = "") -> None:
        """Install the helper as the admin of the host does it: made from the play, named by command=."""
        self.host.mkdir(exist_ok=True)
        (self.host / "allowed_signers").write_text(f"{RELEASE} {self.bench.public('key')}\n")
        (self.host / "revoked").touch()
        more = ("--allowed-signers", str(self.host / "allowed_signers"), "--revoked", str(self.host / "revoked"))
        said = self.bench.type("host-helper", str(self.bench.folder / "play.yml"), "-i", self.inventory, *more)
        assert said.code == 0, said.text
        step = self.host / "rollout-step"
        step.write_text(said.text)
        step.chmod(0o755)
        public = self.sshd.client_key.with_suffix(".pub").read_text()
        self.sshd.authorized.write_text(f'restrict{allowed},command="{step}" {public}')

    @property
    def inventory(self) -> str:
        """Return the inventory, written anew: the bench writes one of its own."""
        path = self.bench.folder / "ssh.ini"
        path.write_text(INVENTORY.format(port=self.sshd.port, key=self.sshd.client_key))
        return str(path)

    def play(self, version: str, signature: str | None = "") -> None:
        """Write the playbook, with the host's key and a check of a command."""
        path = self.bench.play(version, signature)
        known = f"  connection: {{ known_hosts: [{self.sshd.known_hosts}] }}\n"
        text = path.read_text().replace("  hosts: web\n", f"  hosts: web\n{known}", 1)
        path.write_text(text.replace("  service: none\n", SERVICE, 1))

    def apply(self, *more: str) -> tuple[int, str]:
        """Roll the playbook's release out; return the code and all that was said."""
        state = ("--state", str(self.bench.folder / "state.db"))
        words = ("apply", str(self.bench.folder / "play.yml"), "-i", self.inventory, *state, "-y", *more)
        said = self.bench.type(*words)
        return said.code, said.text

    def stop(self) -> None:
        """End the service and the server."""
        with contextlib.suppress(OSError, ValueError):
            os.killpg(int((self.bench.folder / "root/.rollout/pid").read_text().split()[0]), signal.SIGKILL)
        self.sshd.stop()

    def ssh(self, *words: str, options: tuple[str, ...] = (), fed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run OpenSSH's client with the key."""
        return subprocess.run(
            ["ssh", *self.options("-p"), *options, "root@127.0.0.1", *words],
            input=fed,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def options(self, port: str) -> list[str]:
        """Return what OpenSSH's clients need to log in with the key and nothing else."""
        known = f"UserKnownHostsFile={shlex.quote(str(self.sshd.known_hosts))}"
        fixed = ["-F", "none", "-i", str(self.sshd.client_key), "-o", known, "-o", "IdentitiesOnly=yes"]
        return [*fixed, "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", port, str(self.sshd.port)]
