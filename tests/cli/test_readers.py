"""A reader that has seen enough."""

from __future__ import annotations

import os
from contextlib import redirect_stdout, suppress

from rollout.cli.request import showing
from tests.store.stories import started


def test_a_plan_that_is_not_read_to_its_end_stops_nothing() -> None:
    """``rollout apply … | head -1``: the reader may leave between two lines of the plan."""
    shown = False
    read, write = os.pipe()
    os.close(read)
    with suppress(BrokenPipeError), open(write, "w") as out, redirect_stdout(out):
        showing("plain").plan(started().plan)
        shown = True
    assert shown
