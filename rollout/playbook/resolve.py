"""Rendering what a play says about its hosts, for a release id each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.errors import InputError, Problem
from rollout.inventory import Inventory, InventoryHost
from rollout.inventory.connection import connection_for
from rollout.inventory.fleet import Place as InventoryPlace
from rollout.inventory.jumps import NAMES as ARGUMENTS
from rollout.model.host import Connection, HostName
from rollout.model.play import Ask
from rollout.model.pool import Member, PoolName, WorkersPool
from rollout.model.release import NoService, RenderedFile
from rollout.model.task import Position
from rollout.playbook.hostmodels import ConnectionModel, SharedModel
from rollout.playbook.hostparts import (
    PATHS,
    Part,
    checks_of,
    connection_defaults,
    owned,
    part,
    server_part,
    service_of,
    shared_of,
    with_password,
)
from rollout.playbook.jumping import Jumps
from rollout.playbook.keyfiles import KeyFiles
from rollout.playbook.nodes import Node, Path, Place, Scalar, descend, has_template, written_at
from rollout.playbook.pools import Pool, at_place
from rollout.playbook.said import problem, quoted
from rollout.playbook.sealing import placed
from rollout.playbook.tasks import tasks_of
from rollout.playbook.templatefiles import PATH as TEMPLATES
from rollout.playbook.templatefiles import Files, TemplateFiles
from rollout.playbook.templates import Rendered, Renderer
from rollout.playbook.vars import Said, Variables
from rollout.playbook.vars import shared as alike

ANSIBLE = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_connection",
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_become",
    "ansible_become_method",
    "ansible_become_user",
    *ARGUMENTS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What templates are rendered from: the inventory, what was said, and the environment."""

    inventory: Inventory
    said: Said
    environ: Mapping[str, str]
    groups: Mapping[str, list[str]]

    def of_play(self, hosts: Sequence[HostName], release: Mapping[str, str]) -> Variables:
        """Return what is the same on all these hosts."""
        layers = [self.inventory.hosts[h].variables for h in hosts]
        common = alike(layers)
        unequal = {name for layer in layers for name in layer} - common.keys() - self.said.values.keys()
        return Variables(
            common=common | self.said.values | {"groups": self.groups, "release": release},
            places=self.said.places,
            unequal=frozenset(unequal) | {"inventory_hostname"},
        )

    def of_hosts(self, ids: Mapping[HostName, str], root: str) -> Variables:
        """Return what each host's templates see; ``root`` may itself be a template."""
        layers = [self.inventory.hosts[h].variables for h in ids]
        common = alike(layers) | self.said.values | {"groups": self.groups}
        releases = [_release(id, root) for id in ids.values()]
        one = len(set(ids.values())) == 1
        if one:
            common["release"] = releases[0]
        own = []
        for host, layer, release in zip(ids, layers, releases, strict=True):
            variables = {k: v for k, v in layer.items() if k not in common}
            variables["inventory_hostname"] = host
            own.append(variables if one else variables | {"release": release})
        return Variables(common=common, hosts=own, places=self.said.places)

    def layer(self, host: HostName) -> Mapping[str, Any]:
        """Return a host's own variables with what was said laid over them."""
        return {**self.inventory.hosts[host].variables, **self.said.values}


def _release(release_id: str, root: str) -> dict[str, str]:
    """Return what ``release`` is in templates."""
    return {"id": release_id, "path": f"{root.rstrip('/')}/releases/{release_id}"}


@dataclass(slots=True, kw_only=True)
class Parts:
    """The subtrees of a play that each host has of its own."""

    play: Node
    by_path: dict[Path, Part]
    servers: dict[int, Part]

    @classmethod
    def of(cls, play: Node, balancers: int) -> Parts:
        """Find them in a play."""
        return cls(
            play=play,
            by_path={path: part(play, path, model) for path, model in PATHS.items()},
            servers={index: server_part(play, index) for index in range(balancers)},
        )

    def all(self) -> list[Part]:
        """Return every part in which something is written."""
        return [p for p in (*self.by_path.values(), *self.servers.values()) if p.node is not None]

    @property
    def root(self) -> str:
        """Return the root as it is written."""
        node = self.by_path["release", "root"].node
        return str(node.value) if isinstance(node, Scalar) else ""


