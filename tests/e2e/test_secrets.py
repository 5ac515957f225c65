"""The canary run in short: secrets over real hosts, and in no other place."""

from __future__ import annotations

import pytest

from tests.e2e.lab import Lab
from tests.secrets.canary import DECLARED, Run
from tests.secrets.watch import missing


@pytest.mark.timeout(400)
def test_secrets_are_where_they_are_sent_and_nowhere_else(lab: Lab) -> None:
    run = Run(lab, width=1)
    run.prepare()
    with run.watch as watch:
        run.quiet("v1")
        run.loud("v2", "json")
        run.crash("v3")
    run.read("show", "events --json", "audit export")
    assert run.leaks() == {}
    assert run.blind() == [], "each of them is looked at"
    assert watch.hits - DECLARED == set()
    assert missing(watch.proven, ("cmdline", "environ", "temporary")) == []
    assert b"***" in run.sinks["apply, json"], "what was printed is shown without it"
