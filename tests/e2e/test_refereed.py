"""The referee itself: what is done behind rollout's back is seen, and breaks the rule that it should break."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from rollout.lab.hosts import MARK
from rollout.model.pool import Member, Rotation
from tests.e2e.lab import Lab
from tests.referee.log import Log, read_file
from tests.referee.rules import broken
from tests.referee.watching import begin, place_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def another_release_serves(lab: Lab, host: str) -> subprocess.Popen[bytes]:
    """End the app of a host, and start one of another release in its place."""
    lab.release("v2")
    folder = lab.folder / "by-hand"
    folder.mkdir()
    subprocess.run(["tar", "-xzf", lab.folder / "dist/shop-v2.tar.gz", "-C", folder, "--strip=1"], check=True)
    for pid in lab.fleet.apps(host):
        os.kill(pid, signal.SIGKILL)
    env = {MARK: f"{lab.fleet.state.mark}/{host}", "PORT": str(lab.fleet.host(host).app_port), "PATH": os.defpath}
    return subprocess.Popen([sys.executable, "bin/serve"], cwd=folder, env=env, stdout=subprocess.DEVNULL)


def seen(lab: Lab) -> Log:
    """Return the log of a referee that watched while somebody did all this by hand."""
    one, two = (lab.fleet.host(h).root for h in ("lab1", "lab2"))
    referee = begin(place_of(lab, rate=100), lab.folder)
    other = None
    try:
        time.sleep(0.3)
        (one / "current").unlink()
        time.sleep(0.3)
        (one / "current").symlink_to("releases/v1")
        (two / "releases" / "half").mkdir()
        (two / "next").symlink_to("releases/half")
        (two / "next").rename(two / "current")
        lab.balancer.set({Member("lab3"): Rotation.MAINT})
        other = another_release_serves(lab, "lab4")
        lab.wait(lambda: lab.serves("lab4") == "v2" and lab.member("lab4").in_rotation, "the other release is served")
        time.sleep(1.0)
        referee.journals(lab)
        referee.end()
    finally:
        referee.kill()
        if other is not None:
            other.kill()
            other.wait()
    return read_file(referee.log)


def test_the_referee_sees_what_is_done_behind_rollouts_back(served: Lab) -> None:
    found = broken(seen(served))
    assert any("lab1" in line and "current is gone" in line for line in found["I4"]), found
    assert any("lab2" in line and "'half', which is not complete" in line for line in found["I4"]), found
    assert [line for line in found["I7"] if "lab3 of shop: admin 0, weight 1 became 1" in line], found
    assert any("got v2 from lab4, which is believed to run v1" in line for line in found["I8"]), found
    assert any("lab2 is believed to be on 'v1'" in line for line in found["I3"]), found
    assert any("lab3 is believed to be in" in line for line in found["I3"]), found
    assert not any(found[rule] for rule in ("I1", "I2", "I21", "SEEN")), found
