"""How a host is reached: Ansible's connection variables, by an allow-list.

Values are taken as they are: whoever asks renders templates in ``ansible_*`` variables first
(``dataclasses.replace(host, variables=rendered)``); one that is left unrendered is a problem.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from rollout.errors import Problem
from rollout.inventory.fleet import InventoryHost, Place
from rollout.inventory.jumps import ARGS, hops_of
from rollout.inventory.names import Fault, host_fault, port_fault, port_number, shown, user_fault
from rollout.model.host import Become, Connection, Hop, HostName

TRANSPORTS: Mapping[object, Literal["fabric", "local"]] = {
    "ssh": "fabric",
    "ansible.builtin.ssh": "fabric",
    "paramiko": "fabric",
    "paramiko_ssh": "fabric",
    "ansible.builtin.paramiko_ssh": "fabric",
    "local": "local",
    "ansible.builtin.local": "local",
}
TRUE = (True, 1, "1", "true", "yes", "on", "y", "t")
FALSE = (False, 0, "0", "false", "no", "off", "n", "f", "")
KEY_FILE = ("ansible_ssh_private_key_file", "ansible_private_key_file")
READ = re.compile(
    r"ansible_(host|port|user|connection|(ssh_)?private_key_file|become|become_method|become_user)",
)
# Of Ansible's own workings: they choose neither whom we talk to nor what runs.
IGNORED = re.compile(
    r"ansible_(pipelining|timeout|shell_type|scp_if_ssh|sftp_batch_mode"
    r"|ssh_(pipelining|timeout|retries|transfer_method|use_tty|control_path|control_path_dir))"
)
REFUSED = re.compile(
    r"ansible_(ssh|sftp|scp|paramiko|become|sudo|su|shell|winrm|psrp|httpapi|netconf|persistent|docker|podman|local)_.*"
    r"|ansible_(sudo|su|pass|password|executable|remote_tmp|remote_user|host_key_checking|network_os|proxy_command)"
)
RENAMED = {
    "ansible_ssh_host": "Write ansible_host.",
    "ansible_ssh_port": "Write ansible_port.",
    "ansible_ssh_user": "Write ansible_user.",
    "ansible_remote_user": "Write ansible_user.",
    "ansible_sudo": "Write ansible_become.",
    "ansible_sudo_user": "Write ansible_become_user.",
    "ansible_host_key_checking": "Write connection.host_keys in the play.",
    "ansible_ssh_host_key_checking": "Write connection.host_keys in the play.",
}


def connection_for(host: InventoryHost, defaults: Connection) -> tuple[Connection, tuple[Problem, ...]]:
    """Return how the host is reached, and every connection variable that is wrong or refused.

    ``defaults`` is what the play says; its ``address`` is not used: without ``ansible_host`` it is
    the host's name. Hops are returned as they are written (jumps.py). With problems the connection is incomplete and
    must not be used.
    """
    reading = _Reading(host)
    made = replace(
        defaults,
        transport=reading.transport(defaults.transport),
        address=reading.address(),
        port=reading.port(defaults.port),
        user=reading.user(defaults.user),
        key_files=reading.key_files(defaults.key_files),
        become=reading.become(defaults.become),
        jump=reading.jump(defaults.jump),
    )
    reading.refuse_the_rest()
    return made, tuple(reading.problems)


def duplicates(connections: Mapping[HostName, tuple[Connection, Place]]) -> tuple[Problem, ...]:
    """Return one problem for each host whose address and port, as written, another host has already."""
    return tuple(_duplicates(connections))


def _duplicates(connections: Mapping[HostName, tuple[Connection, Place]]) -> Iterator[Problem]:
    first: dict[tuple[str, int], HostName] = {}
    for name, (connection, place) in connections.items():
        other = first.setdefault((connection.address.lower(), connection.port), name)
        if other != name:
            what = f"{shown(name)} has the address and port of {shown(other)}."
            why = "Both would be taken out of service as if they were two."
            fault = Fault("E_DUP_HOST", what, "Leave one of them out.")
            yield _problem(fault, place, why)


def _problem(fault: Fault, place: Place, why: str = "") -> Problem:
    file, line, column = place
    return Problem(
        file=file, line=line, column=column, code=fault.code, what=fault.what, why=why, instead=fault.instead
    )


@dataclass(slots=True)
class _Reading:
    """The variables of one host, read one by one; what is wrong is collected."""

    host: InventoryHost
    problems: list[Problem] = field(default_factory=list)

    def transport(self, default: Literal["fabric", "local"]) -> Literal["fabric", "local"]:
        value = self._value("ansible_connection")
        if value is None:
            return default
        if not isinstance(value, str) or value not in TRANSPORTS:
            self._say("ansible_connection", _fault("ansible_connection", value, "Write ssh, paramiko or local."))
            return default
        return TRANSPORTS[value]

    def address(self) -> str:
        value = self._value("ansible_host")
        if value is None:
            return str(self.host.name)
        fault = host_fault(value) if isinstance(value, str) else _fault("ansible_host", value, "Write a name.")
        return str(value) if self._passes("ansible_host", fault) else ""

    def port(self, default: int) -> int:
        value = self._value("ansible_port")
        if value is None:
            return default
        return (port_number(value) or default) if self._passes("ansible_port", port_fault(value)) else default

    def user(self, default: str) -> str:
        value = self._value("ansible_user")
        if value is None:
            return default
        return str(value) if self._passes("ansible_user", user_fault(value)) else default

    def key_files(self, default: tuple[str, ...]) -> tuple[str, ...]:
        name = next((n for n in KEY_FILE if n in self.host.variables), KEY_FILE[0])
        value = self._value(name)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            self._say(name, _fault(name, value, "Write the path of a key file."))
            return default
        return (os.path.expanduser(value),)

    def become(self, default: Become | None) -> Become | None:
        wanted = self._become_wanted(default is not None)
        user, method = self._value("ansible_become_user"), self._value("ansible_become_method")
        if user is not None and not self._passes("ansible_become_user", user_fault(user)):
            user = None
        if method not in (None, "sudo", "ansible.builtin.sudo"):
            hint = "Only sudo is built; write sudo."
            self._say("ansible_become_method", _fault("ansible_become_method", method, hint, "E_NOT_BUILT"))
        if not wanted:
            return None
        return Become(user=str(user) if user is not None else (default or Become()).user)

    def _become_wanted(self, default: bool) -> bool:
        value = self._value("ansible_become")
        if value is None:
            return default
        said = value.strip().lower() if isinstance(value, str) else value
        if said not in TRUE and said not in FALSE:
            self._say("ansible_become", _fault("ansible_become", value, "Write true or false."))
        return said in TRUE

    def jump(self, default: tuple[Hop, ...]) -> tuple[Hop, ...]:
        found: dict[tuple[Hop, ...], str] = {}
        for name in filter(ARGS.fullmatch, self.host.variables):
            hops = self._hops(name)
            if hops is not None:
                found.setdefault(hops, name)
        if len(found) > 1:
            one, other = list(found.values())[:2]
            what = f"{other} says another way than {one}."
            self._say(other, Fault("E_JUMP", what, "Leave one of them out."))
        return next(iter(found), default)

    def _hops(self, name: str) -> tuple[Hop, ...] | None:
        """Return the hops that arguments of ssh name, None where they say nothing; all else is refused."""
        value = self._value(name)
        if not value:
            return None
        hops = hops_of(value) if isinstance(value, str) else None
        if isinstance(hops, Fault):
            self._passes(name, hops)
            return None
        if hops is not None:
            return hops
        what = f"{name} is not taken from an inventory ({shown(value)})."
        why = "Arguments of ssh can run code here and switch off host key checks."
        self._say(name, Fault("E_CONNECTION_VAR", what, "Take it out; see connection in the play."), why)
        return None

    def refuse_the_rest(self) -> None:
        for name in self.host.variables:
            if READ.fullmatch(name) or IGNORED.fullmatch(name) or ARGS.fullmatch(name) or not REFUSED.fullmatch(name):
                continue
            hint = RENAMED.get(name, "Take it out, or put it into the play's connection.")
            what = f"{name} is not taken from an inventory."
            self._say(name, Fault("E_CONNECTION_VAR", what, hint), "It can run code here or weaken the connection.")

    def _value(self, name: str) -> object:
        value = self.host.variables.get(name)
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            self._say(name, _fault(name, value, "It was not rendered.", "E_TEMPLATE"))
            return None
        return value

    def _passes(self, name: str, fault: Fault | None) -> bool:
        if fault:
            self._say(name, fault._replace(what=f"{name}: {fault.what}"))
        return fault is None

    def _say(self, name: str, fault: Fault, why: str = "") -> None:
        self.problems.append(_problem(fault, self.host.places.get(name, self.host.place), why))


def _fault(name: str, value: object, instead: str, code: str = "E_CONNECTION_VAR") -> Fault:
    return Fault(code, f"{name} is {shown(value)}.", instead)
