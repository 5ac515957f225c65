"""What is typed and what it says, as a person would see it: paths and ids are cut short, nothing else is."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollout.lab.loopback import Fleet
from rollout.model.event import StepStarted
from rollout.store.store import open_store
from tests.e2e.lab import Lab
from tests.referee.log import Log
from tests.referee.rules import broken, figures
from tests.referee.watching import Referee


@dataclass(slots=True)
class Transcript:
    """Prints commands over one lab. ``ids``: rollouts in the order in which they were first seen."""

    lab: Lab
    began: float = field(default_factory=time.monotonic)
    ids: list[str] = field(default_factory=list)

    def short(self, text: str) -> str:
        """Return a text without what is of this machine alone."""
        state = self.lab.state
        known = [str(r["id"]) for r in reversed(self.lab.read("history"))] if state.exists() else []
        self.ids += [r for r in known if r not in self.ids]
        for number, rollout in enumerate(self.ids, 1):
            text = text.replace(rollout, f"R{number}")
        text = text.replace(str(self.lab.folder), ".").replace(str(self.lab.fleet.folder), "lab")
        return text.rstrip("\n")

    def say(self, text: str) -> None:
        """Print a line of our own, with the seconds since the beginning."""
        print(f"# {time.monotonic() - self.began:5.1f} s  {text}", flush=True)

    def said(self, text: str) -> None:
        """Print what a command said."""
        if text.strip():
            print(self.short(text), flush=True)

    def typed(self, typed: str, words: list[str], who: str = "") -> subprocess.CompletedProcess[str]:
        """Type a command to its end; print it, what it says, and its exit code."""
        print(f"{who}$ {self.short(typed)}", flush=True)
        done = self.lab.type(*words)
        self.said(done.stderr + done.stdout)
        print(f"exit {done.returncode}\n", flush=True)
        return done

    def truth(self) -> None:
        """Print what is so, as hosts and balancer say themselves."""
        print(f"{'HOST':6} {'CURRENT':8} {'SERVES':8} ROTATION")
        for host, (current, serves, there) in self.lab.truth().items():
            print(f"{host:6} {current:8} {serves or '-':8} {'in' if there else 'OUT'}")

    def verdict(self, referee: Referee, before: int) -> bool:
        """Print what the referee saw; return whether every rule held."""
        referee.journals(self.lab, before)
        log: Log = referee.end()
        seen = figures(log)
        print(f"referee: {seen['looks']:g} looks, {seen['requests']:g} requests, {seen['failed']:g} failed")
        found = broken(log)
        for rule, lines in found.items():
            print(f"  {rule:5} {'broken: ' + '; '.join(lines[:3]) if lines else 'holds'}")
        return not any(found.values())


def begun(lab: Lab, action: str) -> bool:
    """Whether the newest rollout has written down that such a step begins."""
    with closing(open_store(str(lab.state), create=False)) as store:
        events = [r.event for r in store.journal(store.rollouts(limit=1)[0].id).read()]
    return any(isinstance(e, StepStarted) and e.action.kind == action for e in events)


@contextmanager
def on_a_fleet(name: str) -> Iterator[Transcript]:
    """Give a fleet of four that serves v1."""
    with (
        tempfile.TemporaryDirectory(prefix=f"{name}-") as folder,
        Fleet.up(Path(folder) / "lab", 4, check_ms=100) as up,
    ):
        lab = Lab(fleet=up, folder=Path(folder) / "work")
        lab.folder.mkdir()
        done = lab.apply("v1")
        assert done.returncode == 0, done.stdout + done.stderr
        yield Transcript(lab)


def printed(name: str, told: Callable[[Transcript], bool]) -> int:
    """Print a transcript; 1 where something was otherwise than it should be."""
    with on_a_fleet(name) as transcript:
        return 0 if told(transcript) else 1
