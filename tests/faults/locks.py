"""F16 to F25: who holds what, and controllers that race."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {
    "F16": Row(
        what="whoever holds the lease has crashed",
        ends="the lease stays: E_HELD, 7, names resume, heal and revert, which take it over",
    ),
    "F17": Row(
        what="the answer to taking a lease is lost",
        ends="it is read again: what is this process's is held, what is another's is not",
    ),
    "F18": Row(
        what="a stopped controller wakes up after another has taken over",
        ends="E_FENCED by its store, or by the hosts and the balancers' hosts: 7, no further effect",
    ),
    "F19": Row(
        what="a step of a dead controller still runs on a host",
        ends="it is waited for; beyond its time E_STEP_STILL_RUNNING with the pid, host stays out, 5",
    ),
    "F20": Row(
        what="the store is away at the start, or in the middle",
        ends="8 at the start; in the middle it halts, waits, heals when the store is back, 8",
    ),
    "F21": Row(
        what="two states are used for one fleet",
        ends="E_OPEN, 7, whatever the numbers; nothing is changed",
    ),
    "F22": Row(
        what="a host's epoch is an older one (a restored VM), or cannot be read",
        ends="E_RESTORED before anything is touched, 6; E_EPOCH refuses the step",
    ),
    "F23": Row(
        what="the clocks of two controllers differ by years",
        ends="a lease does not expire by that: E_HELD, 7",
    ),
    "F24": Row(
        what="a host's clock is a year ahead",
        ends="steps, locks and proofs are timed by its uptime: 0",
    ),
    "F25": Row(
        what="somebody else moves current in the middle",
        ends="E_DRIFT, the link is left alone; the host is back in, named with what it is on; 3",
    ),
}
