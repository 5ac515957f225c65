"""Releases go out to machines with real systemd, by an SSH user who may restart one unit and nothing else."""

from __future__ import annotations

import pytest

from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]


def test_first_release_then_the_next_in_batches(lab: SystemdLab) -> None:
    done = lab.apply("v1")
    assert done.returncode == 0, said(done)
    assert lab.all_on("v1")
    done = lab.apply("v2")
    assert done.returncode == 0, said(done)
    assert lab.all_on("v2")
