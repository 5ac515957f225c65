"""Services of every kind: restarted, proven, stopped, explained."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rollout.model.release import Commands, NoService, Process, ReleaseId, Service, Systemd, SystemdUnit
from rollout.posix import frame
from rollout.posix.op import Activate, Collect, Identify, Install, Observe, Reply, Withdraw
from rollout.testing.packing import packed
from tests.posix.shells import NAMES, NONCE, ShellHost, shell

SERVE = b"#!/bin/sh\necho ready\nwhile :; do sleep 0.05; done\n"
STUBBORN = b"#!/bin/sh\ntrap '' TERM\nsleep 60 &\nwhile :; do sleep 0.05; done\n"
FILES = {"bin/serve": SERVE, "bin/stubborn": STUBBORN}
RELEASES = {name: packed(name, {**FILES, "VERSION": name.encode()}) for name in ("v1", "v2")}
UNITS = Systemd(units=(SystemdUnit(unit="shop.service"), SystemdUnit(unit="shop-jobs@1.service")))


def _activate(name: str, expect: str, service: Service) -> Activate:
    manifest = RELEASES[name].release.manifest
    return Activate(release=ReleaseId(name), manifest=manifest, expect=ReleaseId(expect), service=service)


def _installed(host: ShellHost) -> None:
    for built in RELEASES.values():
        host.provide(built)
        assert host.do(Install(release=built.release)).status == "done"


def _proof(host: ShellHost, service: Service) -> dict[str, str]:
    return dict(host.do(Identify(release=ReleaseId("v1"), service=service)).fields)


def _pids(host: ShellHost) -> list[int]:
    return [int((host.root / ".rollout/pid").read_text().split()[0])]


@pytest.mark.fault("F70")
def test_a_process_that_does_not_want_to_end(host: ShellHost) -> None:
    """It is killed with its whole group when its time is over."""
    _installed(host)
    service = Process(command=("./bin/stubborn",), stop_timeout_s=0.2)
    host.do(_activate("v1", "", service))
    (pid,) = _pids(host)
    assert host.do(_activate("v2", "v1", service)).status == "done"
    assert _proof(host, service)["running"] == "v2"
    assert not [p for p in _group(pid) if p != 0]
    assert host.do(Withdraw(release=ReleaseId("v2"), service=service)).status == "done"


def _group(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            said = entry.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(said[2]) == group and said[0] not in "ZX":
            found.append(int(entry.parent.name))
    return found


def test_a_process_gets_the_signal_it_asked_for(host: ShellHost) -> None:
    _installed(host)
    text = "trap 'echo asked >asked; exit 0' USR1; while :; do sleep 0.02; done"
    service = Process(command=("sh", "-c", text), stop_signal="SIGUSR1", stop_timeout_s=5)
    host.do(_activate("v1", "", service))
    while b"trap" not in Path(f"/proc/{_pids(host)[0]}/cmdline").read_bytes():
        pass
    _until_trapped(_pids(host)[0])
    host.do(_activate("v2", "v1", service))
    assert (host.root / "releases/v1/asked").exists()


def _until_trapped(pid: int) -> None:
    """Wait until the process catches USR1."""
    while True:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
        if int(lines["SigCgt"], 16) & (1 << (signal.SIGUSR1 - 1)):
            return


def test_a_command_that_is_not_in_the_release(host: ShellHost) -> None:
    _installed(host)
    reply = host.do(_activate("v1", "", Process(command=("./bin/nothing",))))
    assert (reply.status, reply.code, reply.fields["switched"]) == ("failed", "E_SERVICE", "1")
    assert "releases/v1" in reply.summary


@pytest.mark.fault("F69")
def test_a_process_that_ends_at_once_says_why(host: ShellHost) -> None:
    _installed(host)
    service = Process(command=("sh", "-c", "echo no configuration; echo '* `x` $(y) %s'; exit 78"))
    reply = host.do(_activate("v1", "", service))
    seen = host.do(Collect(service=service))
    assert "no configuration" in [*reply.tail, *seen.tail]
    assert "* `x` $(y) %s" in seen.tail
    assert _proof(host, service)["running"] == ""


COMMANDS = Commands(
    start=("sh", "-c", 'setsid ./bin/serve >/dev/null 2>&1 & echo $! >"$1"/pid; pwd >>"$1"/starts', "sh"),
    stop=("sh", "-c", 'kill -KILL "-$(cat "$1"/pid)"; rm "$1"/pid', "sh"),
    status=("sh", "-c", 'cat "$1"/pid', "sh"),
)


@pytest.fixture
def commands(host: ShellHost) -> Iterator[Commands]:
    """The commands above, told where to keep their pid."""
    at = str(host.root)
    told = {name: (*getattr(COMMANDS, name), at) for name in ("start", "stop", "status")}
    yield Commands(**told)
    pid = host.root / "pid"
    if pid.exists():
        os.killpg(int(pid.read_text()), signal.SIGKILL)


def test_commands_start_stop_and_prove(host: ShellHost, commands: Commands) -> None:
    _installed(host)
    first = host.do(_activate("v1", "", replace(commands, stop=())))
    assert first.status == "done", first
    assert _proof(host, commands)["running"] == "v1"
    assert host.do(_activate("v1", "", commands)).fields["restarted"] == "0"
    assert host.do(_activate("v2", "v1", commands)).status == "done"
    proof = _proof(host, commands)
    assert (proof["running"], proof["fresh"]) == ("v2", "1")
    assert (host.root / "starts").read_text().split() == [f"{host.root}/releases/{v}" for v in ("v1", "v2")]
    assert host.do(Withdraw(release=ReleaseId("v2"), service=commands)).status == "done"
    assert host.current() == ""


@pytest.mark.fault("F77")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo broken; exit 3", "the restart command ended with status 3"),
        ("sleep 60", "the restart command did not end within 1 s"),
        ("trap '' TERM; sleep 60; sleep 60", "the restart command did not end within 1 s"),
    ],
)
def test_a_command_that_fails_or_hangs(host: ShellHost, text: str, said: str) -> None:
    _installed(host)
    service = Commands(restart=("sh", "-c", text), timeout_s=0.5)
    reply = host.do(_activate("v1", "", service))
    assert (reply.status, reply.code) == ("failed", "E_SERVICE")
    assert said in reply.summary
    assert "sleep" in text or reply.tail == ("broken",)


@pytest.mark.fault("F78")
def test_a_command_that_reads_its_input_finds_nothing(host: ShellHost) -> None:
    """Not the rest of what the controller says, and not an open channel to wait at."""
    _installed(host)
    op = host.op(_activate("v1", "", Commands(restart=("cat",), timeout_s=3)))
    with subprocess.Popen(
        host.shell.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(host.shell.env)
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(host.bytes_of(op))
        running.stdin.flush()
        reply = frame.parse(NONCE, running.stdout.read())
    assert reply is not None
    assert reply.status == "done"


@dataclass(slots=True)
class Init:
    """Units for the stand-in, and what it was told."""

    host: ShellHost
    folder: Path

    def told(self) -> list[str]:
        return [line for line in (self.folder / "log").read_text().splitlines() if not line.startswith("show")]


@pytest.fixture(params=NAMES)
def init(request: pytest.FixtureRequest) -> Iterator[Init]:
    """A root with units that start from current, and the stand-in for systemctl on the PATH.

    Not below tmp_path, which other users cannot enter.
    """
    tmp_path = Path(tempfile.mkdtemp())
    tmp_path.chmod(0o755)
    (tmp_path / "tools").mkdir()
    shutil.copy(Path(__file__).with_name("systemctl"), tmp_path / "tools")
    root, units = tmp_path / "shop", tmp_path / "units"
    root.mkdir()
    for unit, cwd in (("shop.service", "/"), ("shop-jobs@1.service", f"{root}/current")):
        (units / unit).mkdir(parents=True)
        (units / unit / "exec").write_text(f"{cwd}\n{root}/current/bin/serve\n")
    used = shell(request.param, tmp_path)
    env = {**used.env, "PATH": f"{tmp_path / 'tools'}:{used.env['PATH']}", "UNITS": str(units)}
    yield Init(ShellHost(replace(used, env=env), root), units)
    for pid in units.glob("*/pid"):
        os.killpg(int(pid.read_text()), signal.SIGKILL)
    shutil.rmtree(tmp_path)


def test_units_are_restarted_in_order_and_proven(init: Init) -> None:
    host = init.host
    _installed(host)
    assert host.do(_activate("v1", "", UNITS)).status == "done"
    assert init.told() == ["restart shop.service", "restart shop-jobs@1.service"]
    proof = _proof(host, UNITS)
    assert (proof["running"], proof["fresh"], proof["restarts"]) == ("v1", "1", "0")
    assert host.do(_activate("v1", "", UNITS)).fields["restarted"] == "0"
    host.do(_activate("v2", "v1", UNITS))
    assert _proof(host, UNITS)["running"] == "v2"
    (init.folder / "shop.service/restarts").write_text("2\n")
    assert _proof(host, UNITS)["restarts"] == "2"
    seen = host.do(Observe(service=UNITS)).fields
    assert (seen["unit.0"], seen["unit.1"], seen["running"]) == ("loaded", "loaded", "v2")
    assert "shop.service - stand-in" in " ".join(host.do(Collect(service=UNITS)).tail)
    assert host.do(Withdraw(release=ReleaseId("v2"), service=UNITS)).status == "done"
    assert init.told()[-2:] == ["stop shop.service", "stop shop-jobs@1.service"]


@pytest.mark.fault("F71")
def test_the_old_process_behind_the_new_link_proves_nothing(init: Init) -> None:
    """Its path says current, but it is older than the link; and one of two units is not enough."""
    host = init.host
    _installed(host)
    host.do(_activate("v1", "", UNITS))
    host.do(_activate("v2", "v1", NoService()))
    proof = _proof(host, UNITS)
    assert (proof["running"], proof["fresh"]) == ("", "0")
    by_path = _proof(host, Systemd(units=UNITS.units[:1]))
    assert (by_path["running"], by_path["fresh"]) == ("", "0")
    one = Systemd(units=UNITS.units[1:])
    assert _proof(host, one)["running"] == "v1"
    assert host.do(_activate("v2", "v1", UNITS)).fields["restarted"] == "1"
    assert _proof(host, UNITS)["running"] == "v2"


def test_a_unit_that_has_ended_proves_nothing(init: Init) -> None:
    """Its path says current, and its last start is younger than the link."""
    host = init.host
    _installed(host)
    one = Systemd(units=UNITS.units[:1])
    host.do(_activate("v1", "", one))
    assert _proof(host, one)["running"] == "v1"
    pid = init.folder / "shop.service/pid"
    os.killpg(int(pid.read_text()), signal.SIGKILL)
    pid.unlink()
    proof = _proof(host, one)
    assert (proof["running"], proof["fresh"]) == ("", "0")


def test_a_unit_that_fails_is_named_and_explained(init: Init) -> None:
    host = init.host
    _installed(host)
    (init.folder / "shop-jobs@1.service/broken").touch()
    reply = host.do(_activate("v1", "", UNITS))
    assert (reply.status, reply.code) == ("failed", "E_SERVICE")
    assert "shop-jobs@1.service" in reply.summary
    assert reply.tail[0].startswith("Job for")
    assert _proof(host, UNITS)["running"] == ""


def test_a_unit_that_is_not_there(init: Init) -> None:
    seen = init.host.do(Observe(service=Systemd(units=(SystemdUnit(unit="other.service"),)))).fields
    assert seen["unit.0"] == "not-found"


def test_a_unit_whose_user_can_write_what_is_installed_is_told_from_one_that_cannot(init: Init) -> None:
    """Without a user it runs as root; what no name is known for may be anybody."""
    for user, said in (("", "writer"), ("root", "writer"), ("nobody", "other"), ("no-such-user", "")):
        (init.folder / "shop.service/user").write_text(user)
        fields = init.host.do(Observe(service=UNITS)).fields
        assert (fields["unit_as.0"], fields["unit_as.1"]) == (said, "writer"), user
    (init.folder / "shop.service/user").write_text("nobody")
    theirs = _unprivileged(init).do(Observe(service=UNITS)).fields["unit_as.0"]
    assert theirs == "writer", "the one who installs"


def _unprivileged(init: Init) -> ShellHost:
    """Become somebody whom sudo asks for a password, where the tests run as root."""
    host = init.host
    if os.geteuid() == 0:
        for path in (host.root, *init.folder.rglob("*"), init.folder):
            os.chown(path, 65534, 65534)
        init.folder.chmod(0o755)
        host.shell = replace(host.shell, user=65534)
    return host


@pytest.mark.fault("F48")
def test_without_the_right_to_restart_nothing_is_switched(init: Init) -> None:
    host = _unprivileged(init)
    _installed(host)
    seen: Reply = host.do(Observe(service=UNITS), become="root")
    assert seen.fields["sudo"] == "refused"
    reply = host.do(_activate("v1", "", UNITS), become="root")
    assert (reply.status, reply.code) == ("refused", "E_SUDO")
    assert "systemctl restart shop.service" in reply.summary
    assert host.current() == ""
    assert host.do(Observe(service=UNITS)).fields["sudo"] == "unneeded"


@pytest.mark.long
@pytest.mark.fault("F48")
def test_a_sudo_that_hangs_is_given_up_and_said(init: Init) -> None:
    """It may ask a directory of users that does not answer: two units are not waited for twice."""
    hangs = init.folder / "hangs"
    hangs.mkdir()
    (hangs / "sudo").write_text("#!/bin/sh\nsleep 100\n")
    (hangs / "sudo").chmod(0o755)
    host = _unprivileged(init)
    _installed(host)
    host.shell = replace(host.shell, env={**host.shell.env, "PATH": f"{hangs}:{host.shell.env['PATH']}"})
    began = time.monotonic()
    seen = host.do(Observe(service=UNITS), become="root")
    assert seen.fields["sudo"] == "refused"
    assert "systemctl restart shop.service: no answer within 10 s" in seen.fields["sudo_why"]
    reply = host.do(_activate("v1", "", UNITS), become="root")
    assert (reply.status, reply.code) == ("refused", "E_SUDO")
    assert time.monotonic() - began < 60
    assert host.current() == ""
