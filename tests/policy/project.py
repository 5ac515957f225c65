"""A project as a stranger may have changed it: what its tests read, and a canary for what it must not run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOSTS = "[web]\nweb1 ansible_host=10.0.0.1\nweb2 ansible_host=10.0.0.2\n"
PLAY = """\
- name: Shop {{ 1 + 1 }}
  app: shop
  hosts: web
  vars_files: [../vars.yml]
  release: { id: v1, artifact: ../dist/app.tar, root: /srv/shop }
  service: { systemd: shop.service }
  load_balancers: none
  health: { checks: [{ tcp: { port: 80 } }] }
"""
HOSTILE = """\
  hooks:
    before_batch:
      - { run: [touch, ../ran], where: controller }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project in a folder of its own, and beside it what nobody in it may read."""

    folder: Path
    outside: Path

    @property
    def playbook(self) -> Path:
        """Its one playbook."""
        return self.folder / "playbooks/site.yml"

    def write(self, name: str, text: str) -> None:
        """Write one of its files."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def link(self, name: str, to: Path) -> None:
        """Put a link into it, in the place of what is there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(to)


def made(folder: Path, *, marked: bool = True) -> Project:
    """Make one; ``marked``: its folder says that it is a project's."""
    project = Project(folder=folder / "project", outside=folder / "outside")
    for name, text in {
        "playbooks/site.yml": PLAY,
        "playbooks/group_vars/web.yml": "tier: front\n",
        "inventories/production.ini": HOSTS,
        "inventories/host_vars/web1.yml": "zone: a\n",
        "vars.yml": "colour: blue\n",
        "dist/app.tar": "",
    }.items():
        project.write(name, text)
    if marked:
        (project.folder / ".git").mkdir()
    project.outside.mkdir()
    (project.outside / "secret.yml").write_text("password: hunter2\n")
    (project.outside / "app.tar").write_bytes(b"")
    (project.outside / "secret.ini").write_text("[web]\nhunter2 is no host\n")
    return project
