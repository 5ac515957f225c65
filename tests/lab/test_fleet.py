"""A fleet of real hosts: what is up, what may happen to it, and that nothing of it stays."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rollout.errors import Refused
from rollout.lab import needs
from rollout.lab.app import build_release
from rollout.lab.hosts import MARK, LabHost
from rollout.lab.loopback import Fleet
from rollout.lab.processes import Proc, descendants, end, marked, seen
from tests.conftest import FleetOf
from tests.lab.talk import all_up, deploy, get, ssh, until

pytestmark = pytest.mark.lab


def everything(fleet: Fleet) -> set[int]:
    """Return the pids of all that a lab started and of all that runs below or on it."""
    started = {p.pid for p in fleet.state.processes.values()}
    on_hosts = {pid for host in fleet.hosts for pid in fleet.apps(host.name)}
    return started | descendants(started) | on_hosts


def test_each_host_is_a_host_of_its_own(fleet_of: FleetOf) -> None:
    fleet = fleet_of(3)
    keys = {host.host_key.with_suffix(".pub").read_text().split()[1] for host in fleet.hosts}
    assert len(keys) == 3
    for host in fleet.hosts:
        told = ssh(fleet, host, f"echo $HOME ${MARK}")
        assert told.stdout == f"{host.folder}/home {fleet.state.mark}/{host.name}\n", told.stderr


def test_a_swapped_host_key_is_seen(fleet_of: FleetOf) -> None:
    fleet = fleet_of(2)
    one, other = fleet.hosts
    fleet.known_hosts.write_text(
        one.known_hosts_line
        + "\n"
        + other.known_hosts_line.replace(other.known_hosts_line.split()[2], one.known_hosts_line.split()[2])
    )
    assert ssh(fleet, one, "true").returncode == 0
    assert "HOST IDENTIFICATION HAS CHANGED" in ssh(fleet, other, "true").stderr


def test_up_twice_is_up_once_and_brings_back_what_ended(fleet_of: FleetOf) -> None:
    fleet = fleet_of(3)
    before = dict(fleet.state.processes)
    assert dict(Fleet.up(fleet.folder, 3).state.processes) == before
    end([before["sshd:lab2"], before["haproxy"]], grace_s=0)
    again = Fleet.up(fleet.folder).state.processes
    changed = {role for role in before if again[role] != before[role]}
    assert changed == {"sshd:lab2", "haproxy"}
    assert ssh(fleet, fleet.host("lab2"), "echo back").stdout == "back\n"


def test_down_ends_sessions_and_apps_even_deaf_ones_and_removes_its_folder(fleet_of: FleetOf, tmp_path: Path) -> None:
    fleet = fleet_of(2)
    deploy(fleet, fleet.hosts[0], build_release(tmp_path, "v1", "deaf"))
    until("it serves", lambda: bool(fleet.apps("lab1")))
    argv = ["ssh", "-F", "none", "-i", fleet.client_key, "-p", str(fleet.hosts[1].ssh_port), "127.0.0.1"]
    argv[1:1] = ["-o", f"UserKnownHostsFile={fleet.known_hosts}"]
    with subprocess.Popen([*argv, "sleep 600"], stderr=subprocess.DEVNULL) as session:
        until("a session is open", lambda: bool(fleet.apps("lab2")))
        pids = everything(fleet)
        fleet.down()
        session.wait(20)
    assert len(pids) >= 6  # HAProxy, two listeners, a session and what it runs, the app
    assert [pid for pid in pids if seen(pid)] == []
    assert not fleet.folder.exists()


def test_down_leaves_a_process_alone_that_only_has_a_recorded_pid(fleet_of: FleetOf) -> None:
    fleet = fleet_of(1)
    with subprocess.Popen(["sleep", "600"]) as bystander:
        mine = seen(bystander.pid)
        assert mine is not None
        stale = Proc(pid=mine.pid, started=str(int(mine.started) - 1), boot=mine.boot)
        rebooted = Proc(pid=mine.pid, started=mine.started, boot="another")
        fleet._record({"haproxy:1": stale, "haproxy:2": rebooted})
        fleet.down()
        assert bystander.poll() is None
        bystander.kill()


def test_a_shell_in_a_host_s_folder_is_not_ended(fleet_of: FleetOf) -> None:
    fleet = fleet_of(1)
    with subprocess.Popen(["sleep", "600"], cwd=fleet.hosts[0].root) as bystander:
        fleet.down()
        assert bystander.poll() is None
        bystander.kill()


def test_a_stopped_host_keeps_its_app_and_a_crashed_one_does_not(fleet_of: FleetOf, tmp_path: Path) -> None:
    fleet = fleet_of(2)
    archive = build_release(tmp_path, "v1")
    for host in fleet.hosts:
        deploy(fleet, host, archive)
    until("both serve", lambda: all_up(fleet))
    fleet.stop_host("lab1")
    fleet.crash_host("lab2")
    assert get(f"http://127.0.0.1:{fleet.hosts[0].app_port}/") == (200, "v1\n")
    assert (fleet.process("sshd:lab1"), fleet.process("sshd:lab2")) == (None, None)
    assert fleet.apps("lab2") == []
    fleet.start_host("lab2")
    assert ssh(fleet, fleet.hosts[1], "echo back").stdout == "back\n"


def test_a_frozen_host_answers_when_it_is_thawed(fleet_of: FleetOf) -> None:
    fleet = fleet_of(1)
    fleet.freeze_host("lab1")
    listener = fleet.process("sshd:lab1")
    assert listener is not None
    state = Path(f"/proc/{listener.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert state == "T"
    fleet.thaw_host("lab1")
    assert ssh(fleet, fleet.hosts[0], "echo warm").stdout == "warm\n"


def test_a_reload_is_another_haproxy_and_users_go_on(fleet_of: FleetOf, tmp_path: Path) -> None:
    fleet = fleet_of(1, check_ms=100, rise=1)
    deploy(fleet, fleet.hosts[0], build_release(tmp_path, "v1"))
    until("it is up", lambda: all_up(fleet))
    before = fleet.process("haproxy")
    fleet.reload_haproxy()
    assert fleet.process("haproxy") != before
    assert get(fleet.url) == (200, "v1\n")


def test_two_backends_have_a_frontend_each(fleet_of: FleetOf, tmp_path: Path) -> None:
    fleet = fleet_of(1, backends=("shop", "api"), check_ms=100, rise=1)
    deploy(fleet, fleet.hosts[0], build_release(tmp_path, "v1"))
    until("it is up in both", lambda: fleet.balancer().members("api") == {"lab1": "UP"} and all_up(fleet))
    assert {name: get(url) for name, url in fleet.urls.items()} == {"shop": (200, "v1\n"), "api": (200, "v1\n")}


def test_a_long_folder_gets_its_socket_elsewhere_and_it_goes_with_the_lab(tmp_path: Path) -> None:
    with Fleet.up(tmp_path / ("long-" * 20), 1) as fleet:
        place = fleet.haproxy_socket.parent
        assert len(str(fleet.haproxy_socket)) < 100
        assert fleet.balancer().members("shop")
    assert not place.exists()


def test_two_labs_do_not_meet(fleet_of: FleetOf) -> None:
    one, other = fleet_of(2), fleet_of(2)
    ports = [{h.ssh_port for h in f.hosts} | {h.app_port for h in f.hosts} for f in (one, other)]
    assert not ports[0] & ports[1]
    one.down()
    assert ssh(other, other.hosts[0], "echo here").stdout == "here\n"


@pytest.mark.parametrize(
    ("folder", "hosts", "code"),
    [
        ("with a space", 2, "E_LAB_FOLDER"),
        ("taken", 2, "E_LAB_FOLDER"),
        ("new", 0, "E_LAB_SIZE"),
        ("new", 61, "E_LAB_SIZE"),
    ],
)
def test_what_cannot_be_a_lab_is_refused(tmp_path: Path, folder: str, hosts: int, code: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(Refused, match=code):
        Fleet.up(tmp_path / folder, hosts)
    assert (tmp_path / "taken" / "thesis.txt").exists()


def test_another_number_of_hosts_is_refused(fleet_of: FleetOf) -> None:
    with pytest.raises(Refused, match=r"E_LAB_SIZE.*rollout lab down"):
        Fleet.up(fleet_of(2).folder, 3)


def test_a_state_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"format": 99}')
    with pytest.raises(Refused, match="E_LAB_STATE"):
        Fleet.load(tmp_path)


def test_what_is_missing_is_named_with_the_line_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs, "PLACES", str(tmp_path))
    with pytest.raises(Refused, match=r"E_LAB_PACKAGES: .*apt-get install -y haproxy openssh-client openssh-server"):
        Fleet.up(tmp_path / "lab", 1)


def test_of_a_lab_that_does_not_come_up_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Proc] = []
    start = LabHost.start

    def second_fails(host: LabHost) -> Proc:
        if begun:
            raise KeyboardInterrupt
        begun.append(start(host))
        return begun[0]

    monkeypatch.setattr(LabHost, "start", second_fails)
    with pytest.raises(KeyboardInterrupt):
        Fleet.up(tmp_path / "lab", 2)
    assert [proc for proc in begun if proc.alive] == []
    assert not (tmp_path / "lab").exists()


def test_nothing_here_is_marked_as_a_lab_s() -> None:
    assert os.getpid() not in marked(MARK)
