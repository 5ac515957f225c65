"""A fleet under systemd that something else deployed: the SSH user may not look into the service's process."""

from __future__ import annotations

import pytest

from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]
OLD = "20260101120000"

# As if another tool had put the release there: no ledger, no manifest, a name of its own, an absolute link.
LEFT = f"""set -e
cd /srv/shop
rm -rf .rollout releases/v1/.rollout-manifest
mv releases/v1 releases/{OLD}
ln -s /srv/shop/releases/{OLD} next
chown -h deploy:deploy next
mv -T next current
systemctl restart shop.service
"""


def test_it_is_taken_over_drained_put_back_and_restarted(lab: SystemdLab) -> None:
    done = lab.apply("v1")
    assert done.returncode == 0, said(done)
    lab.fleet.each(lambda m: m.run("sh", "-c", LEFT))
    lab.wait(lambda: all(lab.member(h).up for h in lab.hosts), "they serve again")
    lab.state.unlink()  # as if it had never been
    words = [str(lab.folder / "shop.yml"), "-i", str(lab.fleet.inventory), "--state", str(lab.state)]
    taken = lab.type("adopt", *words)
    assert taken.returncode == 0, said(taken)
    for verb in ("drain", "register"):
        done = lab.type(verb, lab.hosts[0], "-p", *words)
        assert done.returncode == 0, f"{verb}: {said(done)}"
    bad = lab.apply("v2", broken="unhealthy")
    assert bad.returncode == 4, said(bad)
    assert {lab.serves(h) for h in lab.hosts} == {"v1"}, "what is adopted calls itself what it did before"
    assert lab.current(lab.hosts[0]) == OLD
    restarted = lab.type("restart", *words)
    assert restarted.returncode == 0, said(restarted)
