"""What a play says about one host: rendered, checked, and made into values.

A part whose rendered values were met before on another host is not checked again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from rollout.errors import Problem
from rollout.inventory.jumps import hop_of
from rollout.model.check import CheckSpec, CommandCheck, HttpCheck, TcpCheck
from rollout.model.host import Become, Connection, Hop
from rollout.model.play import Ask
from rollout.model.release import (
    Commands,
    NoService,
    Process,
    Service,
    Shared,
    SharedFile,
    Systemd,
    SystemdUnit,
)
from rollout.playbook.checking import check, check_written
from rollout.playbook.hostmodels import (
    CheckModel,
    ChecksModel,
    CommandModel,
    ConnectionModel,
    HttpModel,
    OwnerModel,
    RootPath,
    ServerName,
    ServiceModel,
    SharedModel,
    TemplatesModel,
)
from rollout.playbook.nodes import Node, Path, Scalar, descend, plain, templates
from rollout.playbook.tasks import TASKS
from rollout.playbook.templates import Rendered

SAID_OF_ONE_PLACE = 3  # that values of many hosts are wrong in
Chosen = Mapping[str, bool]  # patterns that `hosts` of a unit may name, and whether this host is of them


@dataclass(slots=True, kw_only=True)
class Part:
    """One subtree of the play that each host has of its own."""

    play: Node
    path: Path
    model: type[BaseModel]
    node: Node | None = None
    templates: tuple[tuple[Path, Scalar], ...] = ()
    seen: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def check_written(self, *, partial: bool = False) -> list[Problem]:
        """Return what is wrong before anything is rendered."""
        if self.node is None:
            return []
        return check_written(self.model, plain(self.node), self.play, self.path, partial=partial)

    def value(self, rendered: Mapping[Path, Rendered], host: int) -> Any:
        """Return the validated model for the host of this number; None after noting problems."""
        if any(rendered[path].broken(host) for path, _ in self.templates):
            return None
        values = {path: rendered[path].of(host) for path, _ in self.templates}
        key = repr(list(values.values()))
        if key not in self.seen:
            self.seen[key] = self._checked(values)
        return self.seen[key]

    def _checked(self, values: Mapping[Path, object]) -> Any:
        written = plain(self.node, values, self.path) if self.node else None
        found = check(self.model, written, self.play, self.path)
        if isinstance(found, list):
            known = [(p.file, p.line, p.column, p.code) for p in self.problems]
            self.problems += [p for p in found if known.count((p.file, p.line, p.column, p.code)) < SAID_OF_ONE_PLACE]
            return None
        return found


def part(play: Node, path: Path, model: type[BaseModel]) -> Part:
    """Return the part of a play that lies at a path; without a node where nothing is written."""
    node, _, there = descend(play, path)
    if not there:
        return Part(play=play, path=path, model=model)
    return Part(play=play, path=path, model=model, node=node, templates=tuple(templates(node, path)))


PATHS: Mapping[Path, type[BaseModel]] = {
    ("connection",): ConnectionModel,
    ("release", "root"): RootPath,
    ("release", "shared"): SharedModel,
    ("release", "owner"): OwnerModel,
    ("release", "templates"): TemplatesModel,
    ("service",): ServiceModel,
    ("health", "checks"): ChecksModel,
    **TASKS,
}


def server_path(index: int) -> Path:
    """Return the path of ``server`` of one balancer entry."""
    return ("load_balancers", index, "haproxy", "server")


def server_part(play: Node, index: int) -> Part:
    """Return the part that names each host's member in one balancer entry."""
    return part(play, server_path(index), ServerName)


def of_each_host(path: Path) -> bool:
    """Whether a path lies in a part that each host has of its own."""
    if path[:1] == ("load_balancers",):
        return path[2:] == ("haproxy", "server")
    return any(path[: len(p)] == p for p in PATHS)


