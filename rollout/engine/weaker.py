"""What is weaker in one plan than in another: a table of comparisons, each with a name that a policy may list.

Each looks at the same app before and now and says in one sentence what protects less, or nothing. What was not on
record when the earlier plan was made is not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rollout.engine.batching import floor_of, sizes
from rollout.model.check import CheckSpec, HttpCheck
from rollout.model.host import Connection
from rollout.model.plan import PlayPlan
from rollout.model.share import MILLION

SCOPES = ("fleet", "batch", "host", "none")  # of a revert, the widest first
PROOFS = ("process", "checks", "none")  # of identity, the strongest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Weaker:
    """One thing that protects less than before. ``name``: of the comparison."""

    name: str
    what: str

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.name}: {self.what}"


def weaker(was: PlayPlan, now: PlayPlan) -> tuple[Weaker, ...]:
    """Return everything in a plan of an app that protects less than an earlier one, in the order of the table."""
    return tuple(Weaker(name=name, what=what) for name, compare in COMPARISONS.items() for what in compare(was, now))


def signer(play: PlayPlan) -> str:
    """Return who answers for the release of a play, "" where nobody does: what checks signatures notes it there."""
    return str(getattr(getattr(play, "trust", None), "identity", ""))


def _floor(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    for pool in now.pools if was.serial else ():
        before = floor_of(was.min_in_service, pool.size, was.max_failures, allow_outage=was.allow_outage)
        if pool.floor < before:
            yield f"pool {pool.spec.name} keeps {pool.floor} of {pool.size} hosts in service, and kept {before}"


def _outage(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if now.allow_outage and not was.allow_outage and was.serial:
        yield "`allow_outage` is on, and was off: nobody may be left in service"


def _unreachable(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if now.unreachable == "skip" and was.unreachable == "refuse" and was.serial:
        yield "hosts that cannot be reached are skipped, and were a reason not to begin"


def _serial(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    total = max([len(now.hosts), *(pool.size for pool in now.pools)])
    if not was.serial or not now.serial or not total:
        return
    before, after = sizes(was.serial, total), sizes(now.serial, total)
    if after[0] > before[0]:
        yield f"the first batch has {after[0]} of {total} hosts, and had {before[0]}"
    elif max(after) > max(before):
        yield f"the largest batch has {max(after)} of {total} hosts, and had {max(before)}"


def _max_failures(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if now.max_failures > was.max_failures:
        yield f"{now.max_failures} hosts may fail, and {was.max_failures} might"
    before, after = (MILLION if p is None else p for p in (was.max_fail_percentage_ppm, now.max_fail_percentage_ppm))
    if now.max_fail_percentage_ppm is not None and (was.max_fail_percentage_ppm is None or after > before):
        yield f"{after / 10_000:g}% of a batch may fail, and {_percent(was)}"


def _percent(play: PlayPlan) -> str:
    ppm = play.max_fail_percentage_ppm
    return "no share was allowed" if ppm is None else f"{ppm / 10_000:g}% might"


def _checks(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    before, after = _fewest(was), _fewest(now)
    if after < before:
        yield f"{after} checks are made of a host, and {before} were"


def _fewest(play: PlayPlan) -> int:
    return min((len(host.checks) for host in play.hosts.values()), default=0)


def _tls(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if any(map(_unverified, _every_check(now))) and not any(map(_unverified, _every_check(was))):
        yield "a check does not verify the certificate that it is shown, and all did"


def _every_check(play: PlayPlan) -> Iterator[CheckSpec]:
    return (check for host in play.hosts.values() for check in host.checks)


def _unverified(check: CheckSpec) -> bool:
    return isinstance(check, HttpCheck) and check.scheme == "https" and not check.verify_tls


def _healthy_for(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    before, after = was.health.healthy_for_s, now.health.healthy_for_s
    if after < before:
        yield f"a host has to be healthy for {after:g} s, and had to for {before:g} s"


def _fall(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if now.health.fall > was.health.fall:
        yield f"{now.health.fall} answers in a row have to be bad, and {was.health.fall} had to be"


def _identity(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if PROOFS.index(now.health.identity) > PROOFS.index(was.health.identity):
        yield f"the new release is proven by `{now.health.identity}`, and was by `{was.health.identity}`"


def _revert(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if SCOPES.index(now.on_failure.revert) > SCOPES.index(was.on_failure.revert):
        yield f"a bad release brings back `{now.on_failure.revert}`, and brought back `{was.on_failure.revert}`"


def _drain(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if now.drain.deadline_s < was.drain.deadline_s:
        yield f"sessions have {now.drain.deadline_s:g} s to end, and had {was.drain.deadline_s:g} s"
    if was.drain.on_deadline == "fail" and now.drain.on_deadline != "fail":
        yield f"sessions that do not end are met with `{now.drain.on_deadline}`, and with `fail` before"


def _connections(play: PlayPlan) -> Iterator[Connection]:
    yield from (host.connection for host in play.hosts.values())
    yield from play.delegates.values()
    for pool in play.pools:
        found = getattr(pool.spec, "connection", None)
        if found is not None:
            yield found


def _host_keys(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    def accepts(play: PlayPlan) -> bool:
        return any(c.host_keys == "accept-new" for c in _connections(play))

    if accepts(now) and not accepts(was):
        yield "the key of a host that nobody knows is accepted (`accept-new`), and was refused"


def _jump(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    before, after = _hops(was), _hops(now)
    if new := sorted(after - before):
        yield f"hosts are reached through {', '.join(new)}, and were {_way_before(before)}"


def _hops(play: PlayPlan) -> set[str]:
    return {f"{hop.address}:{hop.port}" for c in _connections(play) for hop in c.jump}


def _way_before(hops: set[str]) -> str:
    return f"reached through {', '.join(sorted(hops))}" if hops else "reached directly"


def _become(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    before, after = _users(was), _users(now)
    if new := sorted(after - before):
        yield f"commands run as {', '.join(new)}, and ran as {', '.join(sorted(before)) or 'nobody but the SSH user'}"


def _users(play: PlayPlan) -> set[str]:
    return {c.become.user for c in _connections(play) if c.become is not None}


def _owner(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    before, after = _owners(was), _owners(now)
    if before and (new := sorted(after - before)):
        yield f"files belong to {', '.join(new)}, who does every step, and belonged to {', '.join(sorted(before))}"


def _owners(play: PlayPlan) -> set[str]:
    return {host.owner or "the SSH user" for host in play.hosts.values()}


def _signature(was: PlayPlan, now: PlayPlan) -> Iterator[str]:
    if signer(was) and not signer(now):
        yield f"nobody signed the release, and {signer(was)} had"


COMPARISONS: dict[str, Callable[[PlayPlan, PlayPlan], Iterator[str]]] = {
    "floor": _floor,
    "allow_outage": _outage,
    "unreachable": _unreachable,
    "serial": _serial,
    "max_failures": _max_failures,
    "checks": _checks,
    "tls": _tls,
    "healthy_for": _healthy_for,
    "fall": _fall,
    "identity": _identity,
    "revert": _revert,
    "drain": _drain,
    "host_keys": _host_keys,
    "jump": _jump,
    "become": _become,
    "owner": _owner,
    "signature": _signature,
}
