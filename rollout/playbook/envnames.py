"""Names of variables that a task's process can be given, and those that somebody else has a use for.

What a shell keeps for itself cannot be set through one: bash takes ``UID`` for read-only and runs nothing at
all, dash ends at an ``OPTIND`` that is no number, ``RANDOM`` arrives as another value. What names code to
load, or where programs are found, would work on the shell and on sudo before it reaches the task.
"""

from __future__ import annotations

import re

from rollout.playbook.said import quoted
from rollout.playbook.words import refuse

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_OF_SHELLS = re.compile(
    r"_|BASH.*|COMP_.*|(E?U|PP)ID|SHELLOPTS|OPTIND|LINENO|S?RANDOM|SECONDS|EPOCH(SECONDS|REALTIME)"
    r"|FUNCNAME|GROUPS|DIRSTACK|HISTCMD|IFS|ENV|PS4"
)
_LOADING = re.compile(r"LD_PRELOAD|LD_AUDIT|PATH")
_WHOLE = "Name the program by its whole path, or set it for one command: `shell: %s=… ./warm`."


def env_name(value: object) -> str:
    """Accept the name of a variable that arrives in a process as it was given."""
    name = value if isinstance(value, str) else ""
    if not _NAME.fullmatch(name):
        instead = "Allowed: letters, digits and `_`, no digit first."
        refuse("E_ENV_NAME", f"{quoted(value)} cannot name a variable.", instead=instead)
    if _OF_SHELLS.fullmatch(name):
        why = "Shells keep it for themselves: the task would not get it, or not be run."
        refuse("E_ENV_NAME", f"{quoted(name)} cannot be given to a task.", why, "Choose another name.")
    if _LOADING.fullmatch(name):
        why = "It would say what is run and loaded before the task is."
        refuse("E_ENV_NAME", f"{quoted(name)} cannot be given to a task.", why, _WHOLE % name)
    return name
