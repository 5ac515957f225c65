"""What these tests type, and what they look at afterwards, past rollout."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout.model.pool import Member, Rotation
from tests.e2e.lab import Lab
from tests.systemd.fleet import PORT, ROOT, Fleet, Machine
from tests.systemd.releases import with_files


@dataclass(slots=True)
class SystemdLab(Lab):
    """The end-to-end lab's words over machines with systemd."""

    fleet: Fleet  # type: ignore[assignment]

    def playbook(self, *, any_version: bool = False, **words: Any) -> Path:
        """Write the playbook; ``any_version``: its check does not ask which version answers."""
        said = {"service": "{ systemd: shop.service }", "extra": "min_in_service: 1", "serial": "[1, 1]", **words}
        path = super(SystemdLab, self).playbook(**said)
        if any_version:
            text, found = re.subn(r", json: \{.*\} \}", " }", path.read_text())
            assert found == 1
            path.write_text(text)
        return path

    def release(self, version: str, broken: Any = "", *, files: Mapping[str, str] | None = None, **more: Any) -> Path:
        made = super(SystemdLab, self).release(version, broken, **more)
        return with_files(made, files) if files else made

    @property
    def hosts(self) -> list[str]:
        return list(self.fleet.names)

    def machine(self, host: str) -> Machine:
        return self.fleet.machines[host]

    def current(self, host: str) -> str:
        return self.machine(host).try_(f"readlink {ROOT}/current").removeprefix("releases/").strip()

    def serves(self, host: str) -> str:
        try:
            with urllib.request.urlopen(f"http://{self.machine(host).address}:{PORT}/healthz", timeout=2) as answer:
                said: dict[str, str] = json.load(answer)
                return said["version"]
        except (OSError, ValueError):
            return ""

    def clean(self) -> None:
        """Bring the machines back to nothing installed, as an operator set them up, every member ready."""
        self.fleet.each(Machine.clean)
        self.fleet.each(Machine.set_up)
        shutil.rmtree(self.state.parent, ignore_errors=True)
        self.balancer.set({Member(h): Rotation.READY for h in self.hosts})

    def reverted(self, done: subprocess.CompletedProcess[str], *words: str) -> None:
        """Hold that all is on v1 again, and that ``rollout show`` says why (``words``)."""
        assert done.returncode == 4, said(done)
        assert self.all_on("v1"), self.truth()
        shown = self.shown()
        for word in words:
            assert word in shown, shown

    def shown(self) -> str:
        """Return what ``rollout show`` says of the newest rollout."""
        done = self.type("show", self.last()["id"], "--state", str(self.state))
        assert done.returncode == 0, done.stderr
        return done.stdout


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that a command printed, for the message of an assertion."""
    return f"{done.returncode}\n{done.stdout}{done.stderr}"