def connection_defaults(model: ConnectionModel, folder: str, chosen: Mapping[str, Any]) -> Connection:
    """Return the play's connection; Ansible's variables of a host are laid over it afterwards.

    ``chosen`` are the command line's ``user``, ``private_key`` and ``become``: as with Ansible
    they count where the play says nothing.
    """
    become = Become(user=model.become.user) if model.become else None
    if become is None and chosen.get("become"):
        become = Become()
    key = chosen.get("private_key")
    return Connection(
        transport=model.transport,
        address="",
        user=model.user or chosen.get("user") or "",
        key_files=(os.path.abspath(os.path.expanduser(key)),) if key else (),
        become=become,
        host_keys=model.host_keys,
        known_hosts=tuple(beside(folder, p) for p in model.known_hosts),
        connect_timeout_s=model.connect_timeout,
        jump=tuple(hop for hop in map(hop_of, model.jump) if isinstance(hop, Hop)),
    )


def with_password(connection: Connection, model: ConnectionModel | None, chosen: Mapping[str, Any]) -> Connection:
    """Return a connection whose sudo is told a password: the play's, else the one that was typed."""
    if connection.become is None:
        return connection
    said = model.become.password if model and model.become else ""
    return replace(connection, become=replace(connection.become, password=said or chosen.get("become_password") or ""))


def beside(folder: str, path: str) -> str:
    """Return a path of the playbook's as an absolute one."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def shared_of(model: SharedModel) -> Shared:
    """Return what outlives releases."""
    files = tuple(SharedFile(path=f.path, content=f.content, mode=f.mode) for f in model.files)
    return Shared(dirs=model.dirs, files=files, add=model.add)


def owned(ask: Ask, model: OwnerModel | None, chosen: Mapping[str, Any]) -> Ask:
    """Return an Ask with whom its files belong to; who logs in as that user becomes nobody else.

    A password that was typed is for the way there, also where nothing else is done by sudo.
    """
    if model is None:
        return ask
    ask = replace(ask, shared=replace(ask.shared, group=model.group))
    if model.user in ("", ask.connection.user):
        return ask
    typed = chosen.get("become_password") or ""
    connection = ask.connection
    if connection.become is None and typed:
        connection = replace(connection, become=Become(user=model.user, password=typed))
    return replace(ask, owner=model.user, connection=connection)


def service_of(model: ServiceModel, chosen: Chosen) -> Service:
    """Return how the new code starts to run on a host; units of other hosts are left out."""
    if model.commands:
        c = model.commands
        return Commands(start=c.start, stop=c.stop, restart=c.restart, status=c.status)
    if model.process:
        p = model.process
        return Process(command=p.command, stop_signal=p.stop_signal, stop_timeout_s=p.stop_timeout)
    units = tuple(
        SystemdUnit(unit=u.unit if "." in u.unit else u.unit + ".service", action=u.action, timeout_s=u.timeout)
        for u in model.systemd or ()
        if chosen.get(u.hosts, True)
    )
    return Systemd(units=units) if units else NoService()


def checks_of(models: Sequence[CheckModel]) -> tuple[CheckSpec, ...]:
    """Return the probes."""
    return tuple(map(_check, models))


def _check(model: CheckModel) -> CheckSpec:
    """Return one probe."""
    if model.http:
        return _http(model.http)
    if model.tcp:
        t = model.tcp
        return TcpCheck(port=t.port, host=t.host, timeout_s=t.timeout, vantage=t.vantage)
    command = model.command or CommandModel(run=())
    return CommandCheck(argv=command.run, timeout_s=command.timeout)


def _http(h: HttpModel) -> HttpCheck:
    """Return an HTTP probe."""
    return HttpCheck(
        port=h.port,
        path=h.path,
        scheme=h.scheme,
        method=h.method,
        host=h.host,
        headers=dict(h.headers),
        body=h.body,
        status=h.status,
        json=dict(h.json_fields),
        timeout_s=h.timeout,
        verify_tls=h.tls.verify,
        vantage=h.vantage,
    )
