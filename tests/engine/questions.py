"""Questions for the planner, from observations made up here: no host, no balancer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rollout.engine.planner import previous_of
from rollout.engine.question import Question
from rollout.model.check import Health, HttpCheck, Probed
from rollout.model.host import Connection, HostName
from rollout.model.observation import Observation
from rollout.model.play import ArtifactAsk, Ask, Play
from rollout.model.pool import HaproxyPool, Member, MemberState, PoolName, Rotation
from rollout.model.release import Process, Release, ReleaseId
from rollout.model.share import Share

POOL = PoolName("shop")
OLD, NEW = "v1", "v2"
MANIFESTS = {OLD: "1" * 64, NEW: "2" * 64}
KEPT = frozenset({"installed", "activated", "verified", "kept"})
SERVICE = Process(command=("./serve",))


def names(count: int) -> tuple[HostName, ...]:
    return tuple(HostName(f"h{n:04d}") for n in range(count))


def member(admin: Any = Rotation.READY, *, up: bool = True, checked: bool = True, note: str = "") -> MemberState:
    return MemberState(admin=admin, up=up, checked=checked, sessions=0, note=note)


def on(release: str, host: str, **more: Any) -> Observation:
    """A host that serves a release which a rollout left there."""
    seen = Observation(
        host=HostName(host),
        identity="default/shop",
        current=release,
        current_kind="link",
        running=release,
        releases={release: MANIFESTS[release]},
        ledger={release: KEPT},
        boot="boot/1",
        machine_id=f"machine-{host}",
        members={POOL: member()},
        checks=(Probed(ok=True),),
    )
    return replace(seen, **more)


def bare(host: str, **more: Any) -> Observation:
    """A host with nothing on it."""
    seen = Observation(
        host=HostName(host), members={POOL: member(up=False)}, checks=(Probed(ok=False),), machine_id=f"machine-{host}"
    )
    return replace(seen, **more)


def ask(host: HostName) -> Ask:
    return Ask(
        host=host,
        connection=Connection(address=host),
        root="/srv/shop",
        service=SERVICE,
        members={POOL: Member(host)},
        checks=(HttpCheck(port=80),),
    )


def asks(hosts: Any) -> dict[HostName, Ask]:
    return {h: ask(h) for h in hosts}


def play(hosts: tuple[HostName, ...], **more: Any) -> Play:
    made = Play(
        name="shop",
        app="shop",
        environment="default",
        hosts=hosts,
        matched=hosts,
        serial=(Share(count=1), Share(ppm=100_000), Share(ppm=250_000)),
        release_id=NEW,
        artifact=ArtifactAsk(path="x"),
        pools=(HaproxyPool(name=POOL, backend="shop"),),
        health=Health(),
        resolve=lambda ids: asks(ids),
    )
    return replace(made, **more)


def question(seen: Mapping[HostName, Observation] | int, *, of: dict[str, Any] | None = None, **more: Any) -> Question:
    """A question about these hosts (a number: so many that serve the old release). ``of``: the play's words."""
    if isinstance(seen, int):
        seen = {h: on(OLD, h) for h in names(seen)}
    hosts = tuple(seen)
    recorded = more.pop("recorded", MANIFESTS)
    words = of or {}
    matched = words.get("matched", hosts)
    back = [h for h, s in seen.items() if previous_of(recorded, s, NEW)]
    made = Question(
        rollout="r1",
        play=play(hosts, **words),
        release=Release(id=ReleaseId(NEW), artifact="a" * 64, manifest=MANIFESTS[NEW], size=1_000, unpacked=2_000),
        seen=seen,
        asks=asks(dict.fromkeys((*matched, *hosts))),
        asks_back=asks(back),
        recorded=recorded,
        in_service={POOL: frozenset(h for h, s in seen.items() if s.reachable and s.members and s.in_rotation)},
        epoch=1,
    )
    return replace(made, **more)
