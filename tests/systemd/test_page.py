"""The page of the docs that starts machines of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.test_docs import MACHINES, typed

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]


@pytest.mark.long
def test_the_lab_of_machines_is_typed_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    typed(MACHINES, tmp_path)
