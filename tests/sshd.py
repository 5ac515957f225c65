"""A real sshd on a loopback port, with keys and configuration of its own in a folder of the test."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from rollout.model.host import Connection
from tests.ports import free_port

SSHD = "/usr/sbin/sshd"
CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {host_key}
AuthorizedKeysFile {authorized}
PidFile none
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME={home}
LogLevel VERBOSE
"""


TRIES = 5  # ports that are tried


def keygen(path: Path, kind: str = "ed25519", *options: str) -> Path:
    """Make a key pair without a passphrase (unless ``options`` say ``-N``)."""
    secret = () if "-N" in options else ("-N", "")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-f", str(path), "-C", "test", *secret, *options], check=True)
    return path


@dataclass
class Sshd:
    """One server. ``extra`` lines of sshd_config go in front: in that file the first value counts."""

    folder: Path
    extra: tuple[str, ...] = ()
    host_key_type: str = "ed25519"
    before: tuple[str, ...] = ()  # words that its command is run behind
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        """Make the keys, write the configuration, start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        if not self.client_key.exists():
            keygen(self.client_key)
        if not self.host_key.exists():
            keygen(self.host_key, self.host_key_type)
        self.authorized.write_bytes(self.client_key.with_suffix(".pub").read_bytes())
        for _ in range(TRIES - 1):
            self.trust()
            try:
                return self.start()
            except RuntimeError:  # somebody took the port between its choice and the bind
                self.port = free_port()
        self.trust()
        self.start()

    @property
    def home(self) -> Path:
        return self.folder / "home"  # not the account's: its shell start-up files are not part of the test

    @property
    def client_key(self) -> Path:
        return self.folder / "client"

    @property
    def host_key(self) -> Path:
        return self.folder / f"host_{self.host_key_type}"

    @property
    def authorized(self) -> Path:
        return self.folder / "authorized_keys"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def line(self, key: Path | None = None) -> str:
        """Return the known_hosts line of this server."""
        kind, blob = (key or self.host_key).with_suffix(".pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {blob}\n"

    def trust(self) -> None:
        """Record the host key."""
        self.known_hosts.write_text(self.line())

    def connection(self, **changes: object) -> Connection:
        """Return how to reach it."""
        said: dict[str, object] = {
            "address": "127.0.0.1",
            "port": self.port,
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "key_files": (str(self.client_key),),
            "known_hosts": (str(self.known_hosts),),
        }
        return Connection(**{**said, **changes})  # type: ignore[arg-type]

    def start(self) -> None:
        """Start it and wait until it listens."""
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd refuses to start without it
        config = self.folder / "sshd_config"
        said = CONFIG.format(port=self.port, host_key=self.host_key, authorized=self.authorized, home=self.home)
        config.write_text("".join(f"{one}\n" for one in self.extra) + said)
        log = self.folder / "log"
        said_before = log.stat().st_size if log.exists() else 0
        self.process = subprocess.Popen(
            [*self.before, SSHD, "-D", "-f", str(config), "-E", str(self.folder / "log")], start_new_session=True
        )
        _wait_for(log, said_before, self.process)

    def restart(self, *extra: str) -> None:
        """Stop it, and start it with other lines."""
        self.stop()
        self.extra = extra or self.extra
        self.start()

    def freeze(self) -> None:
        """Stop every process of it: the kernel still answers, nothing else does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def cut(self) -> None:
        """Kill the processes that serve connections; the listener stays."""
        for pid in self._family()[1:]:
            _kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it and its connections."""
        if self.process is None:
            return
        self._signal(signal.SIGKILL)
        self.process.wait(10)
        self.process = None

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._family():
            _kill(pid, number)

    def _family(self) -> list[int]:
        """Return the listener and its sshd children (not what they run: those are in sessions of their own)."""
        if self.process is None:
            return []
        found = [self.process.pid]
        for pid in found:
            found += [child for child in _children(pid) if _comm(child) == "sshd"]
        return found


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_for(log: Path, said_before: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until this very sshd says that it listens: whoever answers on the port may be another."""
    for _ in range(500):
        if process.poll() is not None:
            raise RuntimeError(f"sshd ended with {process.returncode}")
        if log.exists() and b"Server listening on" in log.read_bytes()[said_before:]:
            return
        time.sleep(0.02)
    raise RuntimeError("sshd does not listen")
