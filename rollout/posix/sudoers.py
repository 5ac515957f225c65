"""The sudoers lines that a play needs: full paths and every argument, no wildcards, one command a line (S18)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rollout.model.release import Commands, Process, Service, Systemd
from rollout.model.task import Task, Tasks
from rollout.posix.owner import READER

SYSTEMCTL = "/usr/bin/systemctl"
_WILD = re.compile(r"[*?\[\]]")
_ESCAPED = re.compile(r"([\\,:=#!])")  # visudo refuses a backslash before anything else


def way_to(user: str, owner: str) -> str:
    """Return the line that lets ``user`` run the steps of an app whose files are another's; a shell is all of it."""
    return f"{user} ALL=({owner}) NOPASSWD: {_said(('/bin/sh', '-c', READER))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one user needs on hosts: lines of sudoers, and why some command can be no line."""

    lines: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def rights(user: str, become: str, service: Service, tasks: Tasks) -> Rights:
    """Return what ``user`` needs to control a service as ``become`` ("": as itself) and to run tasks of other users."""
    wanted = dict.fromkeys((become, argv) for argv in _of_service(service)) if become and become != user else {}
    every = [task for each in tasks.values() for task in each]
    told = [(task.user, task) for one in every for task in _with_undo(one) if task.user and task.where != "controller"]
    found, without = list[str](), list[str]()
    for whom, argv in wanted:
        _add(found, without, user, whom, argv, _unfit(argv))
    for whom, task in told:
        argv = task.argv or ("sh", "-c", "...")
        _add(found, without, user, whom, argv, "it is a script" if task.shell else _unfit(argv, task))
    return Rights(lines=tuple(dict.fromkeys(found)), without=tuple(dict.fromkeys(without)))


def _add(found: list[str], without: list[str], user: str, whom: str, argv: tuple[str, ...], why: str) -> None:
    if why:
        without.append(f"{' '.join(argv)} as {whom}: {why}")
    else:
        found.append(f"{user} ALL=({whom}) NOPASSWD: {_said(argv)}")


def _of_service(service: Service) -> Iterator[tuple[str, ...]]:
    """Yield every command that control of a service may run."""
    if isinstance(service, Systemd):
        for unit in service.units:
            for verb in dict.fromkeys((unit.action, "stop")):  # a first release that fails is stopped again
                yield (SYSTEMCTL, verb, unit.unit)
    elif isinstance(service, Commands):
        yield from (argv for argv in (service.start, service.stop, service.restart) if argv)
    elif isinstance(service, Process):
        return


def _with_undo(task: Task) -> Iterable[Task]:
    return (task, *_with_undo(task.undo)) if task.undo else (task,)


def _unfit(argv: tuple[str, ...], task: Task | None = None) -> str:
    """Say why a command can be no line that allows just it; "" where it can."""
    if not argv[0].startswith("/"):
        return "its path does not begin with `/`; write the whole path, outside of releases"
    if any(_WILD.search(word) for word in argv):
        return "sudo would read its `*`, `?` or `[` as a wildcard"
    if any(not word or re.search(r"[\s\0]", word) for word in argv):
        return "sudo cannot tell an argument with a space from two"
    return "it is given variables; let it read them from a file" if task is not None and task.env else ""


def _said(argv: tuple[str, ...]) -> str:
    """Return a command as sudoers writes it; without arguments it must say that it takes none."""
    words = [_ESCAPED.sub(r"\\\1", word) for word in argv]
    return " ".join(words) if len(words) > 1 else f'{words[0]} ""'
