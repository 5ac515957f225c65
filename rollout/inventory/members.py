"""What stands where a host is written: a name, a range or an address, maybe with a port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rollout.inventory.draft import Draft, HostDraft
from rollout.inventory.fleet import Place
from rollout.inventory.names import host_fault, port_fault, shown
from rollout.inventory.ranges import RangeError, expanded

BRACKETED = re.compile(r"\[(.+)\]:([0-9]+)")
WITH_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])+):([0-9]*)")


def split_port(word: str) -> tuple[str, str | None]:
    """Return a host pattern and the port behind it as written ("" for a bare colon), None for no port.

    An IPv6 address has a port only in brackets: ``[::1]:22``.
    """
    found = BRACKETED.fullmatch(word) or WITH_PORT.fullmatch(word)
    return (found[1], found[2]) if found else (word, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Adds hosts of one file to the draft. ``origin`` is set as variables of the hosts it names first."""

    draft: Draft
    origin: dict[str, object]

    def add(self, word: str, group: str, place: Place) -> Iterator[HostDraft]:
        """Yield each host that a word stands for, as a member of the group; one problem a word at most."""
        names, port = self._names(word, place)
        for name in names:
            fault = host_fault(name)
            if fault:
                self.draft.problem(place, *fault)
                return
            host = self._host(name, port, group, place)
            if host is None:
                return
            yield host

    def _names(self, word: str, place: Place) -> tuple[list[str], int | None]:
        name, port = split_port(word)
        if port is not None and (fault := port_fault(port)):
            self.draft.problem(place, *fault)
            return [], None
        try:
            return expanded(name), None if port is None else int(port)
        except RangeError as problem:
            self.draft.problem(place, "E_RANGE", f"host {shown(word)}: {problem}.")
            return [], None

    def _host(self, name: str, port: int | None, group: str, place: Place) -> HostDraft | None:
        new = name not in self.draft.hosts
        host = self.draft.add_host(name, group, place)
        if host is not None and new:
            host.layer.values.update(self.origin)
            if port is not None:
                host.layer.put("ansible_port", port, place)
        return host
