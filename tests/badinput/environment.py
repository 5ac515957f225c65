"""B81 to B92: the user's ssh configuration, the command line, and where the command is typed."""

from __future__ import annotations

from tests.badinput.row import Row

SSH = "`connection.transport: openssh` is refused as not built; the one there is reads no ssh_config."

ROWS = {
    "B81": Row(what="an ssh_config that is missing, broken, endless", codes="E_NOT_BUILT", not_built=SSH),
    "B82": Row(
        what="host keys that nobody checks",
        codes="E_CHOICE E_CONNECTION_VAR E_HOSTKEY_POLICY",
        not_built="--insecure-host-keys does not exist: there is no way to switch the check off.",
    ),
    "B83": Row(what="agents forwarded, commands run locally", codes="E_CONNECTION_VAR", not_built=SSH),
    "B84": Row(what="a ControlPath that is too long", codes="E_NOT_BUILT", not_built=SSH),
    "B85": Row(what="keys that others can read, with a passphrase, gone; dead agents", codes="E_KEY E_PERM"),
    "B86": Row(what="jumps over hosts", codes="E_JUMP E_USER E_PORT E_HOSTNAME E_CONNECTION_VAR"),
    "B87": Row(what="flags cut short, unknown, empty; `-` as a file", codes="E_LIMIT E_INVENTORY E_OUTPUT E_NOT_FILE"),
    "B88": Row(what="Turkish, C and POSIX locales; a stdout without UTF-8", codes=""),
    "B89": Row(what="no terminal, a dumb or a narrow one", codes=""),
    "B90": Row(what="no HOME, no folder to stand in, no TMPDIR", codes="E_CWD E_STATE_PLACE"),
    "B91": Row(what="a state in memory, on a network, of another user", codes="E_STATE_PLACE"),
    "B92": Row(what="rollouts that are not there, over, or at work", codes="E_NO_STATE E_NO_ROLLOUT E_AMBIGUOUS"),
}
