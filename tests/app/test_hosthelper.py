"""No helper is made for a play whose releases a host could not verify."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.app.hosthelper import Helping, helper
from rollout.app.request import Request
from rollout.errors import InputError
from tests.playbook.fleet import fleet

PLAY = """\
- app: shop
  hosts: web
  release:
    id: v1
    artifact: { path: app.tar, as: app }
    signature: { file: app.sig, allowed_signers: signers, identity: release@example.org }
    root: /srv/shop
    TEMPLATES
  service: { process: { command: [./app] } }
  load_balancers: none
  health: { checks: [{ tcp: { port: 80 } }] }
"""


def made(folder: Path, templates: str) -> str:
    fleet(folder)
    for name in ("app.sig", "signers", "env.j2"):
        (folder / name).touch(0o644)
    (folder / "play.yml").write_text(PLAY.replace("TEMPLATES", templates))
    request = Request(playbook=folder / "play.yml", inventory=[str(folder / "hosts.ini")])
    return helper(request, Helping(app="", allowed_signers="/etc/rollout/signers", revoked=""))


def test_a_helper_becomes_nobody(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"E_OWNER: the play of shop has `release\.owner`") as caught:
        made(tmp_path, "owner: { user: keeper }")
    assert "give the key of the helper to the owner" in str(caught.value)
    assert made(tmp_path, "owner: { group: crew }") != made(tmp_path, "keep: 5")


def test_what_is_rendered_nobody_has_signed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"E_SIG_TEMPLATES: the play of shop has `release\.templates`"):
        made(tmp_path, "templates: [{ src: env.j2, dest: config/env }]")
    assert made(tmp_path, "keep: 5").startswith("#!/bin/sh\n")
