"""Hosts that die in the middle, come back as somebody else, or have a clock and a umask of their own."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.hosts import login, tools
from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]
FAKETIME = next(map(str, Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "libfaketime is not there")


def stops_once(marker: Path, when: str) -> str:
    """Shell that hangs a tool the first time that something is so."""
    return f"if {when} && [ ! -e {marker} ]; then touch {marker}; sleep 60; fi"


def power_cycle(lab: Lab, host: str, marker: Path) -> None:
    """Wait until the host has come to some place, take its power, and give it back."""
    lab.wait(marker.exists, f"the host comes to {marker.name}")
    lab.fleet.crash_host(host)
    lab.fleet.start_host(host)


@pytest.mark.fault("F56", "F62")
def test_a_host_that_dies_in_the_upload_and_again_right_after_the_swap_comes_back_into_its_program(
    served: Lab,
) -> None:
    host = served.hosts[0]
    root = served.fleet.host(host).root
    unpacking, swapped = served.folder / "unpacking", served.folder / "swapped"
    first = {
        "tar": stops_once(unpacking, "true"),
        "sync": stops_once(swapped, f'[ "$(readlink {root}/current)" = releases/v2 ]'),
    }
    with tools(served, host, **first):
        served.release("v2")
        process = served.begin("v2", "-y", "--output", "plain", deadline="20s")
        served.wait(unpacking.exists, "the upload is unpacked")
        assert list((root / ".rollout" / "incoming").iterdir()), "half a release lies there"
        power_cycle(served, host, unpacking)
        served.wait(swapped.exists, "the link has moved")
        assert (served.current(host), served.serves(host)) == ("v2", ""), "and nothing of it has been started yet"
        power_cycle(served, host, swapped)
        text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert "outcome unknown" in text
    assert served.all_on("v2")
    assert not (root / ".rollout" / "incoming").exists(), "what was half is gone"


@contextmanager
def another_machine(lab: Lab, host: str) -> Iterator[None]:
    """Let another machine answer at the host's address, with the very same key."""
    at = lab.fleet.host(host)
    there = lab.folder / "machine-id"
    there.write_text("f" * 32 + "\n")
    lab.fleet.stop_host(host)
    sshd = f"mount --bind {there} /etc/machine-id && exec /usr/sbin/sshd -D -e -f {at.folder}/sshd_config"
    with at.log.open("ab") as log:
        size = at.log.stat().st_size
        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", sshd], stderr=log, start_new_session=True)
    lab.wait(lambda: b"Server listening" in at.log.read_bytes()[size:], "the other machine answers")
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        lab.fleet.start_host(host)


WAITS = "touch {folder}/here; while [ ! -e {folder}/go ]; do sleep 0.1; done"


@pytest.mark.fault("F66")
@pytest.mark.skipif(os.geteuid() != 0, reason="to give a process another machine id takes root")
def test_another_machine_at_the_address_of_a_host_is_not_worked_on(served: Lab) -> None:
    """Its key is the same, as of machines made from one image: what was observed was another one."""
    host = served.hosts[1]
    waits = served.folder / "waits"
    waits.write_text(f"#!/bin/sh\n[ $ROLLOUT_BATCH = 1 ] || {{ {WAITS.format(folder=served.folder)}; }}\n")
    waits.chmod(0o755)
    served.release("v2")
    extra = "min_in_service: 2\n  hooks: { before_batch: { run: [./waits], where: controller } }"
    process = served.begin("v2", "-y", "--output", "plain", extra=extra)
    served.wait((served.folder / "here").exists, "the first batch is over")
    with another_machine(served, host):
        (served.folder / "go").touch()
        text, _ = process.communicate(timeout=120)
    assert process.returncode == 3, text
    assert f"E_IDENTITY: another machine answers here: its machine id is {'f' * 32}" in text
    assert served.truth()[host] == ("v1", "v1", True), "it is as it was found"
    done = served.apply("v2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")


