"""B31 to B50: names of hosts, users, groups and pools, numbers of hosts and seconds, plan files."""

from __future__ import annotations

from tests.badinput.row import Row

ROWS = {
    "B31": Row(what="a host that ssh takes for an option", codes="E_HOSTNAME"),
    "B32": Row(what="a host with what a shell acts on", codes="E_HOSTNAME"),
    "B33": Row(what="a user with $ or a backslash", codes="E_USER"),
    "B34": Row(what="what is a host name and what is none", codes="E_HOSTNAME E_PORT"),
    "B35": Row(what="names that only look like others", codes="E_HOSTNAME_NONASCII"),
    "B36": Row(what="one address and port twice", codes="E_DUP_HOST"),
    "B37": Row(what="ports that are none", codes="E_PORT"),
    "B38": Row(what="unknown groups, cycles, patterns that leave nobody", codes="E_GROUP E_PATTERN"),
    "B39": Row(what="a limit that leaves or names nobody", codes="E_LIMIT"),
    "B40": Row(what="floors", codes="E_FLOOR"),
    "B41": Row(what="batches of nobody", codes="E_BATCH"),
    "B42": Row(what="durations without end, beginning or unit", codes="E_DURATION"),
    "B43": Row(
        what="a canary larger than the fleet",
        codes="E_UNKNOWN_KEY E_NOT_BUILT",
        not_built="`gates` (bakes) are not built; a first batch of the whole fleet is warned of.",
    ),
    "B44": Row(what="hosts in no pool", codes="E_LB_MAP"),
    "B45": Row(what="names of backends and servers that HAProxy would read more in", codes="E_LB_NAME"),
    "B46": Row(what="names of apps and environments", codes="E_NAME E_RELEASE_ID E_UNIT"),
    "B47": Row(what="10,000 and 100,000 hosts", codes="E_FLEET E_RANGE E_LIMIT"),
    "B48": Row(
        what="inventories that are programs",
        codes="E_NOT_BUILT",
        not_built="inventory scripts and plugins are refused by name and never run.",
    ),
    "B49": Row(what="an inventory that changes between plan and apply", codes="E_DRIFT"),
    "B50": Row(what="plan files of others, edited, of another environment", codes="E_PLAN_FILE E_DRIFT"),
}
