"""The canary run: secrets of every kind go over real hosts, and are then looked for everywhere else.

Each place is proven to be looked at by a control: a text that is no secret, and has to be found there.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.lab import Lab
from tests.secrets.watch import Needles, Watch, bytes_below

BOTH = "{{ secret('env:CANARY_ENV') }}:{{ secret('cmd:./canary-of-a-command') }}"
FILE = "{{ secret('file:canary-in-a-file') }}"
TOLD = """
  hooks:
    before_switch:
      - name: 'quiet CONTROL'
        run: [sh, -c, 'sleep 0.4', CONTROL]
        env: { TOKEN: "BOTH", SAID: CONTROL }
        stdin: "FILE"
      - { name: as another user, run: [sleep, '0.4'], user: root, env: { TOKEN: "BOTH" }, stdin: "FILE" }
    after_register:
      - { name: here, run: [sleep, '0.3'], where: controller, env: { TOKEN: "BOTH" }, stdin: "FILE" }
"""
LOUD = """
    after_service:
      - name: 'loud CONTROL'
        shell: >-
          echo CONTROL $TOKEN; cat; echo; printf %s "$TOKEN" | base64 -w0; echo; printf %s "$TOKEN" | od -An -tx1 -w200;
          echo "$TOKEN" >&2; exit 4
        env: { TOKEN: "BOTH" }
        stdin: "FILE"
    on_failure:
      - { shell: 'echo CONTROL "$TOKEN"; cat', where: controller, env: { TOKEN: "BOTH" }, stdin: "FILE" }
"""
FILES = """    shared:
      files:
        - { path: config/control, content: "CONTROL" }
        - { path: config/url, content: "postgres://app:BOTH@db/x" }
        - { path: config/key, content: "FILE\\n", mode: "0600" }
"""
# Our own code fails with a value in its hands, once it has read all of them.
CRASH = """
import sys
from rollout.app import apply
from rollout.cli import main
from rollout.errors import RolloutError
from rollout.secrets.keyring import keyring
def fails(run, *facts):
    held = list(keyring().values.values())
    try:
        raise KeyError(held[0])
    except KeyError as error:
        raise RolloutError('CONTROL ' + ' '.join(held)) from error
