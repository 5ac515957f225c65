"""Every Op's script with hostile names in it, evaluated in one shell as far as its last line, which would run it.

What is behind the assignments is shown: ``show`` prints its words, each with a NUL behind it. Commands of the
operator's run ``show`` instead of their program; what an Op would do to the host is replaced by showing it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from rollout.model.release import (
    Commands,
    NoService,
    Process,
    Release,
    ReleaseId,
    RenderedFile,
    Shared,
    SharedFile,
    Site,
    Systemd,
    SystemdUnit,
)
from rollout.model.task import Task
from rollout.posix import frame, reply
from rollout.posix.op import (
    Activate,
    Adopt,
    AskBalancer,
    Collect,
    Deed,
    Epoch,
    Identify,
    Install,
    Mark,
    Observe,
    Op,
    Prune,
    RunCheck,
    RunTask,
    Settle,
    Survey,
    TellBalancer,
    Withdraw,
)
from rollout.posix.quote import assign, listing, quote
from rollout.posix.stateop import ReadState, WriteState
from tests.posix.shells import NONCE

SHOW = "s=\nshow() { [ $# = 0 ] || printf '%s\\0' \"$@\"; }\n"
HEX = "0" * 64
MANY = 400  # words of one command


@dataclass(slots=True)
class Said:
    """A script that shows what it was given, and what that has to be."""

    text: list[str] = field(default_factory=lambda: [SHOW])
    wanted: list[str] = field(default_factory=list)

    def op(self, op: Op, lines: str, *wanted: str) -> None:
        """Define what an Op's script defines, and show what is behind it; nothing of it is run."""
        script = frame.render(op, NONCE).partition(b"\n")[2].decode()
        for last in (frame._RUN, frame._RUN_FED):
            script = script.removesuffix(last)
        assert "O=$(main" not in script
        self.text.append(f"(\n{script}{SHOW}{lines})\n")
        self.wanted += wanted

    def values(self, values: Sequence[str]) -> None:
        """Show single values, each quoted in one of the ways that there are."""
        for at, value in enumerate(values):
            if at % 3 == 0:
                self.text.append(f'{assign("v", value)}show "$v"\n')
            elif at % 3 == 1:
                self.text.append(f"show {quote(value)}\n")
            else:
                self.text.append(f"{listing('call', [value])}{reply.LISTS}with call show\n")
        self.wanted += values


@dataclass(slots=True)
class Names:
    """Names of each kind that are let through, taken one after the other."""

    by_kind: dict[str, list[str]]
    dice: random.Random

    def one(self, kind: str) -> str:
        """Return one of a kind."""
        return self.dice.choice(self.by_kind[kind])

    def some(self, kind: str, count: int = MANY) -> list[str]:
        """Return different ones of a kind."""
        known = self.by_kind[kind]
        return self.dice.sample(known, min(count, len(known)))


def shown(*names: str) -> str:
    """Return the line that shows variables."""
    return "show " + " ".join(f'"${name}"' for name in names) + "\n"


def ops(names: Names, rounds: int) -> Said:
    """Return all Ops, so many times, each time with other names."""
    said = Said()
    for _ in range(rounds):
        for add in (_installs, _prunes, _activates, _marks, _tasks, _checks, _services, _balancers, _adopts, _states):
            add(said, names)
    return said


def _op(names: Names, deed: Deed) -> Op:
    epoch = Epoch(number=1, rollout=names.one("release"), sequence=1, over=(names.one("release"),))
    site = Site(root=names.one("root"), app=names.one("app"), environment=names.one("environment"))
    return Op(id=names.one("value") or "1", epoch=epoch, site=site, do=deed, become=names.one("user"))


def _installs(said: Said, names: Names) -> None:
    dirs, add = names.some("shared"), names.some("shared", 50)
    files = [SharedFile(path=p, content=names.one("content")) for p in names.some("shared")]
    bare = [SharedFile(path=p) for p in names.some("shared", 50)]
    release = Release(id=ReleaseId(names.one("release")), artifact=HEX, manifest=HEX, strip=names.one("shared"))
    own = tuple(RenderedFile(path=p, content=names.one("content")) for p in names.some("shared", 50))
    shared = Shared(dirs=tuple(dirs), files=(*files, *bare), add=tuple(add))
    op = _op(names, Install(release=release, shared=shared, rendered=own))
    lines = 'share_dir() { show "$1"; }\nshare_file() { show "$1"; }\nshare_add() { show "$1"; }\n'
    lines += 'share_text() { show "$1" "$3"; }\nshares\nrender_file() { show "$1" "$3"; }\nrenders\n'
    wanted = [*dirs, *add, *(one for f in files for one in (f.path, f.content or "")), *(f.path for f in bare)]
    wanted += [one for f in own for one in (f.path, f.content)]
    site = f"{op.site.environment}/{op.site.app}"
    lines += shown("root", "identity", "become", "id", "strip", "rollout", "over")
    heads = (op.site.root.rstrip("/"), site, op.become, release.id, release.strip, op.epoch.rollout, op.epoch.over[0])
    said.op(op, lines, *wanted, *heads)


def _prunes(said: Said, names: Names) -> None:
    gone, add = names.some("release", 20), names.some("shared", 20)
    deed = Prune(releases=tuple(map(ReleaseId, gone)), service=NoService(), add=tuple(add))
    lines = "each gone show\neach added show\n"
    said.op(_op(names, deed), lines, *gone, *add)


