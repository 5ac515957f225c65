"""``rollout hostkeys``: show the keys that hosts show, and record them when a person says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import replace as replaced

from rollout.app.outside import connections_to
from rollout.app.request import Request, plays_of
from rollout.errors import HostKeyRefused, InputError, Problem, Unreachable
from rollout.model.host import Connection, HostName
from rollout.model.play import delegates_of
from rollout.posix.sanitise import line as inert
from rollout.transports.fabric import FabricTransport
from rollout.transports.hostkeyfiles import KnownHosts
from rollout.transports.hostkeys import Entry, Key
from rollout.transports.hostkeyscan import replace, shown_by

SCANNERS = 16  # hosts that are asked at once
COMPARE = "Compare the fingerprint on the host's own console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One host: what it shows, or why that is not known, and what is on record for it."""

    host: HostName
    connection: Connection
    recorded: tuple[Entry, ...] = ()
    key: Key | None = None
    why: str = ""

    @property
    def stand(self) -> str:
        """Return "known", "new", "changed" or "unreachable"."""
        if self.key is None:
            return "unreachable"
        if any(e.key.blob == self.key.blob for e in self.recorded):
            return "known"
        return "changed" if self.recorded else "new"


Ask = Callable[[str], bool]


def scan(request: Request, say: Callable[[str], None], ask: Ask) -> int:
    """Record the keys of hosts that none is on record for, once a person has agreed; 6 while some are not right."""
    files = KnownHosts()
    found = _asked(files, _connections(request))
    for one in found:
        say(_said(one))
    new = [f for f in found if f.stand == "new"]
    code = 6 if any(f.stand in ("changed", "unreachable") for f in found) else 0
    for one in found:
        if one.stand == "changed":
            say(f"{one.host}: if it was rebuilt: rollout hostkeys replace {one.host} -p {request.playbook}")
    if not new:
        say("nothing to record")
        return code
    say(COMPARE)
    if not ask(f"Record {len(new)} new key{'' if len(new) == 1 else 's'}?"):
        say("nothing was recorded")
        return 6
    for one in new:
        _record(files, one)
    say(f"recorded {len(new)}")
    return code


def swap(request: Request, name: str, say: Callable[[str], None], ask: Ask) -> int:
    """Replace the key of a host that was rebuilt, once a person has agreed."""
    files, connections = KnownHosts(), _connections(request)
    if name not in connections:
        what = f"{name[:80]!r} is no host of the playbook, nor one that a balancer is on."
        raise InputError(Problem(file="HOST", code="E_HOST", what=what, instead=f"Hosts: {', '.join(connections)}"))
    (one,) = _asked(files, {HostName(name): connections[HostName(name)]})
    say(_said(one))
    if one.key is None:
        return 6
    if one.stand == "known":
        say("nothing to do: that is the key on record")
        return 0
    say(COMPARE)
    if not ask("Replace it?" if one.recorded else "Record it?"):
        say("nothing was changed")
        return 6
    replace(files, one.connection, one.recorded, one.key)
    say("replaced" if one.recorded else "recorded")
    return 0


def _connections(request: Request) -> Mapping[HostName, Connection]:
    """Return how the plays' hosts are reached, those that their balancers are on, and those that only run tasks."""
    reached: dict[HostName, Connection] = {}
    for play in plays_of(request, released=False):
        asks = play.resolve(dict.fromkeys(play.hosts, "0"))
        reached |= {h: a.connection for h, a in asks.items()}
        reached |= connections_to(play.pools) | delegates_of(asks.values())
    reached = _hops_of(reached.values()) | reached
    return {h: c for h, c in reached.items() if c.transport != "local"}


def _hops_of(connections: Iterable[Connection]) -> dict[HostName, Connection]:
    """Return how the hosts are reached that others are behind, the first ones first."""
    found: dict[HostName, Connection] = {}
    for to in connections:
        here: dict[HostName, Connection] = {}
        while to.jump:
            to, name = to.to_last_hop(), HostName(to.jump[-1].name)
            here = {name: to} | here
        found = found | {h: c for h, c in here.items() if h not in found}
    return found


def _asked(files: KnownHosts, connections: Mapping[HostName, Connection]) -> list[Found]:
    transport = FabricTransport(known_hosts=files)  # what is behind a jump host is asked through it, once that is known
    with ThreadPoolExecutor(max_workers=SCANNERS, thread_name_prefix="scan") as threads, transport.ways.kept():
        return list(threads.map(lambda pair: _one(transport, *pair), connections.items()))


def _one(transport: FabricTransport, host: HostName, to: Connection) -> Found:
    known = transport.known_hosts.about(to.known_hosts, to.address, to.port)
    strict = replaced(to, host_keys="strict")  # nothing is recorded before a person has agreed, nor of a jump host
    try:
        key = shown_by(transport, host, strict, known.types)
    except Unreachable as error:
        return Found(host=host, connection=to, recorded=known.plain, why=inert(str(error)))
    return Found(host=host, connection=to, recorded=known.plain, key=key)


def _said(found: Found) -> str:
    where = f"{found.host} ({found.connection.address}:{found.connection.port}{found.connection.way})"
    if found.key is None:
        return f"{where}: {found.why}"
    shows = f"{where}: {found.stand.upper() if found.stand == 'changed' else found.stand}: it shows {found.key}"
    old = "; ".join(f"{e.key} ({e.place})" for e in found.recorded)
    return f"{shows}; recorded is {old}" if found.stand == "changed" else shows


def _record(files: KnownHosts, found: Found) -> None:
    to = found.connection
    if found.key is None:
        raise HostKeyRefused(f"{found.host}: {found.why}")
    files.judge(found.key, to.known_hosts, to.address, to.port, accept_new=True)
