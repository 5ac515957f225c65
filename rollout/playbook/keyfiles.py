"""Files that say whom we trust and who we are: nobody else may write to them, nor read a private key."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.errors import Problem
from rollout.inventory.connection import KEY_FILE
from rollout.inventory.fleet import InventoryHost
from rollout.model.host import Connection
from rollout.playbook.nodes import Node, Place, descend
from rollout.playbook.said import problem, quoted

Fault = tuple[str, str, str, str]  # code, what, why, what to do instead


@dataclass(slots=True, kw_only=True)
class KeyFiles:
    """Looks at each file once. One that is not there is left to the connection: it may be another machine's."""

    play: Node
    said: Mapping[str, Place]  # where variables of the playbook were written
    known: dict[tuple[str, bool], Fault | None] = field(default_factory=dict)

    def problems(self, connection: Connection, host: InventoryHost) -> list[Problem]:
        """Return what is wrong with the files of a connection."""
        if connection.transport == "local":
            return []
        recorded = descend(self.play, ("connection", "known_hosts"))[1]
        found = [(self._fault(file, secret=False), recorded) for file in connection.known_hosts]
        found += [(self._fault(file, secret=True), self._named(host)) for file in connection.key_files]
        return [problem(place, *fault) for fault, place in found if fault]

    def _named(self, host: InventoryHost) -> Place:
        """Return what names the host's key file: a variable, or the command line."""
        for name in KEY_FILE:
            if name in self.said:
                return self.said[name]
            if name in host.places:
                file, line, column = host.places[name]
                return Place(file=file, line=line, column=column)
        return Place(file="--private-key")

    def _fault(self, file: str, *, secret: bool) -> Fault | None:
        if (file, secret) not in self.known:
            self.known[file, secret] = _fault(file, secret)
        return self.known[file, secret]


def _fault(file: str, secret: bool) -> Fault | None:
    try:
        seen = os.stat(os.path.expanduser(file))
    except (OSError, ValueError):
        return None
    name = _named(file)
    shown = quoted(name)
    if not stat.S_ISREG(seen.st_mode):
        why = "" if secret else "Nothing can be looked up or recorded there: no host key would be verified."
        return "E_KEY" if secret else "E_HOSTKEY_POLICY", f"{shown} is not a regular file.", why, "Name a file."
    mode = stat.S_IMODE(seen.st_mode)
    if mode & stat.S_IWOTH:
        what = f"Anybody on this machine may write to {shown} (mode {mode:04o})."
        why = "It says who we are." if secret else "It says whom we trust."
        return "E_PERM", what, why, f"Type: chmod o-w {shlex.quote(name)}"
    if secret and mode & 0o077 and seen.st_uid == os.getuid():
        what = f"The private key {shown} can be read by others (mode {mode:04o})."
        return "E_KEY", what, "ssh does not use such a key either.", f"Type: chmod 600 {shlex.quote(name)}"
    return None


def _named(file: str) -> str:
    """Return a file's name as it may be typed where we stand."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return file
    return os.path.relpath(file, here) if file.startswith(here.rstrip("/") + "/") else file
