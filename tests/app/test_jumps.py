"""What a rollout keeps open of jump hosts, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.app.outside import Acting, opened
from rollout.balancers.via import Fence
from rollout.model.host import HostName
from tests.sshd import Sshd
from tests.transports.test_jumps import behind, ends, hop, logins, serving

WEB1 = HostName("web1")


@pytest.mark.timeout(60)
def test_a_bastion_is_kept_while_all_behind_it_are_lost_and_closed_at_the_end(tmp_path: Path) -> None:
    gate, target = Sshd(tmp_path / "gate"), Sshd(tmp_path / "target")
    way = behind(target, hop(gate), known=(gate, target))
    fence = Fence(environment="default", app="shop", rollout="1")
    try:
        with opened([Acting(connections={WEB1: way}, pools=(), fence=fence)]) as (outside,):
            for _ in range(2):
                outside.sessions.drop(WEB1, outside.sessions.get(WEB1))
            assert logins(target) == 2
            assert logins(gate) == 1
            assert serving(gate)
        assert ends(lambda: not serving(gate))
    finally:
        gate.stop()
        target.stop()
