"""A service that runs as a user of its own: two releases have what is the same in common, and each way works."""

from __future__ import annotations

import random

import pytest

from tests.systemd.fleet import ROOT
from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(180), pytest.mark.xdist_group("systemd")]


def test_what_is_the_same_is_one_file_and_the_way_back_is_whole(lab: SystemdLab) -> None:
    same = random.Random(1).randbytes(20_000).hex()
    playbook = lab.playbook()
    playbook.write_text(playbook.read_text().replace("  release:\n", "  release:\n    transfer: delta\n"))
    for version in ("v1", "v2"):
        lab.release(version, files={"assets/same": same, "assets/other": version})
        done = lab.type(*lab.words_of("apply", version))
        assert done.returncode == 0, said(done)
    assert "what differs from v1 to " in said(done)
    assert "copied" not in said(done)
    for host in lab.hosts:
        shared = lab.machine(host).try_(f"find {ROOT}/releases -samefile {ROOT}/releases/v1/assets/same").split()
        assert sorted(shared) == [f"{ROOT}/releases/{v}/assets/same" for v in ("v1", "v2")]
        assert lab.machine(host).try_(f"cat {ROOT}/releases/v1/assets/other") == "v1"
    done = lab.type("rollback", *lab.words_of("apply", "v1")[1:])
    assert done.returncode == 0, said(done)
    assert lab.all_on("v1")
