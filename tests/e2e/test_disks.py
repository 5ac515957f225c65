"""Disks that are full, fail, or are written to by somebody else, under whole rollouts."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

import pytest

from tests.disks import ext4, tmpfs
from tests.e2e.hosts import disk_of, tools
from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]
QUIET = "{ process: { command: [sh, -c, 'exec ./bin/serve >/dev/null 2>&1'], stop_timeout: 3s } }"


def hook(position: str, shell: str, where: str = "host") -> str:
    return f'min_in_service: 2\n  hooks: {{ {position}: {{ shell: "{shell}", where: {where} }} }}'


def only(host: str, shell: str) -> str:
    """Shell that does something on one host."""
    return f"case $ROLLOUT_HOST in {host}) {shell};; esac"


def untouched(lab: Lab, version: str = "v1") -> None:
    assert lab.all_on(version), lab.truth()


@pytest.mark.fault("F53", "F54", "F60", "F61")
def test_hosts_that_cannot_take_a_release_are_all_named_before_anything_leaves(lab: Lab) -> None:
    small, few, taken, open_ = lab.hosts
    with ExitStack() as disks:
        disks.enter_context(disk_of(lab, small, tmpfs(lab.fleet.host(small).root, "size=2m")))
        disks.enter_context(disk_of(lab, few, tmpfs(lab.fleet.host(few).root, "size=64m,nr_inodes=60")))
        done = lab.apply("v1")
        assert done.returncode == 0, done.stdout + done.stderr
        other = lab.fleet.host(taken).root / "releases" / "v2"
        shutil.copytree(other.with_name("v1"), other, symlinks=True)
        lab.fleet.host(open_).root.chmod(0o777)
        refused = lab.apply("v2", size_mb=1.0)
        assert refused.returncode == 6, refused.stdout + refused.stderr
        for code, host, words in (
            ("E_DISK", small, "bytes free"),
            ("E_DISK", few, "inodes free"),
            ("E_RELEASE_CONFLICT", taken, "other content"),
            ("E_ROOT", open_, "chmod o-w"),
        ):
            (line,) = [one for one in refused.stderr.splitlines() if code in one and host in one and "E_" in one]
            assert words in line, line
        assert (other / "VERSION").read_text() == "v1\n", "what is there is not written over"
        untouched(lab)
        lab.fleet.host(open_).root.chmod(0o755)


FULL = "dd if=/dev/zero of={root}/filler bs=64k 2>/dev/null"


@pytest.mark.fault("F53")
@pytest.mark.long
@pytest.mark.parametrize(("tool", "words"), [("head", "the upload cannot be written"), ("tar", "is full")])
def test_a_disk_that_fills_up_while_a_release_arrives(lab: Lab, tool: str, words: str) -> None:
    host = lab.hosts[1]
    root = lab.fleet.host(host).root
    with disk_of(lab, host, tmpfs(root, "size=24m")):
        assert lab.apply("v1").returncode == 0
        with tools(lab, host, **{tool: FULL.format(root=root)}):
            halted = lab.apply("v2", size_mb=2.0)
        assert halted.returncode == 6, halted.stdout + halted.stderr
        assert "E_DISK" in halted.stdout
        assert words in halted.stdout
        assert "No space left" in halted.stdout
        assert not (root / "releases" / "v2").exists()
        incoming = root / ".rollout" / "incoming"
        assert not incoming.exists() or not list(incoming.iterdir()), "nothing half is left"
        untouched(lab)
        (root / "filler").unlink()
        done = lab.apply("v2", size_mb=2.0)
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.all_on("v2")


NO_INODES = "i=0; while (: >>../../filler-$i) 2>/dev/null; do i=$((i + 1)); done; true"


@pytest.mark.fault("F54")
@pytest.mark.long
def test_a_host_without_inodes_at_the_swap_is_switched_and_back(lab: Lab) -> None:
    host = lab.hosts[0]
    root = lab.fleet.host(host).root
    with disk_of(lab, host, ext4(root, lab.folder / "disk", "-N", "256")):
        assert lab.apply("v1").returncode == 0
        done = lab.apply("v2", play={"extra": hook("before_switch", only(host, NO_INODES))})
        assert done.returncode == 0, done.stdout + done.stderr
        assert list(root.glob("filler-*"))
        assert lab.all_on("v2")
        back = lab.apply("v1", broken="unhealthy")
        assert back.returncode == 6, "there is no room for another one"


@pytest.mark.fault("F55")
def test_a_disk_that_fails_at_the_swap_leaves_its_host_on_the_old_release(lab: Lab) -> None:
    """The file system meets an error while its application runs on, and nobody can write any more."""
    host = lab.hosts[0]
    root = lab.fleet.host(host).root
    with disk_of(lab, host, ext4(root, lab.folder / "disk")) as device:
        assert lab.apply("v1", play={"service": QUIET}).returncode == 0
        breaks = only(host, f"echo broken >/sys/fs/ext4/{device}/trigger_fs_error")
        done = lab.apply("v2", play={"extra": hook("before_switch", breaks, "controller"), "service": QUIET})
        assert done.returncode == 3, done.stdout + done.stderr
        assert f"{host} failed at the switch" in done.stdout
        assert "Read-only file system" in done.stdout
        untouched(lab)
        again = lab.apply("v2", play={"service": QUIET})
        assert again.returncode == 6, again.stdout + again.stderr
        assert "Read-only file system" in again.stdout + again.stderr
        untouched(lab)


@pytest.mark.fault("F58")
def test_a_release_that_was_written_to_before_the_swap_is_not_switched_to(served: Lab) -> None:
    host = served.hosts[0]
    spoils = only(host, "echo x >>../v2/VERSION")
    done = served.apply("v2", play={"extra": hook("before_switch", spoils)})
    assert done.returncode == 3, done.stdout + done.stderr
    assert "E_TAMPERED" in done.stdout
    untouched(served)
    again = served.apply("v2")
    assert again.returncode == 6, "it is staged already, and looked at before anybody leaves"
    assert "E_TAMPERED" in again.stdout
    shutil.rmtree(served.fleet.host(host).root / "releases" / "v2")
    done = served.apply("v2")
    assert done.returncode == 0, "what is advised helps: " + done.stdout + done.stderr
    assert served.all_on("v2")
