"""Bad releases on real systemd: halted, explained, and brought back by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.sampling import sampled
from tests.systemd.fleet import unit_of
from tests.systemd.lab import SystemdLab, said
from tests.systemd.releases import LINGERING, MAYFLY

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]


@dataclass(frozen=True)
class Bad:
    """A release that must go back, under a unit, and what `rollout show` says of it."""

    says: tuple[str, ...]
    release: dict[str, Any] = field(default_factory=dict)
    unit: str = ""
    kind: str = "simple"
    play: dict[str, Any] = field(default_factory=dict)


ALWAYS = "Restart=always\nRestartSec=100ms"
BAD = {
    "cannot-start": Bad(
        kind="exec",
        release={"files": {"bin/serve": "#!/nonexistent\n"}},
        says=("systemctl restart shop.service failed (exit-code)", "status=203/EXEC", "cause: the release"),
    ),
    "ends-at-once": Bad(
        release={"broken": "exits"},
        play={"deadline": "20s"},  # and is not waited for
        says=("the unit has ended", "serve[", "this release cannot start", "Active: failed"),
    ),
    "unhealthy": Bad(
        release={"broken": "unhealthy"},
        play={"deadline": "2s"},
        says=("500, asked for 200", "Active: active (running)", "version unhealthy serves on port 8080"),
    ),
    "crash-loop": Bad(
        unit=ALWAYS,
        release={"broken": "exits"},
        play={"deadline": "2s"},
        says=("systemd has started it again", "Scheduled restart job", "this release cannot start"),
    ),
    # Every probe is answered well, and whenever a process is found it is of the release.
    "mayfly": Bad(
        unit=f"{ALWAYS}\nRestartSec=0\nKillMode=process",
        release={"files": {"bin/serve": MAYFLY}},
        play={"deadline": "12s", "healthy_for": "2s"},  # what it leaves behind keeps the port for seven
        says=("systemd has started it again", "Scheduled restart job"),
    ),
}


@pytest.mark.fault("F69")
@pytest.mark.parametrize("name", sampled(BAD, ("cannot-start",)))
def test_a_bad_release_goes_back_and_says_why(served: SystemdLab, name: str) -> None:
    bad = BAD[name]
    served.fleet.each(lambda m: m.set_up(unit_of(bad.unit, bad.kind)))
    done = served.apply(name, play=bad.play, **bad.release)
    served.reverted(done, *bad.says)
    assert served.current("web2") == "v1"


@pytest.mark.fault("F70")
def test_an_answer_of_the_old_process_never_counts(lab: SystemdLab) -> None:
    """The stopped unit leaves a process behind that answers 200, while the new release does not come up."""
    lab.fleet.each(lambda m: m.set_up(unit_of("KillMode=process\nRestart=always\nRestartSec=2s")))
    done = lab.apply("v1", files={"bin/serve": LINGERING})
    assert done.returncode == 0, said(done)
    lab.playbook()
    done = lab.apply("v2", broken="exits", play={"any_version": True, "deadline": "5s"})
    lab.reverted(done, "systemd has started it again")
    reasons = ("no process of v2 runs; something else answers the checks", "not healthy long enough")
    assert any(reason in said(done) for reason in reasons), said(done)  # the other while v2 is about to fail


@pytest.mark.fault("F77")
def test_a_unit_that_does_not_stop_in_time_is_killed_by_systemd(lab: SystemdLab) -> None:
    done = lab.apply("v1", broken="deaf")
    assert done.returncode == 0, said(done)
    done = lab.apply("v2")
    assert done.returncode == 0, said(done)
    assert lab.all_on("v2")
    journal = lab.machine("web1").run("journalctl", "-u", "shop.service", "--no-pager", "-n", "40")
    assert "State 'stop-sigterm' timed out. Killing." in journal


@pytest.mark.long
@pytest.mark.fault("F77")
def test_a_written_timeout_holds_behind_sudo_and_blames_what_did_not_stop(lab: SystemdLab) -> None:
    """`timeout` cannot kill what sudo runs for root: the step ends without it, and the host is named."""
    done = lab.apply("v1", broken="deaf")
    assert done.returncode == 0, said(done)
    lab.fleet.each(lambda m: m.set_up(unit_of("TimeoutStopSec=60")))
    done = lab.apply("v2", play={"service": "{ systemd: { unit: shop.service, timeout: 1s } }"})
    assert done.returncode == 5, said(done)
    assert "E_STOP: systemctl restart shop.service: what ran before did not end within 1 s" in lab.shown()
    assert [h for h in lab.hosts if not lab.member(h).in_rotation] == ["web1"]
    assert lab.current("web2") == "v1"


def test_a_first_release_that_fails_leaves_nothing_running(lab: SystemdLab) -> None:
    done = lab.apply("v1", broken="unhealthy", play={"deadline": "2s"})
    assert done.returncode == 4, said(done)
    for host in lab.hosts:
        assert lab.current(host) == ""
        assert lab.machine(host).shown("ActiveState") == "inactive"
    lab.machine("web1").run("test", "-d", "/srv/shop/releases/v1")
