"""Values out of files that sops or ansible-vault has encrypted, by their own commands: one file, one key.

Which keys and passwords open a file is between these commands and their own environment. None is an argument, and
nothing is asked: they have no terminal.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from rollout.model.secret import words_for
from rollout.secrets.fault import Unresolved
from rollout.secrets.sources import printed_by

MOST = 1 << 20  # bytes of a file that is opened as a whole
PASSWORD_FILE = "ANSIBLE_VAULT_PASSWORD_FILE"  # noqa: S105 - the name of a variable
OPENED_BY = {
    "sops": "SOPS_AGE_KEY_FILE, or whatever its kind of key takes,",
    "ansible-vault": PASSWORD_FILE,
}


def value_in(reference: str, environ: Mapping[str, str]) -> bytes:
    """Return what ``PATH#KEY`` holds; raise Unresolved, without a word of what the command said."""
    tool, *words = words_for(reference)
    if not os.path.isfile(words[-1]):
        raise Unresolved("there is no such file")
    found = shutil.which(tool, path=environ.get("PATH", os.defpath))
    if found is None:
        raise Unresolved(f"`{tool}` is not on the PATH; install it on this machine")
    try:
        if tool == "sops":
            return printed_by((found, *words), environ)
        opened = printed_by((found, *words), _for_ansible(environ), MOST, "/")
    except Unresolved as fault:
        why = f"`{tool}`: {fault}; is {OPENED_BY[tool]} set in the environment?"
        raise Unresolved(why) from None
    return _at(opened, reference.rpartition("#")[2])


def _for_ansible(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for ansible: it stands in ``/``, so that no project's ansible.cfg says what it runs."""
    found = {**environ, "LC_ALL": "C.UTF-8"}
    if password := environ.get(PASSWORD_FILE):
        found[PASSWORD_FILE] = os.path.abspath(os.path.expanduser(password))
    return found


def _at(text: bytes, key: str) -> bytes:
    """Return the text at a key of a YAML file; dots lead into it."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Unresolved("what is in it is no YAML") from None
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            raise Unresolved(f"there is no key {key} in it")
        found = found[part]
    if not isinstance(found, str):
        raise Unresolved(f"the key {key} holds no text")
    return found.encode("utf-8", "surrogatepass")
