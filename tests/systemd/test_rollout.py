"""Releases go out to machines with real systemd, by an SSH user who may restart one unit and nothing else."""

from __future__ import annotations

import pytest
import testinfra

from tests.examples.test_examples import TOP
from tests.systemd.fleet import PORT
from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]


def test_the_first_release_and_the_next_in_batches(lab: SystemdLab) -> None:
    for version in ("v1", "v2"):
        done = lab.apply(version)
        assert done.returncode == 0, said(done)
        assert lab.all_on(version)
    again = lab.apply("v2")
    assert "nothing to do" in said(again)
    for name in lab.hosts:
        host = testinfra.get_host(f"ssh://{name}", ssh_config=str(lab.fleet.ssh_config))
        assert host.user().name == "deploy"
        assert host.file("/srv/shop/current").linked_to == "/srv/shop/releases/v2"
        unit = host.service("shop.service")
        assert unit.is_running
        assert unit.systemd_properties["User"] == "shop"
        modes = {path: host.file(f"/srv/shop/{path}").mode for path in (".rollout", "releases/v2", "current/bin/serve")}
        assert modes == {".rollout": 0o700, "releases/v2": 0o755, "current/bin/serve": 0o755}
        assert {host.file(f"/srv/shop/{path}").user for path in modes} == {"deploy"}


# What the example says for production, and what two machines and a minute allow.
SMALLER = {
    "socket: /run/haproxy/admin.sock": "socket: {socket}",
    'min_in_service: "75%"': 'min_in_service: "50%"',
    "host_keys: strict": 'known_hosts: ["{{{{ known_hosts }}}}"]',
    "healthy_for: 20s": "healthy_for: 1s",
    "  interval: 1s": "  interval: 200ms",
    "start_period: 5s": "start_period: 500ms",
    "deadline: 5m": "deadline: 5s",
}


def test_the_example_is_run(lab: SystemdLab) -> None:
    text = (TOP / "playbooks/systemd.yml").read_text()
    for said_there, said_here in SMALLER.items():
        assert text.count(said_there) == 1, said_there
        text = text.replace(said_there, said_here.format(socket=lab.fleet.haproxy_socket))
    assert f"port: {PORT}" in text
    playbook = lab.folder / "systemd.yml"
    playbook.write_text(text)
    lab.fleet.each(lambda m: m.run("sh", "-c", SECRETS))
    for version, selfcheck, code in (("1.4.2", "exit 0", 0), ("1.4.3", "echo the prices are wrong; exit 3", 4)):
        lab.release(version, files={"bin/selfcheck": f"#!/bin/sh\n[ $1 = --quick ] && {selfcheck}\n"})
        words = ["apply", str(playbook), "-i", str(lab.fleet.inventory), "-e", f"version={version}"]
        done = lab.type(*words, "--state", str(lab.state))
        assert done.returncode == code, said(done)
    assert lab.all_on("1.4.2")
    assert "the prices are wrong" in lab.shown()


SECRETS = """\
set -e
install -d -o deploy -g deploy /srv/shop/shared /srv/shop/shared/config
install -o deploy -g shop -m 0640 /dev/null /srv/shop/shared/config/secrets.env
"""

OWNER = "stat -c %U $(grep -ls 'bin/[s]erve' /proc/[0-9]*/cmdline | sed 's#/cmdline##')"

BY_SYSTEMD = """{ commands: { restart: [systemctl, restart, shop.service], stop: [systemctl, stop, shop.service],
    status: [systemctl, show, --value, -p, MainPID, shop.service] } }"""
BY_ITSELF = """{ commands: { start: [env, ADDRESS=0.0.0.0, ./bin/ctl, start], stop: [./bin/ctl, stop],
    status: [./bin/ctl, status] } }"""


@pytest.mark.parametrize(
    ("service", "become"), [(BY_SYSTEMD, "true"), pytest.param(BY_ITSELF, "false", marks=pytest.mark.long)]
)
def test_commands_on_one_host(lab: SystemdLab, service: str, become: str) -> None:
    """The same proof of identity by the process that `status` names, whoever it belongs to."""
    extra = "min_in_service: 0\n  allow_outage: true"
    play = {"service": service, "hosts": "web1", "extra": extra, "serial": "[1]", "deadline": "3s"}
    flags = ("-e", f"ansible_become={become}")
    done = lab.apply("v1", *flags, play=play)
    assert done.returncode == 0, said(done)
    done = lab.apply("v2", *flags, play=play)
    assert done.returncode == 0, said(done)
    assert lab.truth()["web1"] == ("v2", "v2", True)
    done = lab.apply("v3", *flags, broken="unhealthy", play=play)
    assert done.returncode == 4, said(done)
    assert lab.truth()["web1"] == ("v2", "v2", True)
    assert lab.current("web2") == ""
    owner = lab.machine("web1").try_(OWNER).strip()
    assert owner == ("shop" if become == "true" else "deploy")
