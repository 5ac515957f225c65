"""What end-to-end tests type, and what they look at afterwards: the fleet itself, not what rollout says of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollout.balancers.haproxy import Haproxy
from rollout.lab.app import build_release
from rollout.lab.loopback import Fleet
from rollout.model.pool import Member, MemberState, Rotation
from tests.ready import typed

ROLLOUT = Path(sys.executable).with_name("rollout")
PATIENCE_S = 60.0

PLAYBOOK = """\
- name: Roll out shop
  app: shop
  hosts: {hosts}
  serial: {serial}
  {extra}
  connection:
    known_hosts: ["{{{{ known_hosts }}}}"]
    connect_timeout: {connect_timeout}
  release:
    id: "{{{{ version }}}}"
    artifact: dist/shop-{{{{ version }}}}.tar.gz
    root: "{{{{ app_root }}}}"
    shared:
      files:
        - {{ path: config/port, content: "{{{{ app_port }}}}\\n", mode: "0644" }}
  service: {service}
  load_balancers: {balancers}
  drain: {drain}
  health:
    checks:
      - http: {{ port: "{{{{ app_port }}}}", path: /healthz, json: {{ version: "{{{{ release.id }}}}" }} }}
    interval: 200ms
    healthy_for: {healthy_for}
    deadline: {deadline}
    watch_interval: 300ms
  on_failure: {on_failure}
"""

HAPROXY = """[{ haproxy: { via: local, socket: "{{ haproxy_socket }}", backend: shop } }]"""


@dataclass(slots=True)
class Lab:
    """A fleet, a folder with a playbook and releases, and a state."""

    fleet: Fleet
    folder: Path
    words: dict[str, Any] = field(default_factory=dict)
    reached_by: Path | None = None  # another inventory of the same hosts
    prefix: tuple[str, ...] = ()  # what the command is typed behind

    # -- what is written

    def playbook(self, **words: Any) -> Path:
        told = {
            "hosts": "web",
            "serial": "[1, '100%']",
            "extra": "min_in_service: 2",
            "service": "{ process: { command: [./bin/serve], stop_timeout: 3s } }",
            "balancers": HAPROXY,
            "drain": "{ deadline: 10s }",
            "connect_timeout": "10s",
            "healthy_for": "500ms",
            "deadline": "5s",
            "on_failure": "{ revert: fleet }",
            **self.words,
            **words,
        }
        path = self.folder / "shop.yml"
        path.write_text(PLAYBOOK.format(**told))
        return path

    def release(self, version: str, broken: Any = "", **more: Any) -> Path:
        return build_release(self.folder / "dist", version, broken, **more)

    @property
    def state(self) -> Path:
        return self.folder / "state" / "state.db"

    # -- what is typed

    def command(self, *words: str) -> list[str]:
        return [*self.prefix, str(ROLLOUT), *words]

    def type(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return typed(self.command(*words), env={**os.environ, "CI": "", **(env or {})}, timeout_s=180)

    def words_of(self, verb: str, version: str, *more: str) -> list[str]:
        return [
            verb,
            str(self.folder / "shop.yml"),
            "-i",
            str(self.reached_by or self.fleet.inventory),
            "-e",
            f"version={version}",
            "--state",
            str(self.state),
            *more,
        ]

    def apply(
        self, version: str, *more: str, broken: Any = "", play: dict[str, Any] | None = None, **release: Any
    ) -> subprocess.CompletedProcess[str]:
        self.release(version, broken, **release)
        self.playbook(**(play or {}))
        return self.type(*self.words_of("apply", version, *more))

    def plan(self, version: str, *more: str) -> subprocess.CompletedProcess[str]:
        return self.type(*self.words_of("plan", version, *more))

    def begin(self, version: str, *more: str, **play: Any) -> subprocess.Popen[str]:
        """Start an apply, to be interrupted."""
        self.playbook(**play)
        return subprocess.Popen(
            self.command(*self.words_of("apply", version, *more)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "CI": ""},
            start_new_session=True,
        )

    def read(self, verb: str, *more: str) -> Any:
        done = self.type(verb, *more, "--state", str(self.state), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def last(self) -> dict[str, Any]:
        """Return the newest rollout."""
        found: dict[str, Any] = self.read("history")[0]
        return found

    def events(self, rollout: str) -> list[dict[str, Any]]:
        done = self.type("events", rollout, "--state", str(self.state), "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    # -- what is so

    def current(self, host: str) -> str:
        root = self.fleet.host(host).root
        link = root / "current"
        text = os.readlink(link) if link.is_symlink() else ""
        return text.removeprefix(f"{root}/").removeprefix("releases/")  # other tools link by the whole path

    def serves(self, host: str) -> str:
        """Ask an application which release it is of; "" when it does not answer."""
        url = f"http://127.0.0.1:{self.fleet.host(host).app_port}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                said: dict[str, str] = json.load(answer)
                return said["version"]
        except (OSError, ValueError):
            return ""

    def member(self, host: str) -> MemberState:
        return self.balancer.read().members[Member(host)]

    @property
    def balancer(self) -> Haproxy:
        return Haproxy(backend="shop", socket=str(self.fleet.haproxy_socket))

    @property
    def hosts(self) -> list[str]:
        return [h.name for h in self.fleet.hosts]

    def truth(self) -> dict[str, tuple[str, str, bool]]:
        """Per host: what current names, what serves, and whether it is in rotation."""
        state = self.balancer.read()
        return {h: (self.current(h), self.serves(h), state.members[Member(h)].in_rotation) for h in self.hosts}

    def all_on(self, version: str) -> bool:
        return set(self.truth().values()) == {(version, version, True)}

    def wait(self, until: Callable[[], Any], what: str) -> Any:
        limit = time.monotonic() + PATIENCE_S
        while time.monotonic() < limit:
            if found := until():
                return found
            time.sleep(0.02)
        raise AssertionError(f"never came: {what}")

    def clean(self) -> None:
        """Bring the fleet back to nothing installed, every member ready."""
        self.fleet._ensure()
        for host in self.fleet.hosts:
            for pid in self.fleet.apps(host.name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for path in host.root.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.balancer.set({Member(h): Rotation.READY for h in self.hosts})
