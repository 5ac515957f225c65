"""One loopback host: a folder of its own, an sshd of its own, a root for the app."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rollout.errors import Reason, Refused
from rollout.lab.needs import program
from rollout.lab.processes import Proc, begin, kept_or_ended, wait_until

MARK = "ROLLOUT_LAB"  # in the environment of all that runs on a lab's hosts

CONFIG = """\
# One host of a lab, on loopback. An ordinary user's sshd serves that user only, which is enough.
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {authorized}
PidFile none
UsePAM no
UseDNS no
# The lab's folder may lie below one that others can write, such as /tmp.
StrictModes no
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
AllowAgentForwarding no
X11Forwarding no
PrintMotd no
Subsystem sftp internal-sftp
# A home of its own for each host; and the mark by which `rollout lab down` knows what to end.
SetEnv {mark} HOME={folder}/home
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """One host of a lab. Its paths are absolute, its ports are of 127.0.0.1."""

    name: str
    folder: Path
    ssh_port: int
    app_port: int
    zone: str = ""

    @property
    def root(self) -> Path:
        """The app's root on this host."""
        return self.folder / "srv" / "shop"

    @property
    def log(self) -> Path:
        """What its sshd says."""
        return self.folder / "sshd.log"

    @property
    def host_key(self) -> Path:
        """Its private host key; the public one is beside it."""
        return self.folder / "host_key"

    @property
    def known_hosts_line(self) -> str:
        """The line by which a client knows it."""
        kind, key = (self.folder / "host_key.pub").read_text(encoding="ascii").split()[:2]
        return f"[127.0.0.1]:{self.ssh_port} {kind} {key}"

    def write(self, authorized: Path, mark: str) -> None:
        """Make its folder, its key and its configuration, where they are not there already."""
        for folder in (self.folder / "home", self.root):
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        make_key(self.host_key, self.name)
        text = CONFIG.format(
            port=self.ssh_port, folder=self.folder, authorized=authorized, mark=f"{MARK}={mark}/{self.name}"
        )
        (self.folder / "sshd_config").write_text(text, encoding="utf-8")

    def start(self) -> Proc:
        """Start its sshd and return when it listens."""
        before = self.log.stat().st_size if self.log.exists() else 0
        # LANG and PATH as a host would have them: what surrounds the operator stays here.
        env = {"PATH": os.defpath, "LANG": "C.UTF-8"}
        proc = begin([program("sshd"), "-D", "-e", "-f", str(self.folder / "sshd_config")], self.log, env)
        with kept_or_ended(proc):
            wait_until(f"sshd of {self.name} listens; see {self.log}", lambda: self._listens(proc, before))
        return proc

    def _listens(self, proc: Proc, before: int) -> bool:
        """Read its log; a connection that says nothing would count against us with a newer sshd."""
        with self.log.open("rb") as log:
            log.seek(before)
            said = log.read().decode("utf-8", "replace")
        if not proc.alive:
            last = (said.strip().splitlines() or ["nothing"])[-1][:200]
            raise Refused(Reason(code="E_LAB_SSHD", what=f"sshd of {self.name} ended; it said: {last}"))
        return f"Server listening on 127.0.0.1 port {self.ssh_port}" in said


def make_key(path: Path, comment: str) -> None:
    """Make an ed25519 key pair without a passphrase, where there is none."""
    if path.exists():
        return
    argv = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 (our own argv)


def user_name() -> str:
    """Return the one user that can log in to a lab's hosts: the current one."""
    return pwd.getpwuid(os.getuid()).pw_name
