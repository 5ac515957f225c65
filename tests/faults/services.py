"""F69 to F78: services and their health."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {
    "F69": Row(
        what="a restart says 0, and the process dies soon after",
        ends="4 without having served anybody: looked at for healthy_for, and restarts of its unit are counted",
    ),
    "F70": Row(
        what="the old process keeps the port, or does not heed TERM",
        ends="4: its 200 counts for nobody, something else answers the checks; what does not heed TERM is killed",
    ),
    "F71": Row(
        what="a reload leaves the old process in its old directory",
        ends="4: the running process is of the old release; `action: reload` with this proof is refused (2)",
    ),
    "F72": Row(
        what="the health check says 200 of another version",
        ends="4 without having served anybody: a field of the answer is compared with release.id",
    ),
    "F73": Row(
        what="health flaps between 200 and 500",
        ends="4 at the deadline; 0 when it settles: only an unbroken healthy_for counts",
    ),
    "F74": Row(
        what="health hangs, trickles, redirects, floods, or its certificate is over",
        ends="4 at the deadline: each attempt has a deadline and a cap of its own, no redirect is followed",
    ),
    "F75": Row(
        what="a release is healthy at once and sick later",
        ends="4: done hosts stay watched in later batches; no batch follows, and all go back",
    ),
    "F76": Row(
        what="the host's own checks pass, and its balancer cannot reach it",
        ends="5: not counted as in, back on the old release, out and named; nothing said of the release, then 0",
    ),
    "F77": Row(
        what="a restart hangs, or what ran before does not stop",
        ends="4 when the new one does not come, 5 (E_STOP) when the old one does not go; never past its deadline",
    ),
    "F78": Row(
        what="a hook fails, leaves a daemon behind, or reads its input",
        ends="4, 3 or 6 by where it stands, with its own words; its input is empty, its daemon holds nobody",
    ),
}
