"""``current`` that is no link into releases/: refused before anything leaves, and what is advised helps (F59)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.disks import tmpfs
from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.fault("F59"), pytest.mark.timeout(300), pytest.mark.long]


def relink(root: Path, target: Path | str) -> None:
    (root / "current").unlink()
    (root / "current").symlink_to(target)


def advised(said: str) -> list[str]:
    """Return the commands that a refusal tells to type, one line for each host."""
    told = [line.partition("There, type: ")[2] for line in said.splitlines() if "There, type: " in line]
    return [line.partition(". It is then")[0] for line in told]


def typed(commands: list[str]) -> None:
    for command in commands:
        subprocess.run(["/bin/sh", "-c", command], check=True)


def test_a_current_that_was_moved_is_refused_and_what_is_advised_helps(served: Lab, tmp_path: Path) -> None:
    dangling, plain, chain, away = (served.fleet.host(h).root for h in served.hosts)
    relink(dangling, "releases/gone")
    (plain / "current").unlink()
    shutil.copytree(plain / "releases" / "v1", plain / "current", symlinks=True)
    (chain / "latest").symlink_to(chain / "releases" / "v1")
    relink(chain, "latest")
    with tmpfs(tmp_path / "away"):
        shutil.copytree(away / "releases" / "v1", tmp_path / "away" / "v1", symlinks=True)
        relink(away, tmp_path / "away" / "v1")
        refused = served.apply("v2")
        assert refused.returncode == 6, refused.stdout + refused.stderr
        assert refused.stderr.count("E_CURRENT_NOT_LINK") == 4
        assert all(served.serves(h) == "v1" and served.member(h).in_rotation for h in served.hosts)
        assert (plain / "current").is_dir(), "what a person put there is left to that person"
        typed(advised(refused.stderr))
        done = served.apply("v2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")
    bad = served.apply("v3", broken="unhealthy")
    assert bad.returncode == 4, bad.stdout + bad.stderr
    assert served.all_on("v2"), "and there is a way back again"


def test_a_current_that_leads_nowhere_on_a_host_without_releases_becomes_a_first_release(served: Lab) -> None:
    host = served.hosts[1]
    root = served.fleet.host(host).root
    served.fleet.crash_host(host)
    served.fleet.start_host(host)
    served.wait(lambda: not served.member(host).up, "its balancer sees that it is gone")
    shutil.rmtree(root / "releases" / "v1")
    refused = served.apply("v2")
    assert refused.returncode == 6, refused.stdout + refused.stderr
    assert refused.stderr.count("E_") == 1, refused.stderr
    assert "leads to releases/v1, where no directory is" in refused.stderr
    typed(advised(refused.stderr))
    done = served.apply("v2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")


def test_a_current_by_its_whole_path_is_a_link_into_releases(served: Lab) -> None:
    for host in served.hosts:
        root = served.fleet.host(host).root
        relink(root, root / "releases" / "v1")
    bad = served.apply("v2", broken="unhealthy")
    assert bad.returncode == 4, bad.stdout + bad.stderr
    assert served.all_on("v1")
    done = served.apply("v3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v3")
