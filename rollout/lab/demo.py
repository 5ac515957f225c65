"""The demo: six real hosts behind a real HAProxy, users coming in all the time, three rollouts.

``scripts/demo`` runs it. v1 is the first deploy, v2 is rolled out in batches, v3 never becomes
healthy: it is halted and reverted. It ends with 0 only when each rollout ended as it should and no
user saw a failure during v2 and v3. The rollouts are the command that anybody types.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollout.errors import RolloutError
from rollout.lab.load import Load, Summary
from rollout.lab.loopback import Fleet

PLAYBOOK = Path("playbooks/demo.yml")
HEALING_S = 120.0  # what a rollout may need to heal what is in flight when the demo is interrupted
MARGIN_S = 0.5  # users come in for so long before and after each rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One rollout of the demo: how it has to end, and which versions users may have been served."""

    version: str
    says: str
    code: int
    versions: frozenset[str]
    failures: bool = False  # users come before anything serves them: only in the first deploy


ACTS = (
    Act(version="v1", says="the first deploy", code=0, versions=frozenset({"v1"}), failures=True),
    Act(version="v2", says="rolled out in batches", code=0, versions=frozenset({"v1", "v2"})),
    Act(version="v3", says="broken: halted and reverted", code=4, versions=frozenset({"v2"})),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a rollout ended, and what users saw meanwhile. Seconds."""

    act: Act
    code: int
    wall_s: float
    users: Summary
    wrong: tuple[str, ...] = field(default=())


def judged(act: Act, code: int, users: Summary, serving: Sequence[str | None]) -> tuple[str, ...]:
    """Return what is not as it should be; ``serving`` is what each host serves afterwards."""
    wrong = []
    if code != act.code:
        wrong.append(f"it ended with {code}, not {act.code}")
    if users.failed and not act.failures:
        wrong.append(f"{users.failed} requests failed ({users.failures})")
    if strange := sorted(set(users.served) - act.versions):
        wrong.append(f"users were served {', '.join(strange)}")
    if not users.served:
        wrong.append("users were served nothing")
    after = act.version if act.code == 0 else "v2"
    if set(serving) != {after}:
        wrong.append(f"afterwards the hosts serve {sorted(map(str, set(serving)))}, not {after}")
    return tuple(wrong)


def play(act: Act, fleet: Fleet, rate: float) -> Played:
    """Roll one version out while users come in."""
    argv = [str(Path(sys.executable).with_name("rollout")), "apply", str(PLAYBOOK), "-i", str(fleet.inventory)]
    argv += ["-e", f"version={act.version}", "--state", str(fleet.folder / "state.db"), "-y"]
    print(f"\n==> {act.version}, {act.says}\n$ {shlex.join(['rollout', *argv[1:]])}", flush=True)
    with Load.start(fleet.url, fleet.folder / f"load-{act.version}", rate=rate) as load:
        time.sleep(MARGIN_S)
        began = time.monotonic()
        code = _run(argv)
        wall_s = time.monotonic() - began
        time.sleep(MARGIN_S)
        users = load.stop()
    serving = [fleet.serves(host) for host in fleet.hosts]
    played = Played(act=act, code=code, wall_s=wall_s, users=users, wrong=judged(act, code, users, serving))
    print(f"exit code {code} after {wall_s:.1f} s; {_users(users)}", flush=True)
    return played


def _run(argv: Sequence[str]) -> int:
    """Run a rollout to its end; interrupted, it is told so and given the time to heal its hosts."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:  # noqa: S603 (our own argv)
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(HEALING_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def _users(users: Summary) -> str:
    served = ", ".join(f"{count} by {version}" for version, count in users.served.items()) or "none"
    return f"{users.sent} requests sent, served: {served}; failed: {users.failed}"


def table(plays: Sequence[Played]) -> list[str]:
    """Return what happened, a line for each rollout."""
    rows = [("RELEASE", "EXIT", "WALL", "SENT", "SERVED", "FAILED", "P50", "P99", "MAX")]
    for played in plays:
        users = played.users
        served = " ".join(f"{version}:{count}" for version, count in users.served.items()) or "-"
        times = (f"{users.p50_ms:.0f} ms", f"{users.p99_ms:.0f} ms", f"{users.max_ms:.0f} ms")
        code = f"{played.code}" if played.code == played.act.code else f"{played.code} (not {played.act.code})"
        rows.append(
            (played.act.version, code, f"{played.wall_s:.1f} s", f"{users.sent}", served, f"{users.failed}", *times)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let TERM and HUP end the demo as Ctrl-C does: everything is taken down on the way.

    Ctrl-C counts also where a shell had it ignored (a job in the background): the rollouts heed it there too.
    """

    def stop(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    yield


def demo(hosts: int, rate: float) -> int:
    """Play all acts on a fleet of their own; return the exit code."""
    plays: list[Played] = []
    with (
        _interruptible(),
        tempfile.TemporaryDirectory(prefix="rollout-demo-") as folder,
        Fleet.up(Path(folder) / "lab", hosts) as fleet,
    ):
        print(f"{hosts} hosts are up, each with an sshd of its own, and HAProxy before them: {fleet.url}")
        for act in ACTS:
            plays.append(play(act, fleet, rate))
            if plays[-1].code != act.code:
                break  # what follows builds on it
    print("\n" + "\n".join(table(plays)))
    print("\nv1 is the first deploy: requests fail until its first host serves.")
    for played in plays:
        for wrong in played.wrong:
            print(f"NOT AS IT SHOULD BE: {played.act.version}: {wrong}")
    if len(plays) == len(ACTS) and not any(played.wrong for played in plays):
        print("v2 and v3 were rolled out, and v3 brought back, without one failed request. Nothing is left running.")
        return 0
    return 1


def main() -> int:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, default=6, help="how many hosts (default: 6)")
    parser.add_argument("--rate", type=float, default=150.0, help="requests a second (default: 150)")
    options = parser.parse_args()
    try:
        return demo(options.hosts, options.rate)
    except RolloutError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted; everything that was started is down.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
