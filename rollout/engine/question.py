"""What a plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.plan import Purpose
from rollout.model.play import Ask, Play
from rollout.model.pool import Member, PoolName, Rotation, WorkersPool
from rollout.model.release import Own, Release, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that a plan is made from.

    ``seen``: observations of the play's hosts; ``asks``: what the play says for the new release, for
    every matched host; ``asks_back``: the same rendered for each host's previous release;
    ``recorded``: manifest digests of the releases that the store knows as good, ``recorded_on`` those of hosts on
    which they are not the same; ``own``: what the release has of its own on hosts; ``condemned``: releases
    reverted for a cause of their own; ``pools``: every pool's members of ours, with the host of each,
    and which of them are in service now; ``left_out``: hosts that an earlier rollout of ours had to
    leave out of rotation.
    """

    rollout: str
    play: Play
    release: Release
    seen: Mapping[HostName, Observation]
    asks: Mapping[HostName, Ask]
    asks_back: Mapping[HostName, Ask] = field(default_factory=dict)
    recorded: Mapping[str, str] = field(default_factory=dict)
    recorded_on: Mapping[HostName, Mapping[str, str]] = field(default_factory=dict)
    own: Mapping[HostName, Own] = field(default_factory=dict)
    condemned: frozenset[str] = frozenset()
    allow_bad: bool = False
    in_service: Mapping[PoolName, frozenset[HostName]] = field(default_factory=dict)
    left_out: frozenset[HostName] = frozenset()
    epoch: int = 0
    restored: frozenset[HostName] = frozenset()  # hosts that have forgotten a rollout which the store knows
    purpose: Purpose = "apply"
    drained: Mapping[HostName, str] = field(default_factory=dict)  # by hand, through us: by whom, when and why
    artifact_at_hand: bool = True
    ways: Mapping[HostName, Way] = field(default_factory=dict)  # how the release comes to a host; else all is sent
    leave_out: tuple[str, ...] = ()  # of what is adopted: what its manifest does not cover
    spare: tuple[str, ...] = ()  # releases that the store has a use for: never pruned
    fleet_release: str = ""  # the last one that a rollout brought to the whole fleet


def manifest_for(question: Question, host: HostName) -> str:
    """Return the digest of the manifest that the release has on a host."""
    own = question.own.get(host)
    return own.manifest if own else question.release.manifest


def has_it(question: Question, host: HostName) -> bool:
    """Whether the complete release is on a host, as it has to be there."""
    return question.seen[host].releases.get(question.release.id) == manifest_for(question, host)


def recorded_for(question: Question, host: HostName) -> Mapping[str, str]:
    """Return the manifests that the store recorded for a host: what it says about itself names no way back."""
    return question.recorded_on.get(host, question.recorded)


def serves(question: Question, host: HostName) -> bool:
    """Whether some pool counts the host as in service now."""
    return any(host in members for members in question.in_service.values())


def left_out(question: Question, host: HostName) -> bool:
    """Whether an earlier rollout had to leave the host out, and nobody has drained it by hand since."""
    return host in question.left_out and host not in question.drained


def moved(question: Question, host: HostName) -> Mapping[PoolName, Member]:
    """Return the pools that this run takes the host out of: what an operator drained stays drained (I7).

    Where there is no balancer nobody can have drained it: it is always ours to take out. A host that
    an earlier rollout left out was not drained by an operator: this one puts it back.
    """
    seen = question.seen[host]
    ours = left_out(question, host)
    workers = {spec.name for spec in question.play.pools if isinstance(spec, WorkersPool)}
    found = {}
    for pool, member in question.asks[host].members.items():
        state = seen.members.get(pool)
        if pool in workers or (state is not None and (state.admin == Rotation.READY or ours)):
            found[pool] = member
    return found
