"""Transcripts end as they are told: each command with its code, the fleet in order, no rule of the referee broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import cancelled, controllers
from tests.e2e.lab import Lab
from tests.e2e.transcript import Transcript

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("told", [cancelled.transcript, controllers.transcript], ids=["cancelled", "controllers"])
def test_a_transcript_ends_as_it_is_told(served: Lab, told: Callable[[Transcript], bool]) -> None:
    assert told(Transcript(served))