@pytest.mark.fault("F24", "F67")
@pytest.mark.long
def test_hosts_whose_clocks_are_wrong_are_switched_reverted_and_never_lose_a_release(served: Lab) -> None:
    back, ahead, turns, right = served.hosts
    with ExitStack() as clocks:
        for host, by in ((back, "-2h"), (ahead, "+400d")):
            clocks.enter_context(login(served, host, LD_PRELOAD=FAKETIME, FAKETIME=by))
        stamps = [_date(served, h) for h in (back, right, ahead)]
        assert stamps[0] < stamps[1] - 3600 < stamps[2] - 300 * 86400, "they are wrong indeed"
        with login(served, turns, LD_PRELOAD=FAKETIME, FAKETIME="+2h"):
            done = served.apply("v2")
            assert done.returncode == 0, done.stdout + done.stderr
        with login(served, turns, LD_PRELOAD=FAKETIME, FAKETIME="-2h"):  # it is set back in between
            bad = served.apply("v3", broken="unhealthy")
            assert bad.returncode == 4, bad.stdout + bad.stderr
            assert served.all_on("v2")
            again = served.apply("v1")
            assert again.returncode == 0, again.stdout + again.stderr
    assert served.all_on("v1")
    for host in served.hosts:
        kept = sorted(p.name for p in (served.fleet.host(host).root / "releases").iterdir())
        assert kept == ["v1", "v2"], f"{host}: what was good stays, and v3 was bad"


def _date(lab: Lab, host: str) -> float:
    """Ask a host for its time, as a step of ours would see it."""
    at = lab.fleet.host(host)
    words = ["ssh", "-F", "none", "-o", f"UserKnownHostsFile={lab.fleet.known_hosts}", "-i", str(lab.fleet.client_key)]
    done = subprocess.run([*words, "-p", str(at.ssh_port), "127.0.0.1", "date +%s"], capture_output=True, check=True)
    return float(done.stdout)


@pytest.mark.fault("F63")
@pytest.mark.long
def test_hosts_with_umasks_of_their_own_have_the_modes_that_they_must_have(lab: Lab) -> None:
    """A tight one that sshd was started with, and an open one that the shell's start-up file sets."""
    tight, loose, *_ = lab.hosts
    start_up = lab.fleet.host(loose).folder / "home" / ".bashrc"
    start_up.write_text("umask 000\n")
    try:
        with login(lab, tight, umask=0o077):
            for version in ("v1", "v2"):
                done = lab.apply(version)
                assert done.returncode == 0, done.stdout + done.stderr
    finally:
        start_up.unlink()
    assert lab.all_on("v2")
    found = [_modes(lab.fleet.host(h).root) for h in lab.hosts]
    assert found[0] == found[1] == found[2]
    assert found[0]["releases/v2/bin/serve"] == 0o755
    assert found[0]["releases/v2/VERSION"] == 0o644
    assert found[0][".rollout"] == 0o700
    assert not [p for p, mode in found[0].items() if mode & 0o022]


def _modes(root: Path) -> dict[str, int]:
    """The modes of what a release and its ledger are; what is named by a rollout or a process has other names."""
    paths = [
        root / ".rollout",
        root / ".rollout" / "ledger",
        *(root / "releases").rglob("*"),
        *(root / "shared").rglob("*"),
    ]
    return {str(p.relative_to(root)): stat.S_IMODE(p.lstat().st_mode) for p in paths if not p.is_symlink()}


@pytest.mark.fault("F68")
@pytest.mark.skipif(os.geteuid() != 0, reason="chattr takes root")
def test_what_cannot_be_removed_stops_nobody(served: Lab) -> None:
    """What an earlier upload left, a record of an earlier rollout and an old release, none of which may be deleted."""
    root = served.fleet.host(served.hosts[0]).root
    left = root / ".rollout" / "incoming" / "left.1" / "file"
    left.parent.mkdir(parents=True)
    left.write_text("x")
    stuck = [left, root / "releases" / "v1" / "VERSION", *(root / ".rollout" / "ops").iterdir()]
    subprocess.run(["chattr", "+i", *stuck], check=True)
    try:
        for version in ("v2", "v3", "v4"):
            began = time.monotonic()
            done = served.apply(version)
            assert done.returncode == 0, done.stdout + done.stderr
            assert time.monotonic() - began < 120
        assert served.all_on("v4")
    finally:
        found = subprocess.run(["find", root, "-type", "f"], capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )
        subprocess.run(["chattr", "-i", *filter(None, found)], check=True)
