"""Rollouts over machines with systemd, watched by a referee from the other side of the kernel."""

from __future__ import annotations

import pytest

from tests.referee.watching import place_of_machines, refereed
from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd"), pytest.mark.timeout(600)]


def test_a_bad_release_is_seen_as_it_is_told(served: SystemdLab) -> None:
    """Links and processes of the machines, the balancer before them, and users: all rules hold there too."""
    with refereed(served, place_of_machines(served)) as referee:
        bad = served.apply("bad", broken="unhealthy")
        assert bad.returncode == 4, said(bad)
        log = referee.log
    assert '"proc": [[' in log.read_text(), "the processes of the machines were seen"


@pytest.mark.long
def test_a_controller_that_dies_over_machines(lab: SystemdLab) -> None:
    assert lab.apply("v1").returncode == 0
    with refereed(lab, place_of_machines(lab)):
        lab.release("v2", start_s=2.0)
        process = lab.begin("v2", "-y", "--output", "plain", healthy_for="1s")
        lab.wait(lambda: lab.current(lab.hosts[0]) == "v2", "the first switch")
        process.kill()
        process.communicate(timeout=20)
        done = lab.type("resume", lab.last()["id"], "--state", str(lab.state), "--output", "plain")
        assert done.returncode == 0, said(done)
        audit = lab.type("audit", "verify", lab.last()["id"], "--state", str(lab.state))
        assert audit.returncode == 0, said(audit)
    assert lab.all_on("v2")
