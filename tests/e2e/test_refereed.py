"""Rollouts that a referee watches, from outside and every 20 ms: what rollout says is held against what was so."""

from __future__ import annotations

import pytest

from tests.e2e.lab import Lab
from tests.referee.watching import refereed

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def audited(lab: Lab) -> None:
    done = lab.type("audit", "verify", lab.last()["id"], "--state", str(lab.state))
    assert done.returncode == 0, done.stderr


def test_a_good_rollout(served: Lab) -> None:
    with refereed(served):
        done = served.apply("v2")
        assert done.returncode == 0, done.stdout + done.stderr
        audited(served)
    assert served.all_on("v2")