apply.perform = fails
sys.exit(main(sys.argv[1:]))
"""
PATIENCE_S = 600  # a machine may be busy
DECLARED = {("environ", "TOKEN -"), ("environ", "CANARY_ENV rollout")}  # where a value is because somebody put it there


@dataclass(slots=True)
class Run:
    """One run. ``sinks``: everything that was shown or kept, by name."""

    lab: Lab
    width: int = 2  # hosts
    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    sinks: dict[str, bytes] = field(default_factory=dict)

    @property
    def needles(self) -> Needles:
        kinds = ("env", "file", "cmd")
        canaries = {kind: f'k4n"r1 {kind}&+/~{self.mark}{kind}>x' for kind in kinds}
        return Needles(canaries, f"control-{self.mark}-parrot")

    @property
    def hosts(self) -> list[str]:
        return self.lab.hosts[: self.width]

    @property
    def watch(self) -> Watch:
        return Watch(self.needles, self.lab.folder / "tmp")

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of every command: its own folders, and the one canary that is in a variable."""
        places = {
            "TMPDIR": "tmp",
            "XDG_CACHE_HOME": "cache",
            "XDG_STATE_HOME": "kept",
        }
        found = {name: str(self.lab.folder / folder) for name, folder in places.items()}
        return {**found, "CANARY_ENV": self.needles.canaries["env"], "GITHUB_STEP_SUMMARY": str(self.summary)}

    @property
    def summary(self) -> Path:
        return self.lab.folder / "summary.md"

    def prepare(self) -> None:
        """Put the canaries where they are read from, and a control into each folder that may stay empty."""
        folder, canaries = self.lab.folder, self.needles.canaries
        for name in ("tmp", "cache", "kept"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / "planted").write_text(self.needles.control)
        (folder / "canary-in-a-file").write_text(canaries["file"] + "\n")
        command = folder / "canary-of-a-command"
        command.write_text(
            f"#!/bin/sh\necho x >>ran\nprintf '%s\\n' '{canaries['cmd']}'\n".replace("ran", str(self.ran))
        )
        command.chmod(0o700)

    @property
    def ran(self) -> Path:
        return self.lab.folder / "ran"

    def write(self, *, loud: bool) -> None:
        """Write the playbook: the lab's, with secrets wherever they may stand."""
        extra = "min_in_service: 0\n  allow_outage: true" + (TOLD + LOUD if loud else TOLD).rstrip()
        self.lab.words |= {"balancers": "none", "connect_timeout": "60s", "deadline": "60s"}  # a machine may be busy
        path = self.lab.playbook(hosts=":".join(self.hosts), serial="['100%']", extra=extra)
        text = path.read_text().replace("    shared:\n      files:\n", FILES)
        text = text.replace("path: /healthz,", 'path: /healthz, headers: { X-Token: "BOTH", Cookie: "FILE" },')
        told = {"BOTH": BOTH, "FILE": FILE, "CONTROL": self.needles.control}
        for word, value in told.items():
            text = text.replace(word, value)
        path.write_text(text)

    def type(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command; what it shows is a sink."""
        done = subprocess.run(
            self.lab.command(*words),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "CI": "", **self.environ},
            timeout=PATIENCE_S,
            check=False,
        )
        self.sinks[name] = (done.stdout + done.stderr).encode()
        return done

    def verb(self, name: str, verb: str, version: str, *more: str) -> subprocess.CompletedProcess[str]:
        return self.type(name, *self.lab.words_of(verb, version, *more))

    def plan(self, version: str) -> None:
        """Validate a play, which runs nothing, and plan it into a file."""
        self.lab.release(version)
        self.write(loud=False)
        filed = self.lab.folder / "filed.json"
        words = (str(self.lab.folder / "shop.yml"), "-i", str(self.lab.fleet.inventory), "-e", f"version={version}")
        assert self.lab.type("validate", *words, env=self.environ).returncode == 0
        assert not self.ran.exists(), "no command runs to validate a play"
        done = self.verb("plan", "plan", version, "--out", str(filed))
        assert done.returncode == 0, done.stdout + done.stderr
        self.sinks["plan file"] = filed.read_bytes()

    def quiet(self, version: str) -> None:
        """Roll a release out whose tasks print nothing, and look at the hosts' disks."""
        self.lab.release(version)
        self.write(loud=False)
        done = self.verb("apply", "apply", version, "-m", self.needles.control)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "secret    from `" in done.stdout, "the plan lists every local command"
        self.sinks["disks of hosts"] = self._disks()

    def _disks(self) -> bytes:
        """Return what lies on the hosts, but for the two files that are to hold secrets."""
        found = []
        for host in self.hosts:
            root = self.lab.fleet.host(host).root
            shared = root / "shared" / "config"
            held = [shared / "url", shared / "key"]
            texts = [path.read_text() for path in held]
            assert self.needles.found("".join(texts).encode()) == set(self.needles.canaries), "they came as they are"
            for path in held:
                path.unlink()
            found.append(bytes_below(root))
            for path, text in zip(held, texts, strict=True):
                path.write_text(text)
        return b"".join(found)

    def loud(self, version: str, output: str) -> None:
        """Roll a release out whose tasks print their secrets and fail: it comes back."""
        self.lab.release(version)
        self.write(loud=True)
        name = f"apply, {output}"
        done = self.verb(name, "apply", version, "-m", self.needles.control, "--output", output, "-y")
        assert done.returncode == 4, done.stdout + done.stderr
        if output == "github":
            self.sinks["step summary"] = self.summary.read_bytes()

    def crash(self, version: str) -> None:
        """Let our own code fail with the values in its hands; its report is among what is kept."""
        self.lab.release(version)
        self.write(loud=True)
        code = CRASH.replace("CONTROL", self.needles.control)
        words = [sys.executable, "-c", code, *self.lab.words_of("apply", version, "-y")]
        environ = {**os.environ, **self.environ, "CI": ""}
        done = subprocess.run(words, env=environ, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 1, done.stderr
        assert b"E_BUG" in done.stderr
        self.sinks["crash report"] = bytes_below(self.lab.folder / "kept" / "rollout" / "crashes")

    def read(self, *ways: str) -> None:
        """Ask for the journal of the loud rollout in these ways, and take all that was kept."""
        rollout = self.lab.read("history")[0]["id"]
        for way in ways:
            verb, *more = way.split()
            words = ("audit", "export", rollout) if verb == "audit" else (verb, rollout, *more)
            done = self.type(way, *words, "--state", str(self.lab.state))
            assert done.returncode == 0, done.stderr
        self.sinks["state"] = bytes_below(self.lab.state.parent)
        for folder in ("tmp", "cache", "kept"):
            self.sinks[folder] = bytes_below(self.lab.folder / folder)

    def leaks(self) -> dict[str, set[str]]:
        """Return the sinks that hold a canary."""
        return {name: found for name, data in self.sinks.items() if (found := self.needles.found(data))}

    def blind(self) -> list[str]:
        """Return the sinks in which not even the control was found."""
        return [name for name, data in self.sinks.items() if not self.needles.seen(data)]
