"""Jump hosts as they are written: ``user@host:port``, in a playbook or in the arguments of ssh that Ansible takes."""

from __future__ import annotations

import re
from dataclasses import replace

from rollout.inventory.names import Fault, host_fault, port_fault, shown, user_fault
from rollout.model.host import Hop

ARGS = re.compile(r"ansible_(ssh_args|(ssh|scp|sftp)_(common|extra)_args)")
NAMES = (
    "ansible_ssh_args",
    *(f"ansible_{tool}_{which}_args" for tool in ("ssh", "scp", "sftp") for which in ("common", "extra")),
)
NONE = "none"  # ssh's word for no jump at all
_HOPS = r"[\w.@:%/,\[\]-]+"
JUMP = re.compile(
    rf"""\s*(?:-J\s*(?P<short>{_HOPS})
      | -o\s*(['"]?)ProxyJump[=\s](?P<long>{_HOPS})\2
      | -o\s*(['"]?)ProxyCommand[=\s]\s*(['"]?)ssh\s+(?:-q\s+)?-W\s+%h:%p\s+(?:-q\s+)?(?:-p\s*(?P<port>\d+)\s+)?
        (?:-q\s+)?(?P<command>[\w.@:-]+)\5\4
    )\s*""",
    re.X,
)
WORD = re.compile(r"(?:ssh://)?(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^\[\]]*?)(?::(?P<port>[^:\]]*))?")
FORM = "Write a host of the inventory, or user@host:port."


def hop_of(word: str) -> Hop | Fault:
    """Return a hop as it is written; where nothing is said of its user or its port these are empty.

    Its address is empty too: who is meant by the name is for the inventory to say.
    """
    found = WORD.fullmatch(word)
    if word.count(":") > 1 and "[" not in word:  # an address of IPv6 alone
        before, at, host = word.rpartition("@")
        user, port = before if at else None, None
    elif found:
        user, host, port = found["user"], found["host"].strip("[]"), found["port"]
    else:
        return Fault("E_JUMP", f"{shown(word)} is no jump host.", FORM)
    fault = host_fault(host) or (user_fault(user) if user is not None else None)
    fault = fault or (port_fault(port) if port is not None else None)
    return fault or Hop(name=host, address="", port=int(port or 0), user=user or "")


def hops_of(args: str) -> tuple[Hop, ...] | Fault | None:
    """Return the hops of ssh's arguments as they are written, what is wrong with one, or None: they say something else.

    ``ProxyJump=none`` are no hops at all.
    """
    said = JUMP.fullmatch(args)
    if said is None:
        return None
    words = (said["short"] or said["long"] or said["command"]).split(",")
    if words == [NONE]:
        return ()
    found = [hop_of(word) for word in words]
    for one in found:
        if isinstance(one, Fault):
            return one
    port = int(said["port"] or 0)
    return tuple(replace(one, port=one.port or port) for one in found if isinstance(one, Hop))
