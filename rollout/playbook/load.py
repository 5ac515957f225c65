"""From a playbook and an inventory to its plays: everything that can be known without contacting anything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rollout.errors import InputError, Problem
from rollout.inventory import Inventory
from rollout.model.host import HostName
from rollout.model.play import ArtifactAsk, Ask, Play
from rollout.model.trust import SignatureAsk
from rollout.playbook.artifact import artifact_of
from rollout.playbook.checking import check
from rollout.playbook.hostparts import of_each_host, server_path
from rollout.playbook.making import Made
from rollout.playbook.models import PlayModel
from rollout.playbook.nodes import Listing, Node, Path, Place, Scalar, descend, plain, templates
from rollout.playbook.options import Options, environment_problems, user_problems
from rollout.playbook.pools import Pool, at_place, floor_problems, homeless, pools_of, reached_by, specs, twins, vias_of
from rollout.playbook.resolve import Parts, Resolver, Words
from rollout.playbook.said import problem, quoted
from rollout.playbook.sealing import placed
from rollout.playbook.several import Member, between, left_out, told
from rollout.playbook.signature import signature_of
from rollout.playbook.source import Source, named_files, open_playbook, variable_files
from rollout.playbook.templates import Renderer, readable_environ
from rollout.playbook.twice import no_host_twice
from rollout.playbook.urls import UNKNOWN
from rollout.playbook.vars import RESERVED, Said, Variables

MAX_HOSTS = 20_000
TRIAL_ID = "0"  # stands for an id that is made later


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What ``validate`` found: no plays where anything is wrong.

    ``left_out`` has a sentence for each play whose ``when`` is false; it is in no other field.
    """

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    plays: tuple[Play, ...] = ()
    left_out: tuple[str, ...] = ()


def load(
    path: str | os.PathLike[str],
    inventory: Inventory,
    *,
    limit: str = "",
    extra_vars: Mapping[str, Any] | None = None,
    environment: str = "default",
    forks: int | None = None,
    user: str | None = None,
    private_key: str | None = None,
    become: bool | None = None,
    become_password: str = "",
    seed: int | None = None,
    environ: Mapping[str, str] | None = None,
    granted: Sequence[str] | None = None,
    released: bool = True,
) -> tuple[Play, ...]:
    """Return the plays of a playbook, none when ``when`` leaves all of them out.

    Raises InputError with every problem. See Options for the arguments.
    """
    options = Options(
        limit=limit,
        extra_vars=extra_vars or {},
        environment=environment,
        forks=forks,
        user=user,
        private_key=private_key,
        become=become,
        become_password=become_password,
        seed=seed,
        environ=environ,
        granted=granted,
        released=released,
    )
    report = validate(path, inventory, options)
    if report.problems:
        raise InputError(*report.problems)
    return report.plays


def validate(path: str | os.PathLike[str], inventory: Inventory, options: Options | None = None) -> Report:
    """Check a playbook without running or contacting anything; every problem at once."""
    options = options or Options()
    try:
        playbook = open_playbook(os.fspath(path), options.environment)
    except InputError as error:
        return Report(problems=error.problems)
    playbook.plays[0].say(environment_problems(options.environment) + user_problems(options.user))
    loadings = [_Loading(source=source, inventory=inventory, options=options) for source in playbook.plays]
    members = [_member(loading) for loading in loadings]
    playbook.plays[0].say(between(members))
    problems = InputError(*dict.fromkeys(playbook.problems)).problems
    left_out = tuple(m.left_out for m in members if m.left_out)
    return Report(
        problems=problems,
        warnings=(*inventory.warnings, *playbook.warnings),
        plays=() if problems else told(tuple(m.play for m in members if m.play), left_out),
        left_out=left_out,
    )


def _member(loading: _Loading) -> Member:
    """Load one play, and return what the others are held against."""
    play = None
    try:
        play = loading.play()
    except InputError as error:
        loading.source.say(error.problems)
    table = loading.source.play
    return Member(table=table, play=play, asks=loading.asks, left_out=left_out(table) if loading.left_out else "")