@dataclass(slots=True, kw_only=True, repr=False)
class Resolver:
    """``Play.resolve``: what was rendered once for a host and a release id is kept."""

    words: Words
    renderer: Renderer  # started again when something is to be rendered later
    parts: Parts
    pools: Sequence[Pool]
    folder: str
    chosen: Mapping[str, Any]
    kept: dict[tuple[HostName, str], Ask] = field(default_factory=dict)
    matches: dict[str, frozenset[HostName]] = field(default_factory=dict)
    files: KeyFiles | None = None
    jumps: Jumps | None = None
    digests: dict[str, str] = field(default_factory=dict)  # of everything that was read
    templates: TemplateFiles | None = None

    def __call__(self, ids: Mapping[HostName, str]) -> Mapping[HostName, Ask]:
        """Return the Ask of each host; raise InputError with every problem."""
        wanted = {h: i for h, i in ids.items() if (h, i) not in self.kept}
        if wanted:
            asks, problems = self.render(wanted)
            if problems:
                raise InputError(*problems)
            self.kept |= {(h, ids[h]): ask for h, ask in asks.items()}
        return {h: self.kept[h, i] for h, i in ids.items()}

    def render(self, ids: Mapping[HostName, str]) -> tuple[dict[HostName, Ask], list[Problem]]:
        """Render and check everything for these hosts; a problem met on many hosts is told once."""
        found: dict[Problem, None] = {}
        if not ids:
            return {}, []
        parts = self.parts.all()
        wanted = dict(pair for p in parts for pair in p.templates) | self._connection_templates(ids)
        rendered: dict[Path, Rendered] = {}
        files: Files = {}
        if wanted or self.parts.by_path[TEMPLATES].node is not None:
            variables = self.words.of_hosts(ids, self.parts.root)
            with self.renderer as renderer:
                answers = renderer.render(list(wanted.values()), variables)
                rendered = {p: placed(p, t, r) for (p, t), r in zip(wanted.items(), answers, strict=True)}
                files, problems = self._files(ids, rendered, renderer, variables)
            found |= dict.fromkeys([p for r in rendered.values() for p in r.problems] + problems)
        asks = {}
        for number, host in enumerate(ids):
            ask, problems = self._ask(host, number, rendered, files.get(host, ()))
            found |= dict.fromkeys(problems)
            if ask is not None:
                asks[host] = ask
        asks, problems = self._delegated(asks)
        found |= dict.fromkeys(problems)
        found |= dict.fromkeys(p for one in parts for p in one.problems)
        return asks, list(found)

    def _files(
        self, ids: Mapping[HostName, str], rendered: Mapping[Path, Rendered], renderer: Renderer, variables: Variables
    ) -> tuple[Files, list[Problem]]:
        """Return the files that a release has of its own on each host."""
        part = self.parts.by_path[TEMPLATES]
        if part.node is None:
            return {}, []
        if self.templates is None:
            self.templates = TemplateFiles(play=self.parts.play, folder=self.folder, digests=self.digests)
        models = {host: (number, part.value(rendered, number)) for number, host in enumerate(ids)}
        asked = {host: (number, model.root) for host, (number, model) in models.items() if model is not None}
        return self.templates.rendered(asked, lambda texts: renderer.render(texts, variables))

    def _delegated(self, asks: dict[HostName, Ask]) -> tuple[dict[HostName, Ask], list[Problem]]:
        """Return the Asks with the hosts that their tasks' patterns name, and how those are reached."""
        known: dict[tuple[Position, str], tuple[HostName, ...]] = {}
        for position, task in ((p, t) for ask in asks.values() for p, ts in ask.tasks.items() for t in ts if t.pattern):
            if (position, task.pattern) not in known:
                known[position, task.pattern] = self._delegates(position, task.pattern)
        if not known:
            return asks, []
        connections, problems = self.reached(list(dict.fromkeys(h for hosts in known.values() for h in hosts)))

        def told(ask: Ask) -> Ask:
            tasks = {
                p: tuple(replace(t, delegates=known[p, t.pattern]) if t.pattern else t for t in ts)
                for p, ts in ask.tasks.items()
            }
            named = dict.fromkeys(h for ts in tasks.values() for t in ts for h in t.delegates)
            return replace(ask, tasks=tasks, delegates={h: connections[h] for h in named})

        return {h: told(ask) for h, ask in asks.items()}, problems

    def _delegates(self, position: Position, pattern: str) -> tuple[HostName, ...]:
        """Return the hosts of a task's pattern; one that names none is kept as a problem of the hooks."""
        place = written_at(self.parts.play, ("hooks", position), "where", pattern)
        try:
            found = self.words.inventory.match(pattern)
            wrong = [] if found else [problem(place, "E_GROUP", f"The pattern {quoted(pattern)} leaves no host.")]
        except InputError as error:
            found, wrong = (), [at_place(p, place) for p in error.problems]
        hooks = self.parts.by_path["hooks",]
        told = [replace(p, instead=f"{p.instead} {_WHERE}".strip()) for p in wrong]
        hooks.problems += [p for p in told if p not in hooks.problems]
        return found

    def reached(self, hosts: Sequence[HostName]) -> tuple[dict[HostName, Connection], list[Problem]]:
        """Return how hosts are reached that only balance, or run tasks, by the same rules as the play's.

        Whom service control becomes on the play's hosts says nothing about them: only their own variables do.
        """
        part = self.parts.by_path["connection",]

        def said(number: int, rendered: Mapping[Path, Rendered]) -> ConnectionModel | None:
            model = part.value(rendered, number) if part.node is not None else ConnectionModel()
            return model.model_copy(update={"become": None}) if model else None

        found, problems = self._reached(hosts, dict(part.templates), said)
        return found, list(dict.fromkeys(problems + part.problems))

    def _hop(self, host: HostName, user: str) -> tuple[Connection, list[Problem]]:
        """Return how a jump host is reached, its own jump as it is written; ``user``: where it says nothing of one."""
        model = ConnectionModel().model_copy(update={"user": user})
        found, problems = self._reached([host], {}, lambda *_: model, hop=True)
        return found[host], problems

    def _reached(
        self,
        hosts: Sequence[HostName],
        wanted: Mapping[Path, Scalar],
        said: Callable[[int, Mapping[Path, Rendered]], ConnectionModel | None],
        *,
        hop: bool = False,
    ) -> tuple[dict[HostName, Connection], list[Problem]]:
        ids = dict.fromkeys(hosts, "")
        wanted = {**wanted, **self._connection_templates(ids)}
        rendered: dict[Path, Rendered] = {}
        if wanted and ids:
            with self.renderer as renderer:
                answers = renderer.render(list(wanted.values()), self.words.of_hosts(ids, ""))
            rendered = {p: placed(p, t, r) for (p, t), r in zip(wanted.items(), answers, strict=True)}
        problems = [p for r in rendered.values() for p in r.problems]
        found: dict[HostName, Connection] = {}
        for number, host in enumerate(ids):
            model = said(number, rendered)
            found[host], wrong = self._connection(host, number, model, rendered, self.chosen_there, hop=hop)
            problems += wrong
        return found, problems

    @property
    def chosen_there(self) -> Mapping[str, Any]:
        """Return what the command line says of hosts that are not the play's."""
        return {**self.chosen, "become": None, "become_password": ""}

    def _connection_templates(self, ids: Mapping[HostName, str]) -> dict[Path, Scalar]:
        """Return a template for each of Ansible's connection variables that is one on some host."""
        found: dict[Path, Scalar] = {}
        for host in ids:
            known = self.words.inventory.hosts[host]
            for name in ANSIBLE:
                raw = self.words.said.values.get(name, known.variables.get(name))
                if isinstance(raw, str) and has_template(raw) and ("", name) not in found:
                    place = known.places.get(name, InventoryPlace(f"the variable {name}"))
                    found["", name] = Scalar(
                        place=Place(file=place.file, line=place.line, column=place.column),
                        value="{{ " + name + " | default(none) }}",
                    )
        return found

    def _ask(
        self, host: HostName, number: int, rendered: Mapping[Path, Rendered], files: tuple[RenderedFile, ...]
    ) -> tuple[Ask | None, list[Problem]]:
        """Return one host's Ask, or None when something of it is wrong."""
        values = {path: p.value(rendered, number) for path, p in self.parts.by_path.items() if p.node is not None}
        asked = values.get(("connection",), ConnectionModel())
        connection, problems = self._connection(host, number, asked, rendered, self.chosen)
        members = {} if self.pools else {WorkersPool().name: Member(host)}  # without a balancer each is its own
        for pool in self.pools:
            server = self._server(pool, host, number, rendered)
            if server:
                members[PoolName(pool.spec.name)] = Member(server)
        needed = {("release", "root"), ("service",)} <= values.keys()
        if problems or not needed or None in values.values() or len(members) < sum(host in p.hosts for p in self.pools):
            return None, problems
        service = values[("service",)]
        shared = shared_of(values.get(("release", "shared"), SharedModel()))
        if self.templates is not None and (wrong := self.templates.hidden(files, shared)):
            return None, wrong
        checks = values.get(("health", "checks"))
        ask = Ask(
            host=host,
            connection=connection,
            root=values["release", "root"].root,
            service=service_of(service, self._groups_of(service, host)) if service.written else NoService(),
            shared=shared,
            templates=files,
            members=members,
            checks=checks_of(checks.root) if checks else (),
            tasks=tasks_of(values, self.folder),
        )
        return owned(ask, values.get(("release", "owner")), self.chosen), []

    def _groups_of(self, service: Any, host: HostName) -> dict[str, bool]:
        """Return which of the patterns that units name this host is of."""
        found = {}
        for index, unit in enumerate(service.systemd or ()):
            if unit.hosts not in self.matches:
                self.matches[unit.hosts] = self._matching(unit.hosts, index)
            found[unit.hosts] = host in self.matches[unit.hosts]
        return found

    def _matching(self, pattern: str, unit: int) -> frozenset[HostName]:
        """Return the hosts of a unit's pattern; one that cannot be read is kept as a problem of the service."""
        try:
            return frozenset(self.words.inventory.match(pattern))
        except InputError as error:
            place = descend(self.parts.play, ("service", "systemd", unit, "hosts"))[1]
            self.parts.by_path["service",].problems += [at_place(p, place) for p in error.problems]
            return frozenset()

    def _server(self, pool: Pool, host: HostName, number: int, rendered: Mapping[Path, Rendered]) -> str:
        """Return the host's member in a pool, or nothing where it has none."""
        if host not in pool.hosts:
            return ""
        server = self.parts.servers[pool.entry]
        if server.node is None:
            return str(host)
        found = server.value(rendered, number)
        return str(found.root) if found else ""

    def _connection(
        self,
        host: HostName,
        number: int,
        model: ConnectionModel | None,
        rendered: Mapping[Path, Rendered],
        chosen: Mapping[str, Any],
        *,
        hop: bool = False,
    ) -> tuple[Connection, list[Problem]]:
        """Return how a host is reached; the jump of a hop is left as it is written."""
        defaults = connection_defaults(model or ConnectionModel(), self.folder, chosen)
        variables = {k: v for k, v in self.words.layer(host).items() if k.startswith("ansible_")}
        for name in ANSIBLE:
            if name in variables and ("", name) in rendered:
                answer = rendered["", name]
                variables[name] = "" if answer.broken(number) else answer.of(number)
        known = self.words.inventory.hosts[host]
        said: InventoryHost = replace(known, variables=variables)
        connection, problems = connection_for(said, defaults)
        connection = with_password(connection, model, chosen)
        if any(("", n) in rendered and rendered["", n].broken(number) for n in ANSIBLE):
            return connection, []
        if self.files is None:
            self.files = KeyFiles(play=self.parts.play, said=self.words.said.places)
        problems = (*problems, *self.files.problems(connection, known))
        if not hop and not problems:
            connection, wrong = self._jumps.over(host, connection, defaults)
            problems = tuple(wrong)
        return connection, [p if p.source else self.words.inventory.pictured(p) for p in problems]

    @property
    def _jumps(self) -> Jumps:
        """Return what finds the ways through jump hosts."""
        if self.jumps is None:
            self.jumps = Jumps(play=self.parts.play, inventory=self.words.inventory, reached=self._hop)
        return self.jumps


_WHERE = "Write a pattern of the inventory, `host`, `one_host` or `controller`."
