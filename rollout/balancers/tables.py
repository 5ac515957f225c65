"""What HAProxy prints, read into values. Pure; columns are found by the names in the header.

Each function raises ValueError (or its subclasses) for text that is not what HAProxy prints.
The columns ``last_chk`` and ``check_desc`` hold what an application said: they are never used, and
as the CSV is parsed with its quoting a crafted answer cannot pretend to be a row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rollout.model.pool import Member, MemberState, Rotation

Row = Mapping[str, str]

# srv_admin_state, seen on 2.6.12. CMAINT (4) says that the configuration holds `disabled` and stays
# set after `state ready` while traffic flows; 64 says that the name was set by hand. Neither takes
# a server out by itself.
FMAINT, IMAINT, CMAINT, FDRAIN, IDRAIN, RMAINT, FQDN_SET = 1, 2, 4, 8, 16, 32, 64
OUT_BY_MAINT = FMAINT | IMAINT | RMAINT
OUT_BY_DRAIN = FDRAIN | IDRAIN
INHERITED = IMAINT | IDRAIN
KNOWN_BITS = OUT_BY_MAINT | OUT_BY_DRAIN | CMAINT | FQDN_SET
BIT_NOTES = (
    (IMAINT, "maint inherited from the tracked server"),
    (IDRAIN, "drain inherited from the tracked server"),
    (RMAINT, "its name does not resolve"),
    (CMAINT, "disabled in the configuration"),
)

CHECK_RUNS = 2 | 4  # srv_check_state: configured and enabled; `disable health` clears the second
# srv_op_state: 0 stopped, 1 starting (`slowstart`: its checks pass, and its weight still grows), 2 running, 3 stopping
STARTING, RUNNING = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The HAProxy process that answered."""

    generation: str  # pid and start time: containers give every process the same pid
    stopping: bool


def process(info: str) -> Process:
    """Read ``show info``."""
    fields = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
    pid, started = int(fields["Pid"]), int(fields["Start_time_sec"])
    return Process(generation=f"{pid}@{started}", stopping=fields.get("Stopping", "0") != "0")


def level(reply: str) -> tuple[str, str]:
    """Read ``show cli level``: what the socket lets us do, and what follows. Who does not know it says so in words."""
    said, _, rest = reply.partition("\n") if reply.startswith("\n") else reply.partition("\n\n")
    return said.strip(), rest


def servers(table: str) -> dict[Member, Row]:
    """Read ``show servers state BACKEND``: one row per server."""
    lines = [line for line in table.splitlines() if line]
    at = next(n for n, line in enumerate([*lines, "# "]) if line.startswith("# "))
    if at >= len(lines):
        raise ValueError("no header in `show servers state`")
    header = lines[at][2:].split()
    rows = [dict(zip(header, line.split(), strict=True)) for line in lines[at + 1 :]]
    return {Member(row["srv_name"]): row for row in rows}


def stats(table: str, backend: str) -> dict[Member, Row]:
    """Read ``show stat BACKEND 4 -1``: one row per server."""
    if not table.startswith("# "):
        raise ValueError("no header in `show stat`")
    try:
        rows = list(csv.DictReader(io.StringIO(table[2:], newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return {Member(row["svname"]): row for row in rows if row["pxname"] == backend}


def runs_checks(row: Row) -> bool:
    """Whether the server has a check of its own that runs (or is only paused by maint)."""
    return int(row["srv_check_state"]) & CHECK_RUNS == CHECK_RUNS


def member_state(row: Row, stat: Row) -> MemberState:
    """Put both tables' rows of one server together."""
    bits, op_state = int(row["srv_admin_state"]), int(row["srv_op_state"])
    weightless = int(row["srv_uweight"]) == 0
    return MemberState(
        admin=_admin(bits, weightless),
        up=op_state == RUNNING,
        warming=op_state == STARTING,
        checked=runs_checks(row),
        sessions=_sessions(stat),
        inherited=bool(bits & INHERITED) and not bits & (OUT_BY_MAINT | OUT_BY_DRAIN) & ~INHERITED,
        address=_address(row),
        note="; ".join(_notes(bits, row, stat)),
    )


def _admin(bits: int, weightless: bool) -> Rotation | Literal["other"]:
    """Decode srv_admin_state; maint outweighs drain, and weight 0 is a drain by another name."""
    if bits & ~KNOWN_BITS:
        return "other"
    if bits & OUT_BY_MAINT:
        return Rotation.MAINT
    return Rotation.DRAIN if bits & OUT_BY_DRAIN or weightless else Rotation.READY


def _sessions(stat: Row) -> int:
    """Count what still runs: sessions or the connections in use, whichever are more, and the queue."""
    return max(_number(stat, "scur"), _number(stat, "used_conn_cur")) + _number(stat, "qcur")


def _number(stat: Row, column: str) -> int:
    """Read a counter; the columns that old releases lack, or leave empty, count 0; scur must be there."""
    text = stat["scur"] if column == "scur" else stat.get(column) or "0"
    number = int(text)
    if number < 0:
        raise ValueError(f"{column} is negative")
    return number


def _address(row: Row) -> str:
    """Write the server's address with its port."""
    host, port = row["srv_addr"], row.get("srv_port", "0")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _notes(bits: int, row: Row, stat: Row) -> list[str]:
    """Say what is unusual about a server."""
    notes = [text for bit, text in BIT_NOTES if bits & bit]
    if bits & ~KNOWN_BITS:
        notes.append(f"unknown admin state {bits}")
    if stat.get("tracked"):
        notes.append(f"tracks {stat['tracked']}")
    elif not runs_checks(row) and int(row["srv_check_state"]):
        notes.append("its check is disabled")
    if stat.get("bck") == "1":
        notes.append("backup")
    if int(row["srv_uweight"]) == 0:
        notes.append("weight 0")
    return notes