@dataclass(slots=True, kw_only=True)
class _Loading:
    """One load: the source, and what becomes known on the way."""

    source: Source
    inventory: Inventory
    options: Options
    said: Said = field(default_factory=Said)
    asks: Mapping[HostName, Ask] = field(default_factory=dict)
    left_out: bool = False

    def play(self) -> Play | None:
        """Return the play, or None when something is wrong with it; problems gather in the source."""
        environ = readable_environ(os.environ if self.options.environ is None else self.options.environ)
        with Renderer(environ=environ, folder=self.source.folder) as renderer:
            self._say_variables(renderer)
            known = len(self.source.problems)
            matched, hosts = self._hosts(renderer)
            words = Words(
                inventory=self.inventory,
                said=self.said,
                environ=environ,
                groups={g: list(map(str, members)) for g, members in self.inventory.groups.items()},
            )
            if not self._wanted(renderer, words.of_play(matched, {})):
                del self.source.problems[known:]  # its hosts need not be there
                return None
            model = self._model(renderer, words, matched)
            if model is not None:
                return self._assembled(model, renderer, words, matched, hosts)
            parts, folder = Parts.of(self.source.play, 0), self.source.folder
            resolver = Resolver(words=words, renderer=renderer, parts=parts, pools=(), folder=folder, chosen={})
            self._add(resolver.render(dict.fromkeys(matched, TRIAL_ID))[1])
        return None

    def _add(self, problems: Sequence[Problem]) -> None:
        self.source.say(problems)

    def _node(self, *path: str | int) -> tuple[Node, Place, bool]:
        return descend(self.source.play, path)

    def _say_variables(self, renderer: Renderer) -> None:
        """Lay vars, vars_files and -e over each other."""
        self.said.lay(self.source.play.get("vars"))
        early = Said(values=dict(self.said.values), places=dict(self.said.places))
        early.give(self.options.extra_vars)
        node, _, there = self._node("vars_files")
        if there:
            value = self._rendered(renderer, node, Variables(common=early.values, places=early.places))
            for root in variable_files(self.source, named_files(node, value)):
                self.said.lay(root)
        self.said.give(self.options.extra_vars)
        self._add(self.said.problems)

    def _rendered(self, renderer: Renderer, node: Node, variables: Variables) -> object:
        """Return a node with its templates rendered; those that fail are left out as problems."""
        wanted = dict(templates(node))
        rendered = renderer.render(list(wanted.values()), variables)
        answers = [placed((), t, a) for t, a in zip(wanted.values(), rendered, strict=True)]
        self._add([p for a in answers for p in a.problems])
        values = {path: None if a.failed else a.of(0) for path, a in zip(wanted, answers, strict=True)}
        return plain(node, values)

    def _hosts(self, renderer: Renderer) -> tuple[tuple[HostName, ...], tuple[HostName, ...]]:
        """Return the hosts of the pattern, and those that --limit leaves."""
        node, place, there = self._node("hosts")
        if not there:
            return (), ()
        pattern = self._rendered(renderer, node, Variables(common=self.said.values, places=self.said.places))
        if not isinstance(pattern, str) or not pattern:
            return (), ()
        matched = self._match(pattern, place)
        if len(matched) > MAX_HOSTS:
            what = f"{quoted(pattern)} are {len(matched)} hosts; at most {MAX_HOSTS} can be rolled at once."
            self._add([problem(place, "E_FLEET", what, instead="Split the fleet into plays.")])
            return (), ()
        return matched, self._limited(matched)

    def _match(self, pattern: str, place: Place) -> tuple[HostName, ...]:
        try:
            matched = self.inventory.match(pattern)
        except InputError as error:
            self._add([at_place(p, place) for p in error.problems])
            return ()
        if not matched:
            what = f"The pattern {quoted(pattern)} leaves no host."
            self._add([problem(place, "E_GROUP", what, "Nothing rolled out is no success.")])
        return matched

    def _limited(self, matched: tuple[HostName, ...]) -> tuple[HostName, ...]:
        """Return what --limit leaves of the hosts."""
        limit, place = self.options.limit, Place(file="--limit")
        if not limit or not matched:
            return matched
        try:
            kept = set(self.inventory.match(limit))
        except InputError as error:
            self._add([replace(at_place(p, place), code="E_LIMIT") for p in error.problems])
            return ()
        left = tuple(h for h in matched if h in kept)
        if not left:
            what = f"{quoted(limit)} leaves none of the play's {len(matched)} hosts."
            self._add([problem(place, "E_LIMIT", what, instead="Name hosts or groups of the play.")])
        return left

    def _wanted(self, renderer: Renderer, variables: Variables) -> bool:
        """Whether ``when`` lets the play take part; where it cannot be told, it does, with a problem."""
        node, place, there = self._node("when")
        if not there or not isinstance(node, Scalar) or node.value is True:
            return True
        value = self._rendered(renderer, node, variables) if node.templated else node.value
        if node.templated and value is not None and not isinstance(value, bool):
            what = f"`when` comes to {quoted(value)}, which is neither `true` nor `false`."
            self._add([problem(place, "E_WHEN", what, "", "Compare with something, or write `| bool` at its end.")])
        self.left_out = value is False
        return not self.left_out

    def _model(self, renderer: Renderer, words: Words, matched: Sequence[HostName]) -> PlayModel | None:
        """Render and check what is the same for all hosts."""
        play = self.source.play
        wanted = {p: s for p, s in templates(play) if p[0] not in _EARLY and not of_each_host(p)}
        values: dict[Path, object] = {}
        if wanted:
            node, _, there = self._node("release", "id")
            release = {"id": str(node.value)} if there and isinstance(node, Scalar) else {}
            variables = words.of_play(matched, release)
            for path, rendered in zip(wanted, renderer.render(list(wanted.values()), variables), strict=True):
                answer = placed(path, wanted[path], rendered)
                if answer.failed and not self.options.released and path[:2] in _NAMED:
                    values[path] = _STAND_INS.get(path[-1], TRIAL_ID)
                    continue
                self._add(answer.problems)
                values[path] = _FAILED if answer.failed else answer.of(0)
        for path in [p for p, _ in templates(play) if p[0] in _EARLY]:
            values[path] = True if path[0] == "when" else "rendered"
        broken = {p for p, v in values.items() if v is _FAILED}
        found = check(PlayModel, plain(play, {p: v for p, v in values.items() if p not in broken}), play)
        if not isinstance(found, list):
            return None if broken else found
        known = {(p.file, p.line, p.column) for p in self.source.problems}
        known |= {(p.file, p.line, p.column) for p in (descend(play, b)[1] for b in broken)}
        self._add([p for p in found if (p.file, p.line, p.column) not in known])
        return None

    def _assembled(
        self,
        model: PlayModel,
        renderer: Renderer,
        words: Words,
        matched: tuple[HostName, ...],
        hosts: tuple[HostName, ...],
    ) -> Play | None:
        """Return the play with its hosts in order, after everything about each host was tried."""
        play, options = self.source.play, self.options
        pools = self._pools(model, matched)
        model, artifact, signature = self._release(model)
        resolver = self._resolver(model, words, renderer, pools)
        self._try(resolver, model, pools, matched)
        connections, problems = resolver.reached(vias_of(pools))
        self._add(problems)
        self._warn(model, hosts, resolver)
        made = Made(
            model=model,
            artifact=artifact,
            signature=signature,
            pools=specs(reached_by(pools, connections, model.load_balancers)),
            resolve=resolver,
            matched=matched,
            hosts=hosts,
        )
        service = play.get("service")
        return made.play(
            environment=options.environment,
            forks=options.forks,
            seed=options.seed,
            runs_nothing=isinstance(service, Scalar) and service.value == "none",
            line=play.place.line,
            sources={**self.inventory.sources, **self.source.digests},
            warnings=(*self.inventory.warnings, *self.source.warnings),
        )

    def _pools(self, model: PlayModel, matched: tuple[HostName, ...]) -> tuple[Pool, ...]:
        """Return the pools, with what is wrong about them and the floor said."""
        pools, problems = pools_of(model.load_balancers, matched, self.inventory.match, self.source.play)
        self._add(problems)
        self._add(homeless(pools, matched, self._node("load_balancers")[1]))
        place = self._node("min_in_service")[1]
        self._add(floor_problems(model.min_in_service, model.allow_outage, pools, matched, place))
        return tuple(pools)

    def _release(self, model: PlayModel) -> tuple[PlayModel, ArtifactAsk, SignatureAsk | None]:
        """Return the artifact and its signature; where no release is named, the model without an id too."""
        play, folder, released = self.source.play, self.source.folder, self.options.released
        granted = partial(self.options.paths, self.inventory, folder)
        artifact, problems = artifact_of(model.release, folder, play, granted)
        if not released:
            model = model.model_copy(update={"release": model.release.model_copy(update={"id": None})})
            artifact = replace(artifact, path="", url="") if problems else artifact
            problems = []
        self._add(problems)
        signature, problems = signature_of(model.release.signature, folder, play, released=released)
        self._add(problems)
        return model, artifact, signature

    def _resolver(self, model: PlayModel, words: Words, renderer: Renderer, pools: tuple[Pool, ...]) -> Resolver:
        options = self.options
        return Resolver(
            words=words,
            renderer=renderer,
            parts=Parts.of(self.source.play, len(model.load_balancers)),
            pools=pools,
            folder=self.source.folder,
            digests=self.source.digests,
            chosen={
                "user": options.user,
                "private_key": options.private_key,
                "become": options.become,
                "become_password": options.become_password,
            },
        )

    def _try(self, resolver: Resolver, model: PlayModel, pools: Sequence[Pool], matched: Sequence[HostName]) -> None:
        """Render everything for every host once, so that what is wrong is known now."""
        ids = dict.fromkeys(matched, model.release.id or TRIAL_ID)
        asks, problems = resolver.render(ids)
        self.asks = asks
        self._add(problems)
        self._add(no_host_twice(asks, self.inventory))
        for pool in pools:
            members = {h: str(a.members[pool.spec.name]) for h, a in asks.items() if pool.spec.name in a.members}
            self._add(twins(members, pool, self._node(*server_path(pool.entry))[1]))
        if not problems and model.release.id:
            resolver.kept |= {(h, ids[h]): a for h, a in asks.items()}

    def _warn(self, model: PlayModel, hosts: Sequence[HostName], resolver: Resolver) -> None:
        """Say what is weak but allowed."""
        first = model.serial[0]
        if len(model.serial) > 1 and (first.count or 0) >= len(hosts) > 1:
            self.source.warnings.append(f"{self.source.path}: the first batch of `serial` holds the whole fleet.")
        checks = resolver.parts.by_path["health", "checks"].node
        if checks is None or (isinstance(checks, Listing) and not checks.items):
            self.source.warnings.append(f"{self.source.path}: without `health.checks` nothing is asked of a release.")
        hidden = {n for h in hosts for n in self.inventory.hosts[h].variables if n in RESERVED}
        if hidden:
            names = ", ".join(sorted(hidden))
            self.source.warnings.append(f"the inventory's {names} cannot be seen in templates: the names are ours.")


_EARLY = frozenset({"vars", "hosts", "vars_files", "when"})  # rendered before the rest
_FAILED = object()
_STAND_INS: Mapping[str | int, str] = {"sha256": "0" * 64, "url": UNKNOWN}  # for what nobody needs to know
_NAMED = (("release", "id"), ("release", "artifact"), ("release", "sha256"))
