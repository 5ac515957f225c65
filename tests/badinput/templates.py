"""B67 to B80: templates, variables, secrets, commands."""

from __future__ import annotations

from tests.badinput.row import Row

ROWS = {
    "B67": Row(what="a variable that is not there", codes="E_TEMPLATE"),
    "B68": Row(what="ways to Python's inside", codes="E_TEMPLATE_UNSAFE"),
    "B69": Row(what="a text of two billion characters", codes="E_TEMPLATE_LIMIT"),
    "B70": Row(what="loops in loops", codes="E_TEMPLATE_LIMIT"),
    "B71": Row(what="'a' * 10**9, a number of that width", codes="E_TEMPLATE_LIMIT"),
    "B72": Row(what="templates that change what they read", codes="E_TEMPLATE_UNSAFE"),
    "B73": Row(what="include, import, extends", codes="E_TEMPLATE_UNSAFE"),
    "B74": Row(what="what hosts print, rendered again", codes=""),
    "B75": Row(what="variables in a circle, 100,000 of them", codes="E_VAR_CYCLE"),
    "B76": Row(what="a secret in a name", codes="E_SECRET_IN_NAME"),
    "B77": Row(what="secrets too short to hide", codes="E_SECRET"),
    "B78": Row(
        what="secrets that do not come; ansible-vault",
        codes="E_SECRET E_NOT_BUILT E_TAG",
        not_built="variables that ansible-vault has encrypted as a whole; no command is run to validate a play.",
    ),
    "B79": Row(what="variables of processes", codes="E_ENV_NAME E_CONTROL_CHAR"),
    "B80": Row(what="commands that a shell would have to read", codes="E_COMMAND E_TASK"),
}
