"""The fleet that is kept from test to test is not taken for ours when others had it in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.kept import applied, ready
from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.long]


def test_what_is_kept_begins_anew_after_somebody_else(kept: Lab, served: Lab, tmp_path: Path) -> None:
    """Any order of tests is one that several test processes may take."""
    assert served.all_on("v1"), "one release on every host, as if it had been kept"
    anew = tmp_path / "anew"
    anew.mkdir()
    ready(kept, anew)
    done, version = applied(kept)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.all_on(version)
