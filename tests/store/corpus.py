"""Journals as versions have written them, kept so that every later one reads them: ``python -m tests.store.corpus``.

It writes those of this version anew, from simulated rollouts; what earlier versions wrote is never touched. A file
holds a rollout: its records, each as the store keeps it, and in its last line what they come to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout import __version__
from rollout.engine.rollout import Rollout, due, fold, initial
from rollout.model.event import Event, PauseOrdered, ProceedOrdered
from rollout.model.task import Task, Tasks
from rollout.store.codec import encode
from rollout.store.journal import chained
from rollout.testing.behaviour import Build
from rollout.testing.faults import Incident, Script
from tests.simulation import soup
from tests.simulation.shapes import SERIALS, Shape
from tests.simulation.soup import Trial
from tests.simulation.world import World

FOLDER = Path(__file__).with_name("corpus")
TWO = Shape(hosts=2, serial=SERIALS[2])
ONES = Shape(hosts=2, api=1, also=True, allow_outage=True)
TASKS: Tasks = {
    "before_rollout": (Task(shell="echo begins", where="controller"),),
    "before_switch": (Task(argv=("away",), undo=Task(argv=("back",))),),
}
ORDERS = ((2.0, PauseOrdered(by="ann", reason="look", order=1)), (9.0, ProceedOrdered(by="ann", order=2)))
MADE = {
    "good": Trial(shape=TWO, script=Script()),
    "bad": Trial(shape=replace(TWO, build=Build(healthy=False)), script=Script()),
    "tasks": Trial(shape=replace(TWO, tasks=TASKS, build=Build(starts=False)), script=Script()),
    "paused": Trial(shape=TWO, script=Script(), orders=ORDERS),
    "two-plays": Trial(shape=replace(ONES, build=Build(healthy=False)), script=Script()),
    "taken-over": Trial(shape=TWO, script=Script(), crashes=(12,), aim="heal"),
    "moved-by-hand": Trial(
        shape=TWO, script=Script(incidents=(Incident(kind="drift", at_s=0.5),)), crashes=(14,), aim="resume"
    ),
    "restart": Trial(shape=replace(TWO, purpose="restart"), script=Script()),
    "adopt": Trial(shape=replace(TWO, purpose="adopt"), script=Script()),
    "unfinished": Trial(shape=TWO, script=Script()),
}
CUT = {"unfinished": 15}  # records that it is left with


def summary(rollout: Rollout) -> dict[str, Any]:
    """What a journal comes to: where each host is, how it ended, and what is to be done next."""
    hosts = {h: [str(s.phase), s.at, s.begun, s.way_at] for play in rollout.plays for h, s in play.hosts.items()}
    end = rollout.end and [rollout.end.end, rollout.end.exit_code]
    steps = [f"{step.host} {step.action.kind}" for step in due(rollout)]
    return {"end": end, "hosts": hosts, "epoch": rollout.plan.epoch, "due": steps}


def lines(events: Sequence[Event]) -> list[str]:
    """The records as the store keeps them, and what they come to."""
    found, previous = [], ""
    for seq, event in enumerate(events, 1):
        at, body = f"2026-11-28T10:00:{seq % 60:02}.000Z", encode(event)
        digest = chained("r1", seq, at, body, previous)
        found.append({"seq": seq, "at": at, "body": body, "previous_hash": previous, "hash": digest})
        previous = digest
    return [json.dumps(one, sort_keys=True) for one in (*found, summary(fold(initial(), events)))]


def events_of(trial: Trial) -> list[Event]:
    """Run a trial; return its journal."""
    worlds: list[World] = []

    def remembered(*args: Any) -> World:
        worlds.append(World(*args))
        return worlds[-1]

    soup.World = remembered  # type: ignore[misc,assignment]
    try:
        soup.go(trial)
    finally:
        soup.World = World  # type: ignore[misc]
    return [record.event for record in worlds[-1].journal.records]


def main() -> None:
    folder = FOLDER / __version__
    folder.mkdir(parents=True, exist_ok=True)
    for name, trial in MADE.items():
        events = events_of(trial)[: CUT.get(name)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines(events)) + "\n")
        print(f"{name}: {len(events)} records")


if __name__ == "__main__":
    main()
