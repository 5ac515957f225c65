"""What is said of a rollout whose state cannot be written: what it does about it, and who stands where, from memory."""

from __future__ import annotations

from collections.abc import Callable

from rollout.engine.recovery import task_in_flight, unsettled
from rollout.engine.rollout import Rollout
from rollout.errors import StateGone, StoreError, WentBack
from rollout.model.event import Event, HaltOrdered
from rollout.model.verdict import Cause
from rollout.report.standing import standing
from rollout.report.text import duration
from rollout.store.patient import PATIENCE_S, PatientJournal

Say = Callable[[str], None]
SIGNALLED = {"SIGINT": 130, "SIGTERM": 143}
ANEW = "Where that is lost for good, begin a new one with what is on the hosts: rollout adopt PLAYBOOK --state-lost"


def halted(put: Callable[[Event], None], say: Say, error: StoreError) -> None:
    """Halt when the state cannot be written: nobody begins to leave, and who is half-way goes back."""
    put(HaltOrdered(cause=Cause.CONTROLLER, reason=f"the state could not be written: {error.said}", revert=False))
    say(error.said)
    if isinstance(error, StateGone):
        say("no further host leaves, and who is half-way is put back now: nobody else knows of it any more")
    else:
        say(
            "no further host leaves. Nothing is to be typed: this command tries again for "
            f"{duration(PATIENCE_S)}, and puts back who is half-way once that can be written"
        )


def ended(say: Say, rollout: str, state: Rollout, journal: PatientJournal) -> None:
    """Say what the state knows of a rollout that it failed in and that has ended, and what is so."""
    if not journal.behind:
        say(f"the state could be reached again, and knows how it ended: rollout status {rollout}")
        return
    say("what is so, as this command remembers it:")
    for line in standing(state):
        say(f"  {line}")
    if journal.gone:
        say(f"the state is gone. Bring it back from a backup, or name the right one with --state. {ANEW}")
    elif isinstance(journal.failure, WentBack):
        say(f"once a server answers that has it: rollout heal {rollout} looks at the hosts, and ends it there too")
        say(ANEW)
    else:
        say(f"when it can be written: rollout heal {rollout} looks at the hosts, and ends it there too")


def unknown(say: Say, rollout: str, state: Rollout, failure: StoreError | None) -> None:
    """Say who is not known to be in order when a rollout stops as it is, and what to type."""
    say("stopped without waiting. What is so, as this command remembers it:")
    for line in standing(state):
        say(f"  {line}")
    if isinstance(failure, WentBack):
        say("what is there now knows nothing of that: once a server answers that has this rollout, type as follows")
    say(f"to put back what is in flight: rollout heal {rollout}; to go on: rollout resume {rollout}")
    say(f"to bring the fleet back: rollout revert {rollout}")
    if isinstance(failure, WentBack):
        say(ANEW)


def displaced(say: Say, state: Rollout) -> None:
    """Say what is so where another rollout has begun in a state that knows nothing of this one."""
    say("what is so, as this command remembers it and the state does not:")
    for line in standing(state):
        say(f"  {line}")
    say(ANEW)


def exit_code(state: Rollout, signal: str, failure: StoreError | None) -> int:
    """Return what a rollout ends with that stops as it is: 130 and 143 say that nothing is half-way (playbook.md)."""
    if failure is not None:
        return failure.exit_code
    if any(unsettled(play) or play.stranded or task_in_flight(play) for play in state.plays):
        return 5
    return SIGNALLED[signal]


def wait_s(journal: PatientJournal) -> float:
    """Return how long healing may have to wait for the state before it begins."""
    return PATIENCE_S if journal.behind else 0.0