def _activates(said: Said, names: Names) -> None:
    release, other = ReleaseId(names.one("release")), ReleaseId(names.one("release"))
    units = Systemd(units=tuple(SystemdUnit(unit=u) for u in names.some("unit", 20)))
    op = _op(names, Activate(release=release, manifest=HEX, expect=other, service=units))
    wanted = [word for u in units.units for word in (u.unit, "restart", "0")]
    said.op(op, "each_unit show\n" + shown("id", "expect", "root"), *wanted, release, other, op.site.root.rstrip("/"))
    op = _op(names, Withdraw(release=release, service=units))
    said.op(op, shown("id"), release)
    op = _op(names, Identify(release=release, service=units))
    said.op(op, shown("id"), release)
    bare = names.some("shared", 50)
    op = _op(names, Observe(service=units, shared=Shared(files=tuple(SharedFile(path=p) for p in bare))))
    said.op(op, 'f() { show "$2"; }\nshared\n', *(["missing"] * len(bare)))  # each is asked for by its own name
    said.op(_op(names, Collect(service=units)), "each_unit show\n", *wanted)


def _marks(said: Said, names: Names) -> None:
    release = ReleaseId(names.one("release"))
    said.op(_op(names, Mark(release=release, mark="kept")), shown("id", "made"), release, "kept")
    said.op(_op(names, Settle(op=release)), shown("doubt"), release)


def _tasks(said: Said, names: Names) -> None:
    words, env = ["x", *names.some("word")], dict(zip(names.some("variable", 60), names.some("value", 60), strict=True))
    task = Task(
        name=names.one("value"),
        argv=tuple(words),
        env=env,
        cwd=names.one("folder"),
        creates=names.one("folder"),
        user=names.one("user"),
        stdin=names.one("stdin"),
        prints=names.one("prints"),
        timeout_s=5,
    )
    release = names.one("release")
    op = _op(names, RunTask(task=task, release=ReleaseId(release), facts={"ROLLOUT_HOST": names.one("host")}))
    label = " ".join(task.label.split())[:100]
    lines = "with argv show\n" + shown("id", "task", "cwd", "creates", "within", "user", "prints", "fed")
    wanted = [release, label, task.cwd, task.creates, str(ceil(task.timeout_s)), task.user, task.prints, task.stdin]
    said.op(op, lines, *words, *wanted)
    # A task replaces the shell that it is said to; the `setsid` of this PATH shows its words.
    given = (f"{k}={v}" for k, v in env.items())
    said.op(op, "(command_of_task)\n", "sudo", "-n", "-u", task.user, *given, "--", *words)


def task_alone(names: Names) -> tuple[str, list[str], dict[str, str]]:
    """Return a script that becomes a task, the words that this is to be given, and the variables."""
    env = dict(zip(names.some("variable", 200), names.some("value", 200), strict=True))
    facts = {"ROLLOUT_HOST": names.one("host"), "ROLLOUT_ROOT": names.one("root")}
    task, said = Task(shell=names.one("script"), env=env), Said()
    said.op(_op(names, RunTask(task=task, release=ReleaseId("v1"), facts=facts)), "command_of_task\n")
    return "".join(said.text), ["sh", "-c", task.shell], {**facts, **env}


def _checks(said: Said, names: Names) -> None:
    words, release = ["x", *names.some("word")], names.one("release")
    op = _op(names, RunCheck(release=ReleaseId(release), argv=tuple(words), timeout_s=5))
    said.op(op, "with check show\n" + shown("id"), *words, release)


def _services(said: Said, names: Names) -> None:
    argvs = [["x", *names.some("word", 50)] for _ in range(5)]
    start, stop, restart, status, command = (tuple(a) for a in argvs)
    driven = Commands(start=start, stop=stop, restart=restart, status=status)
    release = ReleaseId(names.one("release"))
    op = _op(names, Activate(release=release, manifest=HEX, expect="", service=driven))
    lines = "".join(f"with {name} show\n" for name in ("start", "stop", "restart", "status"))
    said.op(op, lines, *start, *stop, *restart, *status)
    op = _op(names, Activate(release=release, manifest=HEX, expect="", service=Process(command=command)))
    said.op(op, "with process show\n", *command)


def _balancers(said: Said, names: Names) -> None:
    lines = tuple(f"set server {names.one('server')}/{names.one('server')} state drain" for _ in range(MANY))
    for kind in (AskBalancer, TellBalancer):
        deed = kind(lines=lines, socket=names.one("socket"), tool=names.one("value"))
        text = 'choose() { :; }\nf() { :; }\nfinish() { :; }\ntalk() { show "$1"; }\nwork\n' + shown("path", "proven")
        said.op(_op(names, deed), text, *lines, deed.socket, "")
    deed = AskBalancer(lines=("x",), tcp=names.one("address"))
    said.op(_op(names, deed), shown("tcp"), deed.tcp)


def _adopts(said: Said, names: Names) -> None:
    left_out, release = tuple(names.some("left out", 100)), names.one("release")
    lines = sorted(f"# left out {path}" for path in set(left_out))
    for deed in (Survey(leave_out=left_out), Adopt(release=ReleaseId(release), manifest=HEX, leave_out=left_out)):
        said.op(_op(names, deed), "left_out | tr '\\n' '\\000'\n", *lines)


def _states(said: Said, names: Names) -> None:
    for deed in (ReadState(), WriteState(size=0, more=0, lease=0, before="", after=HEX, digest=HEX)):
        op = _op(names, deed)
        said.op(op, shown("root", "identity"), op.site.root.rstrip("/"), f"{op.site.environment}/{op.site.app}")
