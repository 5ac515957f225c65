"""``python -m tests.e2e.cancelled``: a job that is cancelled as a pipeline does it, and the next one.

INT, TERM 7.5 s later, KILL 2.5 s after that, while a host is out and what was begun there takes longer. The next job
says ``--recover``, as every job of the pipeline does. A referee watches it all.
"""

from __future__ import annotations

import signal
import time

from tests.e2e.transcript import Transcript, begun, printed
from tests.referee.watching import begin, place_of, rollouts_of

SLOW = "min_in_service: 2\n  hooks: { after_service: { shell: 'sleep 20' } }"
WAYS = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5), (signal.SIGKILL, 0.0))
SHOP = "shop.yml -i lab/inventory.ini"


def transcript(told: Transcript) -> bool:
    """Tell it; return whether all ended as it should."""
    lab = told.lab
    state = ["--state", str(lab.state)]
    before = rollouts_of(lab)
    referee = begin(place_of(lab), lab.folder)
    lab.release("v2")
    print(f"job 1$ rollout apply {SHOP} -e version=v2 --recover")
    job = lab.begin("v2", "-y", "--recover", "--output", "plain", extra=SLOW)
    lab.wait(lambda: begun(lab, "run"), "the task after the switch, which takes longer than a pipeline waits")
    for number, then_s in WAYS:
        job.send_signal(number)
        told.say(f"{number.name} to the job")
        time.sleep(then_s)
    said, _ = job.communicate(timeout=20)
    told.said(said)
    print(f"exit {job.returncode}\n")
    codes = [job.returncode]
    told.typed("rollout status", ["status", *state])
    lab.release("v3")
    lab.playbook()
    words = lab.words_of("apply", "v3", "--recover", "--output", "plain")
    codes.append(told.typed(f"rollout apply {SHOP} -e version=v3 --recover", words, "job 2").returncode)
    old, new = (str(r["id"]) for r in reversed(lab.read("history")[:2]))
    for rollout in (old, new):
        codes.append(told.typed(f"rollout audit verify {rollout}", ["audit", "verify", rollout, *state]).returncode)
    told.typed("rollout history", ["history", *state])
    told.truth()
    held = told.verdict(referee, before)
    return codes == [-signal.SIGKILL, 0, 0, 0] and held and lab.all_on("v3")


if __name__ == "__main__":
    raise SystemExit(printed("cancelled", transcript))
