"""``python -m tests.secrets``: the canary run, whole, and a table of every place that was looked at.

Ends with 1 when a canary was found where none may be, or a place did not even show the control.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rollout.lab.loopback import Fleet
from tests.e2e.lab import Lab
from tests.secrets.canary import DECLARED, Run
from tests.secrets.watch import missing

WAYS = ("show", "show --json", "events", "events --json", "audit export")


def main() -> int:
    """Run it, print the table, return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet.up(Path(folder) / "lab", 2, check_ms=300)
        try:
            return report(Run(Lab(fleet=fleet, folder=Path(folder))))
        finally:
            fleet.down()


def report(run: Run) -> int:
    """Let the canaries fly, and say where they were seen."""
    run.prepare()
    with run.watch as watch:
        run.plan("v1")
        run.quiet("v1")
        for number, output in enumerate(("json", "github", "gitlab", "plain"), start=2):
            run.loud(f"v{number}", output)
        run.crash("v9")
    run.read(*WAYS)
    leaks, blind = run.leaks(), run.blind()
    print(f"{'PLACE':20} {'BYTES':>9} {'CONTROL':9} CANARIES")
    for name, data in run.sinks.items():
        print(f"{name:20} {len(data):9} {'NOT SEEN' if name in blind else 'seen':9} {len(leaks.get(name, ()))}")
    unproven = missing(watch.proven, ("cmdline", "environ", "temporary"))
    for place in ("cmdline", "environ", "temporary"):
        found = {what for where, what in watch.hits - DECLARED if where == place}
        print(
            f"{place:20} {watch.samples:9} {'NOT SEEN' if place in unproven else 'seen':9} {len(found)} {found or ''}"
        )
    print(f"where somebody put one: {', '.join(sorted(what for _, what in watch.hits & DECLARED))}")
    return int(bool(leaks or blind or unproven or watch.hits - DECLARED))


if __name__ == "__main__":
    sys.exit(main())
