"""The examples that loopback hosts can run are run: real sshd, real HAProxy, the command that people type.

systemd.yml and minimal.yml need hosts with systemd; they are read by test_examples.py.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rollout.lab.app import build_release
from rollout.lab.processes import everyone
from tests.conftest import FleetOf

pytestmark = pytest.mark.lab
TOP = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


DEAF = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")  # as a shell starts what runs in the background


def demo(*words: str, by: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start the demo as a foreground job of its own, as a terminal does; ``by``: what begins it."""
    argv = [*by, sys.executable, "-m", "rollout.lab.demo", *words]
    return subprocess.Popen(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)


def running_in(folder: str) -> list[str]:
    """Return the command lines of all that runs and names this folder."""
    lines = []
    for pid in everyone():
        try:
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return [line for line in lines if folder in line]


def test_the_demo_ends_as_it_says(tmp_path: Path) -> None:
    with demo("--hosts", "4", "--rate", "80") as process:
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    exits = re.findall(r"^(v\d) +(\d+) .*?(v\d:\S+(?: v\d:\S+)*) +(\d+) ", said, re.MULTILINE)
    assert [(version, code) for version, code, *_ in exits] == [("v1", "0"), ("v2", "0"), ("v3", "4")], said
    assert [failed for *_, failed in exits[1:]] == ["0", "0"]
    (folder,) = set(re.findall(r"/\S*rollout-demo-[^/\s]+", said))
    assert not Path(folder).exists()
    assert running_in(folder) == []


@pytest.mark.parametrize(
    ("number", "by"),
    [(signal.SIGINT, ()), (signal.SIGINT, DEAF), (signal.SIGTERM, ())],
    ids=["Ctrl-C", "Ctrl-C in the background", "TERM"],
)
def test_an_interrupted_demo_leaves_nothing_running(number: signal.Signals, by: Sequence[str]) -> None:
    with demo("--hosts", "4", "--rate", "20", by=by) as process:
        assert process.stdout is not None
        said = ""
        while "staged (" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # a terminal signals the whole job
        else:
            process.send_signal(number)
        rest, _ = process.communicate(timeout=240)
    assert process.returncode == 128 + number, said + rest
    (folder,) = set(re.findall(r"/\S*rollout-demo-[^/\s]+", said))
    assert running_in(folder) == []
    assert not Path(folder).exists()


@pytest.mark.parametrize(("playbook", "app"), [("workers.yml", "mailer"), ("commands.yml", "reports")])
def test_an_example_without_a_balancer_rolls_out(fleet_of: FleetOf, tmp_path: Path, playbook: str, app: str) -> None:
    fleet = fleet_of(2)
    lines = [
        f"{h.name} ansible_host=127.0.0.1 ansible_port={h.ssh_port} status_port={h.app_port} app_root={h.folder}/{app}"
        for h in fleet.hosts
    ]
    (tmp_path / "hosts.ini").write_text("\n".join(["[workers]", *lines, ""]))
    (tmp_path / ".ssh").mkdir()
    shutil.copy(fleet.known_hosts, tmp_path / ".ssh" / "known_hosts")
    for host in fleet.hosts:
        (host.folder / app).mkdir()
    for version in ("v1", "v2"):
        shutil.copy(build_release(tmp_path / "built", version), tmp_path / f"{app}-{version}.tar.gz")
        argv = [BIN / "rollout", "apply", TOP / "playbooks" / playbook, "-i", tmp_path / "hosts.ini", "-y"]
        argv += ["-e", f"version={version}", "-e", f"artifacts={tmp_path}", "--private-key", fleet.client_key]
        argv += ["--state", tmp_path / "state.db"]
        done = subprocess.run(
            argv, env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert {fleet.serves(host) for host in fleet.hosts} == {version}
