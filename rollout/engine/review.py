"""What a plan reaches beyond the hosts' own steps: what whoever agrees to a change looks at first.

Commands on this machine, files outside of the project, secrets by name, hosts that are new, and what is weaker than in
the last rollout that succeeded. From the plan alone; what only the disk and the state know is laid beside it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rollout.engine.weaker import Weaker
from rollout.model.host import Connection, HostName
from rollout.model.plan import Plan, PlayPlan, Run
from rollout.model.pool import HaproxyPool
from rollout.model.sealed import secrets_of
from rollout.model.secret import words_for
from rollout.model.task import Task

VALUE = "for the value of a secret"
LOCAL = "everything that it is told, for it is this machine"
_SECRET = re.compile(r"\\u000e(.*?)\\u000f")  # a reference between its marks, in a plan's text
_ASKED = re.compile(r"\b(env|secret)\s*\(\s*(?:'([^'\n]*)'|\"([^\"\n]*)\"|([^()\n]{1,80}))\s*[),]")
_MARKED = re.compile("\x0e([^\x0e\x0f]*)\x0f")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCommand:
    """A command that runs on this machine. ``words``: all that is run, and the names of variables that it is given.

    ``ours``: no playbook says it, and no policy has a say in it.
    """

    app: str
    when: str
    words: tuple[str, ...]
    folder: str = ""
    ours: bool = False

    def __str__(self) -> str:
        """Return it as it might be typed, and when it runs."""
        said = _MARKED.sub(r"secret(\1)", shlex.join(self.words))
        return f"{self.app}, {self.when}: {said}" if self.app else f"{said}: {self.when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideFile:
    """A file outside of the project that is read or spoken to, and what for."""

    path: str
    what: str

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.path} ({self.what})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fewer:
    """What is weaker for one app, and since which rollout."""

    app: str
    since: str
    found: tuple[Weaker, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Everything that is to be looked at. ``first``: nothing was ever deployed in this environment."""

    environment: str = ""
    local_commands: tuple[LocalCommand, ...] = ()
    outside_files: tuple[OutsideFile, ...] = ()
    secrets: tuple[str, ...] = ()
    new_hosts: tuple[HostName, ...] = ()
    first: bool = False
    weaker: tuple[Fewer, ...] = field(default_factory=tuple)


def local_commands(plan: Plan) -> tuple[LocalCommand, ...]:
    """Return what the plan's tasks run on this machine, each command once, and hosts that are this machine."""
    return tuple(dict.fromkeys(command for play in plan.plays for command in _of_play(play)))


def _of_play(play: PlayPlan) -> Iterator[LocalCommand]:
    for run in _runs(play):
        for task in _with_undo(run.task):
            if task.where == "controller":
                when = f"undo of {run.position}" if run.undoing or task is not run.task else run.position
                yield LocalCommand(app=play.app, when=when, words=words_of(task), folder=task.cwd)
    yield from commands_for(play.app, secrets_of(play))
    for host in play.hosts.values():
        if host.connection.transport == "local":
            yield LocalCommand(app=play.app, when=LOCAL, words=("host", host.host))


def commands_for(app: str, references: Iterable[str]) -> Iterator[LocalCommand]:
    """Yield what runs on this machine for the values of secrets."""
    for reference in references:
        if words := _words_for(reference):
            yield LocalCommand(app=app, when=VALUE, words=words)


def _words_for(reference: str) -> tuple[str, ...]:
    try:
        return words_for(reference)
    except ValueError:  # it has no words, and is refused before anything is run
        return ("sh", reference)


def _runs(play: PlayPlan) -> Iterator[Run]:
    yield from (hook.run for hook in play.hooks)
    for host in play.hosts.values():
        yield from host.on_failure
        for step in host.steps:
            yield from (action for action in (step.do, *step.undo) if isinstance(action, Run))


def _with_undo(task: Task) -> Iterator[Task]:
    yield task
    if task.undo is not None:
        yield from _with_undo(task.undo)


def words_of(task: Task) -> tuple[str, ...]:
    """Return the whole command of a task on this machine: what it sets in its environment may change what is run."""
    argv = task.argv or ("sh", "-c", task.shell)
    if task.user:
        argv = ("sudo", "-n", "-u", task.user, *argv)
    return ("env", *sorted(task.env), *argv) if task.env else tuple(argv)


def secrets_in(text: str) -> frozenset[str]:
    """Return the references to secrets in a plan's JSON: what the marks stand around that seal them."""
    return frozenset(_SECRET.findall(text))


def asked_in(text: str) -> frozenset[str]:
    """Return what a file of a project asks the environment or a store of secrets for, by name: as it is written."""
    found = _ASKED.findall(text)
    return frozenset(f"{kind}({literal or other or computed.strip()})" for kind, literal, other, computed in found)


def files_of(plan: Plan) -> Iterator[OutsideFile]:
    """Yield the files of a plan that are read beside the project's own, wherever they lie."""
    for play in plan.plays:
        yield from _keys((h.connection for h in play.hosts.values()), play.app)
        yield from _keys(play.delegates.values(), play.app)
        for pool in play.pools:
            if isinstance(pool.spec, HaproxyPool):
                if pool.spec.connection is not None:
                    yield from _keys([pool.spec.connection], play.app)
                elif pool.spec.socket:
                    yield OutsideFile(path=pool.spec.socket, what=f"HAProxy's socket of pool {pool.spec.name}")
    yield from (OutsideFile(path=file, what="variables or hosts") for file in plan.sources)


def _keys(connections: Iterable[Connection], app: str) -> Iterator[OutsideFile]:
    for connection in connections:
        yield from (OutsideFile(path=file, what=f"key of {app}'s hosts") for file in connection.key_files)
        yield from (OutsideFile(path=file, what=f"known hosts of {app}") for file in connection.known_hosts)


def plain_review(review: Review) -> Mapping[str, object]:
    """Return a review for people's own programs."""
    return {
        "local_commands": [
            {"app": c.app, "when": c.when, "argv": list(c.words), "folder": c.folder, "ours": c.ours}
            for c in review.local_commands
        ],
        "outside_files": [{"path": f.path, "what": f.what} for f in review.outside_files],
        "secrets": list(review.secrets),
        "new_hosts": list(review.new_hosts),
        "first": review.first,
        "weaker": [
            {"app": one.app, "since": one.since, "name": w.name, "what": w.what}
            for one in review.weaker
            for w in one.found
        ],
    }
