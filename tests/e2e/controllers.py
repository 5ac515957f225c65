"""``python -m tests.e2e.controllers``: two controllers; one is frozen, the other takes over, the first wakes up.

The first runs in a pid namespace of its own: seen from the second it is on another machine, where nobody can look
whether it lives. So the second is refused until the lease was silent for a minute. A referee watches it all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.e2e.lab import Lab
from tests.e2e.transcript import Transcript, printed
from tests.referee.watching import begin, place_of, rollouts_of

SLOW = "min_in_service: 2\n  hooks: { after_service: { shell: 'sleep 3' } }"
SILENT_S = 60.0
SHOP = "shop.yml -i lab/inventory.ini"


def elsewhere(lab: Lab, version: str) -> tuple[subprocess.Popen[str], int]:
    """Begin an apply as from another machine; return it, and the pid of the controller itself."""
    lab.release(version)
    lab.playbook(extra=SLOW)
    argv = lab.command(*lab.words_of("apply", version, "-y", "--output", "plain"))
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "CI": ""},
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pid = lab.wait(lambda: children.read_text().split(), "the controller")[0]
    return process, int(pid)


def transcript(told: Transcript) -> bool:
    """Tell it; return whether all ended as it should."""
    lab = told.lab
    state = ["--state", str(lab.state)]
    lab.release("v3")
    before = rollouts_of(lab)
    referee = begin(place_of(lab), lab.folder)
    print(f"one$ rollout apply {SHOP} -e version=v2 &")
    first, pid = elsewhere(lab, "v2")
    lab.wait(lambda: lab.serves("lab1") == "v2" and lab.current("lab2") == "v2", "the second batch is on its way")
    os.kill(pid, signal.SIGSTOP)
    told.say(f"SIGSTOP to the controller, in the middle of the second batch: {', '.join(_out(lab))} are out")
    frozen = time.monotonic()
    rollout = str(lab.last()["id"])
    codes = [told.typed("rollout heal R2", ["heal", rollout, *state], "two").returncode]
    codes.append(told.typed(f"rollout apply {SHOP} -e version=v3", lab.words_of("apply", "v3"), "two").returncode)
    time.sleep(max(0.0, SILENT_S + 2 - (time.monotonic() - frozen)))
    told.say("the lease was silent for a minute")
    codes.append(told.typed("rollout heal R2", ["heal", rollout, *state, "--output", "plain"], "two").returncode)
    os.kill(pid, signal.SIGCONT)
    told.say("SIGCONT to the first controller; it says:")
    said, _ = first.communicate(timeout=120)
    told.said(said)
    print(f"exit {first.returncode}\n")
    codes += [first.returncode, told.typed("rollout audit verify R2", ["audit", "verify", rollout, *state]).returncode]
    told.typed("rollout status", ["status", *state])
    told.truth()
    held = told.verdict(referee, before)
    return codes == [7, 7, 0, 7, 0] and held and not _out(lab)


def _out(lab: Lab) -> list[str]:
    return [h for h in lab.hosts if not lab.member(h).in_rotation]


if __name__ == "__main__":
    raise SystemExit(printed("controllers", transcript))
