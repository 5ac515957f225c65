"""F79 to F92: load balancers. HAProxy is the one that is built; what only others do is said in ``cannot``."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {
    "F79": Row(
        what="A balancer's socket is down, or may only be read, before anything",
        ends="refused before anything changes (6, E_LB), each pool with its reason",
    ),
    "F80": Row(
        what="A balancer dies, freezes or loses its socket after a drain",
        ends="nobody else leaves; back in time it is read first (0), else it is blamed and its host named (5)",
    ),
    "F81": Row(
        what="The reply to a drain, maint or ready is lost, or comes late",
        ends="what is read back decides, and each word may be said twice (0)",
    ),
    "F82": Row(
        what="A balancer is reloaded or restarted in a drain, a swap, a check, after",
        ends="who is out is put out again within an interval, and that is on record (0)",
    ),
    "F83": Row(
        what="Somebody else edits the pool at the same time",
        ends="whom they put out is updated and left out (0); who is put in goes out again; a fight halts (3)",
    ),
    "F84": Row(
        what="Of two balancers one accepts and one refuses",
        ends="refused at the start (6); later nobody is changed, all are called back, halted (3)",
    ),
    "F85": Row(
        what="A balancer says in, then out, then in",
        ends="out counts when it lasts, each reading that says in is answered (0); for ever: halted (3)",
    ),
    "F86": Row(
        what="Sessions of a host never end",
        ends="at the drain's deadline: fail puts it back (3), kill and proceed go on, on record (0)",
    ),
    "F87": Row(
        what="An old HAProxy serves long sessions on after a reload",
        ends="what was seen before has until the drain's deadline, then it goes on and says so (0)",
        cannot="sessions of a reload while no host was leaving: only HAProxy's master socket knows of them",
    ),
    "F88": Row(
        what="All others die while one host is out",
        ends="nobody who serves leaves, who is out comes back first; dead apps are started (0), VMs named (5)",
    ),
    "F89": Row(
        what="The balancer's own health or weight comes later (slowstart)",
        ends="in at the first good checks, counted as capacity at full weight, then the next one (0)",
    ),
    "F90": Row(
        what="With all members out a balancer sends traffic to somebody all the same",
        ends="the last ones are never drained: a floor of 0 is refused without allow_outage (2, 6)",
        cannot="the panic of Envoy and ELB's fail-open: their adapters are not built; HAProxy's allbackups is tried",
    ),
    "F91": Row(
        what="A cloud balancer throttles, is slow to agree, its credentials expire",
        ends="not built: load_balancers refuses every kind but haproxy (2, E_NOT_BUILT)",
        cannot="the adapter of ELB is not built; that it is refused and never ignored is tried",
    ),
    "F92": Row(
        what="A server is unknown to the backend, is there twice, or is renamed",
        ends="refused at the start (6, E_LB_MEMBER), with the right name; renamed later: halted (3)",
    ),
}
