"""``rollout lab --provider container`` as a user types it: machines, zones, balancers over SSH, nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.lab.machines import MachineFleet

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]
ROLLOUT = Path(sys.executable).with_name("rollout")


def type_(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    argv = [str(ROLLOUT), *words]
    said = {**os.environ, "CI": "", **env}
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=180, env=said, check=False)


def status(folder: Path) -> dict[str, dict[str, object]]:
    about = json.loads(type_(folder, "lab", "status", "--json").stdout)
    return {host["name"]: host for host in (*about["hosts"], *about["balancers"])}


def left(fleet: MachineFleet) -> str:
    label = f"label=rollout-lab={fleet.made.mark}"
    return fleet.engine.say("ps", "-aq", "--filter", label) + fleet.engine.say("network", "ls", "-q", "--filter", label)


@pytest.mark.long
def test_up_roll_out_lose_a_machine_up_again_and_down(tmp_path: Path) -> None:
    up = ("lab", "up", "--provider", "container", "--hosts", "2", "--zones", "2", "--balancers", "per-zone")
    fleet = None
    try:
        done = type_(tmp_path, *up)
        assert done.returncode == 0, done.stderr
        fleet = MachineFleet.load(tmp_path / ".lab")
        assert fleet is not None
        keys = fleet.known_hosts.read_text()
        assert len({line.split()[2] for line in keys.splitlines()}) == 4, "each machine has a host key of its own"
        words = ("apply", ".lab/playbook.yml", "-i", ".lab/inventory.ini", "-e", "version=v1", "-y", "--state", "s.db")
        done = type_(tmp_path, *words)
        # One host in each pool: its floor allows an outage and says so.
        assert done.returncode == 0, done.stdout + done.stderr
        seen = status(tmp_path)
        assert {(h, seen[h]["zone"], seen[h]["serves"]) for h in ("web1", "web2")} == {
            ("web1", "a", "v1"),
            ("web2", "b", "v1"),
        }
        assert [seen[h]["in_haproxy"] for h in ("web1", "web2")] == [["UP"], ["UP"]]
        fleet.stop(fleet.hosts[1])
        assert status(tmp_path)["web2"]["container"] == "stopped"
        assert type_(tmp_path, "lab", "up", "--hosts", "3").returncode == 6
        assert type_(tmp_path, "lab", "up").returncode == 0
        assert {h["container"] for h in status(tmp_path).values()} == {"runs"}
        assert fleet.known_hosts.read_text() == keys, "a machine that comes back is the same machine"
    finally:
        done = type_(tmp_path, "lab", "down")
    assert done.returncode == 0, done.stderr
    assert fleet is not None
    assert left(fleet) == ""
    assert not (tmp_path / ".lab").exists()


def test_a_lab_whose_process_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    script = f"""
import os, signal
from rollout.lab.machines import MachineFleet
MachineFleet.up({str(tmp_path / "killed")!r}, 1, balancers="none", ends_with_us=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    killed = MachineFleet.load(tmp_path / "killed")
    assert killed is not None
    assert left(killed) != ""
    killed.engine.sweep()
    assert left(killed) == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--hosts", "2", "--zones", "3"], 6, "E_LAB_SIZE"),
        (["--balancers", "per-zone"], 6, "E_LAB_SIZE"),
        (["--hosts", "0"], 6, "E_LAB_SIZE"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    done = type_(tmp_path, "lab", "up", "--provider", "container", *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_without_an_engine_it_says_what_to_install(tmp_path: Path) -> None:
    script = """
import sys
from rollout.lab import engine
engine.PLACES = ""
from rollout.cli import main
sys.argv = ["rollout", "lab", "up", "--provider", "container"]
sys.exit(main())
"""
    env = {**os.environ, "PATH": str(tmp_path)}
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 2
    assert "E_LAB_PACKAGES" in done.stderr
    assert "apt-get install -y --no-install-recommends podman runc" in done.stderr
