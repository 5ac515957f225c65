"""What stands over a plan that nobody looked at the fleet for: of which time it is, and what it cannot know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rollout.model.host import HostName
from rollout.report.text import inert, moment, names

NOT_KNOWN = (
    "whether hosts and balancers answer, and who is in rotation by now",
    "whether checks pass, sudo and tools are there, and disks have room",
    "how much of the release has to be sent",
    "who has signed the release, and whether a policy lets it pass",
)
WHICH = "which revision it is: secrets are in its templates, and none was read; the newest on record is taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Whom a rollout was the last to know, and when it was last heard of."""

    rollout: str
    at: str
    hosts: tuple[HostName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """``never``: hosts that no rollout has been to; ``half_way``: those that were not in order when last heard of."""

    seen: tuple[Sighting, ...]
    never: tuple[HostName, ...] = ()
    half_way: tuple[HostName, ...] = ()
    not_known: Sequence[str] = NOT_KNOWN


def marks_lines(marks: Marks) -> list[str]:
    """Return them as plain lines, to stand over the plan."""
    lines = ["OFFLINE: nothing was contacted. Hosts are taken to be as they were last seen:"]
    lines += [f"  {moment(s.at)}  {names(s.hosts)} (rollout {inert(s.rollout, 60)})" for s in marks.seen]
    if marks.never:
        lines.append(f"  never seen, and planned as empty: {names(marks.never)}")
    if marks.half_way:
        lines.append(f"  HALF-WAY when last heard of: {names(marks.half_way)}")
    return [*lines, "Not known:", *(f"  - {what}" for what in marks.not_known), "Nothing carries this plan out.", ""]


def marks_object(marks: Marks) -> dict[str, object]:
    """Return them as JSON's object."""
    return asdict(marks)
