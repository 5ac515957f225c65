"""F1 to F15: what befalls the controller and its journal."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {
    "F1": Row(
        what="the controller is killed at a place of its journal",
        ends="resume, heal or revert ends it with 0; nobody is out of rotation, what is believed is so",
    ),
    "F2": Row(
        what="a writing of the journal is cut off at some byte",
        ends="what was whole is read, the rest was never written; the next writer goes on after it",
    ),
    "F3": Row(
        what="power is lost: what was not synced is gone",
        ends="an append that returned is on the disk; nothing was done without its intention there",
    ),
    "F4": Row(
        what="the disk of the state is full",
        ends="E_JOURNAL_FULL before the next step; halts, waits, heals when there is room: 8; room is taken ahead: 0",
    ),
    "F5": Row(
        what="the state can only be read from some moment on",
        ends="E_JOURNAL_READONLY; halts and waits 10 minutes; 8; whoever takes over asks the hosts",
    ),
    "F6": Row(
        what="the disk refuses a commit (EIO)",
        ends="E_JOURNAL_IO; that journal writes no more (E_JOURNAL_POISONED), it is read anew; heals: 8, or waits",
    ),
    "F7": Row(
        what="Ctrl-C once and twice, SIGTERM, SIGHUP",
        ends="once: healed in the time it says: 130, 143; a second of its kind: who is not known is named: 5; HUP: 0",
    ),
    "F8": Row(
        what="the terminal is closed, or the reader of a pipe leaves",
        ends="the rollout goes on to its end, with the exit code of that end",
    ),
    "F9": Row(
        what="the controller is stopped for longer than its deadlines (SIGSTOP)",
        ends="it goes on and blames nobody: 0; taken over meanwhile: E_FENCED, 7, no further effect",
    ),
    "F10": Row(
        what="the controller's wall clock jumps an hour ahead or back",
        ends="0; waits are monotonic, and which rollout is the newest is known by its number",
    ),
    "F11": Row(
        what="there are too few open files, or no more threads",
        ends="E_FILES before anything is touched, 6; what runs out later blames no release",
    ),
    "F12": Row(
        what="another version wrote the journal",
        ends="an earlier one's comes to what it came to; a newer one's: E_RECORD or E_STATE_NEWER, 8",
    ),
    "F13": Row(
        what="the state is deleted, moved or replaced in the middle",
        ends="E_STATE_GONE: healed from memory; E_STATE_MOVED: waited for; 8, nobody is left out",
    ),
    "F14": Row(
        what="a journal is edited by hand, or its end is cut off",
        ends="E_CHAIN with the number of the record, 8",
    ),
    "F15": Row(
        what="two terminals begin a rollout of one app",
        ends="one gets the lease; the other E_HELD with rollout, holder, pid, host and since, 7",
    ),
}
