"""Plans and events to write down."""

from __future__ import annotations

from rollout.model.check import HttpCheck
from rollout.model.event import HaltOrdered, Provenance, RolloutFinished, RolloutStarted, StepFinished, StepStarted
from rollout.model.host import Connection, HostName
from rollout.model.plan import (
    Batch,
    Deregister,
    Discard,
    HostPlan,
    Keep,
    Plan,
    PlayPlan,
    PoolPlan,
    Register,
    Stage,
    Step,
    Switch,
    Verify,
)
from rollout.model.pool import HaproxyPool, Member, PoolName
from rollout.model.release import Process, Release, ReleaseId, Site
from rollout.model.verdict import Cause, Outcome

OLD, NEW = ReleaseId("1.0.0"), ReleaseId("2.0.0")


def program(new: ReleaseId = NEW, old: ReleaseId = OLD) -> tuple[Step, ...]:
    """Return the usual program of one host."""
    back = (Switch(release=old, manifest="b" * 64, expect=new), Verify(release=old, way_back=True))
    return (
        Step(do=Stage(), undo=(Discard(),)),
        Step(do=Deregister(), undo=(Register(),)),
        Step(do=Switch(release=new, manifest="a" * 64, expect=old), undo=back),
        Step(do=Verify(release=new)),
        Step(do=Register(), undo=(Deregister(),)),
        Step(do=Keep(release=new)),
    )


def host_plan(name: HostName) -> HostPlan:
    return HostPlan(
        host=name,
        connection=Connection(address="127.0.0.1"),
        steps=program(),
        staging=1,
        previous=OLD,
        members={PoolName("shop"): Member(name)},
        service=Process(command=("./serve",)),
        checks=(HttpCheck(port=8080, json={"version": "2.0.0"}),),
    )


def plan(
    hosts: int = 3,
    *,
    id: str = "r1",
    app: str = "shop",
    environment: str = "default",
    release: str = NEW,
    manifest: str = "a" * 64,
    batches: tuple[int, ...] = (1,),
    floor: int = 2,
) -> Plan:
    """Return a plan for ``hosts`` hosts; the last size of ``batches`` repeats."""
    names = tuple(HostName(f"web{i + 1}") for i in range(hosts))
    cut, sizes = [], list(batches)
    rest = names
    while rest:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        cut.append(Batch(waves=(rest[:size],)))
        rest = rest[size:]
    play = PlayPlan(
        name="Roll out shop",
        app=app,
        release=Release(id=ReleaseId(release), artifact="c" * 64, manifest=manifest, size=20_000_000),
        site=Site(root="/srv/shop", app=app, environment=environment),
        batches=tuple(cut),
        hosts={name: host_plan(name) for name in names},
        pools=(
            PoolPlan(
                spec=HaproxyPool(name=PoolName("shop"), backend="shop", socket="/run/haproxy/admin.sock"),
                floor=floor,
                written=False,
                size=hosts,
                serving=hosts,
            ),
        ),
    )
    return Plan(id=id, environment=environment, plays=(play,), digest="d" * 64, epoch=1)


def started(**how: object) -> RolloutStarted:
    made = plan(**how)  # type: ignore[arg-type]
    return RolloutStarted(plan=made, provenance=Provenance(user="alice", controller="bastion", message="summer sale"))


def step(op: int, host: str = "web1") -> tuple[StepStarted, StepFinished]:
    return (
        StepStarted(host=HostName(host), op=op, at=0, action=Stage()),
        StepFinished(host=HostName(host), op=op, outcome=Outcome(tail=("line",), data={"k": "v"})),
    )


SUCCEEDED = RolloutFinished(end="succeeded", reason="every host is on 2.0.0", exit_code=0)
HALT = HaltOrdered(cause=Cause.CONTROLLER, reason="the state could not be written", revert=False)
REVERTED = RolloutFinished(end="reverted", reason="web1 failed its checks", exit_code=4)
