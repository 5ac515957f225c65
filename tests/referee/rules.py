"""The rules (promises.md): each is a function over a log alone, and says what it finds to be otherwise, a line each.

What was surely so counts: two looks are 20 ms apart, and nobody knows what was so in between.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.referee.log import Asked, Log, Member, Pool, Timeline, Told
from tests.referee.stories import EVER, Span, Story, stories

EPS_S = 0.01  # clocks and roundings: the journal's time has milliseconds
SECOND_S = 1.0  # who has not answered for so long does not serve
QUIET = 3  # answers for each member, below which nothing is said of who has not answered
WATCH_S = 1.0  # how often rollout looks at a pool while a host of it is out (perform/desk.py, Pace.watch_s)
LATE_S = 2.0  # what this machine may be late by
SKEW_S = 0.1  # a pool and a host are not looked at in one moment
GRID_S = 0.25


def seen(log: Log) -> Iterator[str]:
    """The referee was there from the beginning to the end, and looked all the time."""
    if not log.end or not log.looked or not log.asked:
        yield "the referee did not see it to its end"
    if log.longest > 10 * SECOND_S:
        yield f"the referee did not look for {log.longest:.1f} s"


def i1(log: Log) -> Iterator[str]:
    """I1: in no pool fewer members serve than the floor allows, unless a fault explains it."""
    answers = Answers(log)
    for rollout, number, play in log.plays():
        records = log.rollouts[rollout]
        begin, end = records[0].at, _over(records, log)
        for pool in play["pools"]:
            name = pool["spec"]["name"]
            ours = _ours(play, pool, name)
            at_start = _in_service(log, name, ours, begin, answers)
            for time in _moments(log.pools[name], begin, end):
                floor = min(_floor(pool, records, number, time), at_start)
                count = _in_service(log, name, ours, time, answers)
                if count < floor:
                    yield f"{rollout}: {count} in service in {name} at {time:.2f}, and {floor} must stay"


def i2(log: Log) -> Iterator[str]:
    """I2: nobody is served by a host that is being changed, and none that is being changed is in rotation."""
    told = stories(log)
    let_in = readmitted(log, told)
    for one in log.asked:
        for change in told[one.host].changes if one.host in told else ():
            early = one.at < change.begin + EPS_S
            inside = one.until > change.begin + EPS_S and one.at < change.end - EPS_S
            if inside and not (early and change.forced) and not _in(let_in.get(one.host, ()), one.at, one.until):
                yield f"request {one.id} was served by {one.host} at {one.at:.2f}, while it was being changed"
    for host, story in told.items():
        for change in story.changes:
            yield from _kept_out(log, host, change, let_in.get(host, ()))


def i3(log: Log) -> Iterator[str]:
    """I3: what is believed at the end is so."""
    for time, hosts in log.status:
        for host, said in hosts.items():
            now = log.hosts[host].at(time)
            if said["state"] == "stranded" or now is None:
                continue
            running = {release for _, _, release in now.running}
            if now.link != said["release"] or running != ({said["release"]} - {""}):
                yield f"{host} is believed to be on {said['release']!r}: its link says {now.link!r}, {running} runs"
            out = _takes(log, host, log.begin) and not _takes(log, host, time)
            if out != said["out"]:
                yield f"{host} is believed to be {'out' if said['out'] else 'in'}, and is not"


def i4(log: Log) -> Iterator[str]:
    """I4: ``current`` always names a whole release, with the manifest that is on record."""
    told, manifests = stories(log), _manifests(log)
    for host, timeline in log.hosts.items():
        before = ""
        withdrawn = told[host].withdrawn if host in told else EVER
        for begin, _, now in timeline.between(log.begin, log.end):
            if now.link and not now.whole:
                yield f"{host} at {begin:.2f}: current names {now.link!r}, which is not complete"
            if now.whole and manifests.get(now.link, now.whole) != now.whole:
                yield f"{host} at {begin:.2f}: release {now.link} has another manifest than is on record"
            if before and not now.link and begin < withdrawn:
                yield f"{host} at {begin:.2f}: current is gone"
            before = now.link


def i7(log: Log) -> Iterator[str]:
    """I7: every member is as it was found, but for whom rollout says otherwise; what a person put out stays out."""
    left = {h for _, hosts in log.status for h, said in hosts.items() if said["out"] or said["state"] == "stranded"}
    for name, timeline in log.pools.items():
        first, last = timeline.values[0].members, timeline.values[-1].members
        for member, was in first.items():
            now = last[member]
            if (was.admin, was.weight) != (now.admin, now.weight) and member not in left:
                yield f"{member} of {name}: admin {was.admin}, weight {was.weight} became {now.admin}, {now.weight}"
            if was.admin & 1:
                yield from _left_alone(timeline, name, member, log)


def i8(log: Log) -> Iterator[str]:
    """I8: whoever is in rotation runs the release that the journal says, and answers with it."""
    told = stories(log)
    for one in log.asked:
        story = told.get(one.host)
        if story is None or one.failure or story.changing(one.at) is not None:
            continue
        believed = story.believed.at(one.at - EPS_S), story.believed.at(one.until + EPS_S)
        if one.at > story.believed.times[0] and one.release not in believed:
            yield f"request {one.id} got {one.release} from {one.host}, which is believed to run {believed[0]}"
    for host, story in told.items():
        for pool in log.pools.values():
            for begin, end, now in pool.between(story.believed.times[0], log.end):
                if now.members[host].takes:
                    yield from _runs(log, host, story, begin + SKEW_S, end - SKEW_S)


def i21(log: Log) -> Iterator[str]:
    """I21: who was put back by a reload while it is being changed is out again within the watch interval."""
    for host, spans in readmitted(log, stories(log)).items():
        for span in spans:
            lasted_s = span.end - span.begin
            if lasted_s > WATCH_S + LATE_S:
                yield f"{host} was put back by a reload at {span.begin:.2f}, and stayed in for {lasted_s:.1f} s"


def users(log: Log) -> Iterator[str]:
    """No request fails that no fault explains."""
    for one in log.asked:
        if one.failure and not (log.hurt(one.sent) or log.hurt(one.done)):
            yield f"request {one.id} at {one.sent:.2f} failed: {one.failure} {one.status or ''}".rstrip()


RULES: Mapping[str, Callable[[Log], Iterator[str]]] = {
    rule.__name__.upper(): rule for rule in (seen, i1, i2, i3, i4, i7, i8, i21, users)
}


def broken(log: Log) -> dict[str, list[str]]:
    """Return what each rule found."""
    return {name: list(rule(log)) for name, rule in RULES.items()}


# --- what the rules ask


class Answers:
    """When each host answered a user."""

    def __init__(self, log: Log) -> None:
        """Sort them by their times."""
        good = sorted((one.until, one.host) for one in log.asked if not one.failure)
        self.times = [time for time, _ in good]
        self.hosts = [host for _, host in good]

    def silent(self, host: str, time: float, members: int) -> bool:
        """Whether a host gave no answer in the last second, in which the others gave enough of them."""
        last = self.hosts[bisect_left(self.times, time - SECOND_S) : bisect_right(self.times, time)]
        return len(last) >= QUIET * members and host not in last


def _in_service(log: Log, pool: str, ours: frozenset[str], time: float, answers: Answers) -> int:
    """Count the members that are in rotation and answer; who was hurt by a fault counts as if it were not."""
    now = log.pools[pool].at(time)
    return sum(log.hurt(time, m) or _in_service_now(log, pool, m, time, now, answers) for m in ours)


def _in_service_now(log: Log, pool: str, member: str, time: float, now: Pool | None, answers: Answers) -> bool:
    if now is None or not now.members[member].serves:
        return False
    all_along = all(p.members[member].serves for _, _, p in log.pools[pool].between(time - SECOND_S, time))
    return not (all_along and answers.silent(member, time, len(now.members)))


def _ours(play: Mapping[str, Any], pool: Mapping[str, Any], name: str) -> frozenset[str]:
    moved = {plan["members"][name] for plan in play["hosts"].values() if name in plan["members"]}
    return frozenset(moved | set(pool["others"]))


def _floor(pool: Mapping[str, Any], records: Iterable[Told], play: int, time: float) -> int:
    """Return the floor; one that nobody wrote is lower on the way back."""
    back = any(t.at <= time and t.event.get("undo") and t.event.get("play", 0) == play for t in records)
    return int(pool["floor"]) if pool["written"] or not back else min(int(pool["floor"]), 1)


def _over(records: Iterable[Told], log: Log) -> float:
    return next((told.at for told in records if told.kind == "rollout_finished"), log.end)


def _moments(timeline: Timeline[Pool], begin: float, end: float) -> Iterator[float]:
    """Yield every moment at which something is otherwise, and some between."""
    for since, until, _ in timeline.between(begin, end):
        time = since
        while time <= until:
            yield time
            time += GRID_S


def _takes(log: Log, host: str, time: float) -> bool:
    """Whether a host gets traffic from any pool (at the first look, where nobody had looked by then)."""
    seen = [(pool.at(time) or pool.values[0]).members.get(host) for pool in log.pools.values()]
    return any(member.takes for member in seen if member is not None)


def _kept_out(log: Log, host: str, change: Span, let_in: Iterable[Span]) -> Iterator[str]:
    """Say when a host that is being changed is in rotation, or still has sessions when that begins."""
    for name, pool in log.pools.items():
        for begin, end, now in pool.between(change.begin + EPS_S, min(change.end, log.end) - EPS_S):
            member = now.members.get(host)
            if member is None or _in(let_in, begin, end):
                continue
            if member.takes and end - begin > EPS_S:
                yield f"{host} is in rotation in {name} at {begin:.2f}, while it is being changed"
            elif member.sessions and not change.forced:
                yield f"{host} has {member.sessions} sessions in {name} at {begin:.2f}, while it is being changed"


def _in(spans: Iterable[Span], begin: float, end: float) -> bool:
    return any(span.begin - EPS_S <= end and begin <= span.end + EPS_S for span in spans)


def readmitted(log: Log, told: Mapping[str, Story]) -> dict[str, list[Span]]:
    """Return when hosts that are out were in rotation again because their balancer had begun anew."""
    found: dict[str, list[Span]] = {}
    for pool in log.pools.values():
        generations = [p.generation for p in pool.values]
        new = [t for t, g, before in zip(pool.times[1:], generations[1:], generations, strict=False) if g != before]
        for time in new:
            for host, story in told.items():
                if story.out_at(time):
                    found.setdefault(host, []).append(Span(time, _out_again(pool, host, time, log.end)))
    return found


def _out_again(pool: Timeline[Pool], host: str, time: float, end: float) -> float:
    """Return when a host had been put out again, and was without sessions: that its checks fail is no help."""
    for begin, _, now in pool.between(time, end):
        member: Member = now.members[host]
        if member.admin and not member.sessions:
            return begin
    return end


def _manifests(log: Log) -> dict[str, str]:
    """Return the manifests on record of the releases that the journals name."""
    found: dict[str, str] = {}
    for _, _, play in log.plays():
        found[play["release"]["id"]] = play["release"]["manifest"]
        for plan in play["hosts"].values():
            for step in plan["steps"]:
                for action in (step["do"], *step["undo"]):
                    if action["kind"] == "switch":
                        found[action["release"]] = action["manifest"]
    return found


def _left_alone(timeline: Timeline[Pool], name: str, member: str, log: Log) -> Iterator[str]:
    for begin, _, now in timeline.between(log.begin, log.end):
        if not now.members[member].admin & 1 and not log.hurt(begin, member):
            yield f"{member} of {name} was put out by a person, and is not out at {begin:.2f}"


def _runs(log: Log, host: str, story: Story, begin: float, end: float) -> Iterator[str]:
    """Say what runs on a host in rotation that is not what it is believed to be on."""
    if begin >= end:
        return
    for since, until, now in log.hosts[host].between(begin, end):
        believed = {story.believed.at(since), story.believed.at(until)}
        running = {release for _, _, release in now.running}
        if until - since > SKEW_S and not log.hurt(since, host) and (not running or not running <= believed):
            yield f"{host} is in rotation at {since:.2f}, {running or 'nothing'} runs there, and not {believed}"


def figures(log: Log) -> dict[str, float]:
    """Return how much was seen."""
    back = [s.end - s.begin for spans in readmitted(log, stories(log)).values() for s in spans]
    return {
        "seconds": round(log.end - log.begin, 1),
        "looks": log.looked,
        "longest_between_ms": round(log.longest * 1000),
        "requests": len(log.asked),
        "failed": sum(bool(a.failure) for a in log.asked),
        "readmitted_s": round(max(back, default=0.0), 2),
    }


__all__ = ["RULES", "Asked", "broken", "figures"]
