"""The two benches of the balancer contract: a real HAProxy, and the simulated one."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rollout.balancers.haproxy import Haproxy as HaproxyAdapter
from rollout.balancers.via import ViaHost, ViaSocket
from rollout.model.pool import Member, Rotation
from rollout.testing.balancer import Checks, SimulatedBalancer
from rollout.testing.balancer_contract import Layout
from tests.haproxy import Apps, Haproxy, wait_for

STATES = {Rotation.READY: "ready", Rotation.DRAIN: "drain", Rotation.MAINT: "maint"}


class RealBench:
    """Requests come over the wire, time is the kernel's."""

    def __init__(self, apps: Apps, haproxy: Haproxy, *, by_tcp: bool, via: ViaHost | None = None) -> None:
        self.apps, self.haproxy = apps, haproxy
        socket, tcp = ("", haproxy.tcp) if by_tcp else (haproxy.socket, "")
        over = ViaSocket(via=via, path=socket, tcp=tcp) if via else None
        self.balancer = HaproxyAdapter(backend=haproxy.backend, socket=socket, tcp=tcp, over=over)
        self.inter_s = haproxy.inter_ms / 1000
        self.holders: list[threading.Thread] = []

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def kill(self, member: Member) -> None:
        self.apps.kill(member)

    def start(self, member: Member) -> None:
        self.apps.start(member)

    def reload(self) -> None:
        self.haproxy.reload()

    def operator(self, member: Member, rotation: Rotation) -> None:
        assert not self.haproxy.ask(f"set server shop/{member} state {STATES[rotation]}").strip()

    def hold(self, member: Member) -> None:
        holder = threading.Thread(target=self._get, args=("/hold", member), daemon=True)
        holder.start()
        self.holders.append(holder)

    def release(self, member: Member) -> None:
        self.apps.release(member)

    def reached(self) -> frozenset[Member]:
        answers = [self._get("/", None) for _ in range(4 * len(self.apps.apps))]
        return frozenset(Member(a.split(" ")[0]) for a in answers if a)

    def sticky(self, member: Member) -> bool:
        return self._get("/", member).startswith(f"{member} ")

    def _get(self, path: str, member: Member | None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.haproxy.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Cookie": f"member={member}"} if member else {})
            response = connection.getresponse()
            return response.read().decode() if response.status == 200 else ""
        except (OSError, http.client.HTTPException):
            return ""  # cut
        finally:
            connection.close()


class SimulatedBench:
    """Time is a number."""

    inter_s = 1.0

    def __init__(self, layout: Layout) -> None:
        self.time = 0.0
        self.dead: set[Member] = set()
        self.balancer = SimulatedBalancer(
            layout.members,
            clock=lambda: self.time,
            healthy=lambda member: member not in self.dead,
            checks=Checks(inter_s=self.inter_s, rise=layout.rise, fall=layout.fall, slowstart_s=layout.slowstart_s),
            unchecked=layout.unchecked,
        )

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def kill(self, member: Member) -> None:
        self.balancer.settle()
        self.dead.add(member)

    def start(self, member: Member) -> None:
        self.balancer.settle()
        self.dead.discard(member)

    def reload(self) -> None:
        self.balancer.reload()

    def operator(self, member: Member, rotation: Rotation) -> None:
        self.balancer.operator(member, rotation)

    def hold(self, member: Member) -> None:
        self.balancer.hold(member)

    def release(self, member: Member) -> None:
        self.balancer.hold(member, -100)

    def reached(self) -> frozenset[Member]:
        return frozenset(m for m in self.balancer.read().members if self.balancer.truth(m))

    def sticky(self, member: Member) -> bool:
        return self.balancer.truth(member, sticky=True)


@contextmanager
def real_bench(layout: Layout, *, by_tcp: bool = False, via: ViaHost | None = None) -> Iterator[RealBench]:
    """Start applications and a HAProxy before them; applications of large layouts share one port."""
    shared = len(layout.members) > 10
    apps = Apps(*(layout.members[:1] if shared else layout.members))
    ports = {str(m): apps.apps[layout.members[0] if shared else m].port for m in layout.members}
    inter_ms = 300 if via else 60  # a round trip must fit between two checks
    unchecked = frozenset(layout.unchecked)
    slow = dict.fromkeys(ports, f"slowstart {layout.slowstart_s:g}s") if layout.slowstart_s else {}
    haproxy = Haproxy(ports, rise=layout.rise, fall=layout.fall, unchecked=unchecked, inter_ms=inter_ms, options=slow)
    try:
        with haproxy:
            bench = RealBench(apps, haproxy, by_tcp=by_tcp, via=via)
            yield bench
    finally:
        apps.close()
    wait_for("held requests end", lambda: not any(h.is_alive() for h in bench.holders))
