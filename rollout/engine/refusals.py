"""Reasons not to begin: each a small rule over the question and the plan that would come of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from rollout.engine import operable, owners, placement
from rollout.engine.batching import largest_floor
from rollout.engine.question import Question, has_it, manifest_for, recorded_for, serves
from rollout.errors import Reason, sentence
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.plan import HostPlan, PoolPlan
from rollout.model.pool import HaproxyPool
from rollout.model.release import Pull

Rule = Callable[[Question, Mapping[HostName, HostPlan], tuple[PoolPlan, ...]], Iterable[Reason]]

ROOM = 1.5  # of what a release needs: upload, unpacked copy, and something to breathe
SPARE_INODES = 16


def refusals(question: Question, hosts: Mapping[HostName, HostPlan], pools: tuple[PoolPlan, ...]) -> tuple[Reason, ...]:
    """Return every reason, in the order in which a person would mend them."""
    rules = _OF_OPERATIONS.get(question.purpose, _RULES)
    return tuple(reason for rule in rules for reason in rule(question, hosts, pools))


def _named(code: str, what: str, instead: str, hosts: Iterable[str]) -> Iterator[Reason]:
    """Make one reason of all the hosts that share it."""
    names = tuple(hosts)
    if names:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        yield Reason(code=code, what=f"{what}: {shown}.", instead=instead, hosts=names)


def _reachable(question: Question) -> dict[HostName, Observation]:
    return {h: s for h, s in question.seen.items() if s.reachable}


SHELLS = (
    "Nothing in its start-up files (~/.bashrc) may exit, exec or read standard input where there is no terminal,"
    " and the shell must run commands (no nologin, no rbash)."
)


def unreachable(question: Question, *_: object) -> Iterator[Reason]:
    """Hosts that no connection could be made to; where they are skipped, more than the budget allows."""
    play = question.play
    if play.unreachable == "skip":
        off = [h for h in play.hosts if not question.seen[h].reachable and not question.seen[h].code]
        allowed = play.max_failures.floor_of(len(play.hosts))
        if off and (len(off) == len(play.hosts) or (play.max_fail_percentage_ppm is None and len(off) > allowed)):
            what = f"{len(off)} of {len(play.hosts)} hosts cannot be reached, and max_failures is {allowed}"
            how = f"Those that are skipped count as failed: say max_failures: {len(off)}, or leave them out by --limit."
            yield from _named("E_UNREACHABLE", what, how, off)
        return
    for host, seen in question.seen.items():
        if seen.code:
            continue  # ``owners`` says why
        if not seen.shell:
            what = f"host {host}: its login shell does not run what it is told: {seen.why}."
            yield Reason(code="E_SHELL", what=what, instead=SHELLS, hosts=(host,))
        elif not seen.reachable:
            what = f"host {host} cannot be reached: {sentence(seen.why)}"
            yield Reason(
                code="E_UNREACHABLE", what=what, instead="Mend it, or leave it out with --limit.", hosts=(host,)
            )


def roots(question: Question, *_: object) -> Iterator[Reason]:
    """The app's folder is there, ours, and this app's."""
    ours = _identity(question)
    for host, seen in _reachable(question).items():
        site = question.asks[host].root
        if seen.root == "foreign" and seen.identity not in ("", ours):
            continue  # it is another app's: ``identities`` says so
        if seen.root == "missing":
            what = f"host {host}: {site} does not exist."
            how = f"Make it once, as a user who may: install -d -o {owners.whose(question, host)} -m 0755 {site}"
            yield Reason(code="E_ROOT", what=what, instead=how, hosts=(host,))
        elif seen.root != "ok" or not seen.writable:
            what = f"host {host}: {seen.root_why or _unwritten(seen.root, site)}."
            yield Reason(code="E_ROOT", what=what, instead=owners.given(question, host), hosts=(host,))


def _unwritten(root: str, site: str) -> str:
    if root != "ok":
        return f"{site} or a folder above it may be written by others, or not by us ({root})"
    return f"{site} or a folder in it cannot be written to by us: it is another user's, or its disk is read-only"


def _identity(question: Question) -> str:
    """Return what stands in the identity file of a root that is ours."""
    return f"{question.play.environment}/{question.play.app}"


def identities(question: Question, *_: object) -> Iterator[Reason]:
    """The folder belongs to this (environment, app)."""
    ours = _identity(question)
    for host, seen in _reachable(question).items():
        if seen.identity and seen.identity != ours:
            what = f"host {host}: {question.asks[host].root} belongs to {seen.identity}, not to {ours}."
            how = "Give this app a root of its own, or name the environment with --env."
            yield Reason(code="E_IDENTITY", what=what, instead=how, hosts=(host,))


def _placed(seen: Observation) -> bool:
    return seen.current_kind in ("link", "none")


def links(question: Question, hosts: Mapping[HostName, HostPlan], _: object) -> Iterator[Reason]:
    """``current`` is a link into releases/, or not there yet."""
    for host, seen in _reachable(question).items():
        if not _placed(seen):
            root = question.asks[host].root
            what = f"host {host}: {root}/current {placement.stands(seen)}, and must be a link into {root}/releases."
            back = hosts[host].previous if host in hosts else ""
            how = placement.mended(root, seen, back, f"before-{question.release.id}")
            yield Reason(code="E_CURRENT_NOT_LINK", what=what, instead=how, hosts=(host,))


def tools(question: Question, *_: object) -> Iterator[Reason]:
    """The few commands that the steps need."""
    by_tools = defaultdict(list)
    for host, seen in _reachable(question).items():
        if seen.missing_tools:
            by_tools[" ".join(seen.missing_tools)].append(host)
    for missing, hosts in by_tools.items():
        yield from _named("E_TOOLS", f"{missing} missing on", "Install it there.", hosts)
    pulling = [h for h, s in _reachable(question).items() if isinstance(question.ways.get(h), Pull) and not s.fetches]
    how = "Install it there, or write `transfer: push`."
    yield from _named("E_TOOL", "`transfer: pull` takes curl, which is missing on", how, pulling)


def gates(question: Question, *_: object) -> Iterator[Reason]:
    """A forced command takes steps with signed releases: what nobody signed is not even tried there."""
    gated = [h for h, s in _reachable(question).items() if s.gated]
    what = "nobody has signed what `release.templates` renders, and a forced command takes what is signed alone on"
    how = "Leave templates out (`release.shared.files` may have `content`), or use a key without a forced command."
    yield from _named("E_SIG_TEMPLATES", what, how, [h for h in gated if question.asks[h].templates])
    what = "the play has tasks for its hosts, and a forced command runs none on"
    how = "Have them run on the controller (`where: controller`), or use a key without a forced command."
    tasks = {h: [task for some in question.asks[h].tasks.values() for task in some] for h in gated}
    yield from _named("E_SIG_TASKS", what, how, [h for h in gated if any(t.where == "host" for t in tasks[h])])


def sudo(question: Question, *_: object) -> Iterator[Reason]:
    """Service control works without a password."""
    by_command = defaultdict(list)
    for host, seen in _reachable(question).items():
        if seen.sudo == "refused":
            become = question.asks[host].connection.become
            by_command[bool(become and become.password), seen.sudo_why or "sudo -n"].append(host)
    for (told, command), hosts in by_command.items():
        what = "sudo does not take the password, or refuses" if told else "sudo asks for a password or refuses"
        whom = question.asks[hosts[0]].owner
        what, how = (owners.SUDO.format(whom=whom), owners.RIGHTS) if whom else (what, _TOLD if told else _UNTOLD)
        yield from _named("E_SUDO", f"{what} ({command}) on", how, hosts)


_UNTOLD = (
    "Allow just that with NOPASSWD in sudoers, give it a password (connection.become.password, -K), or drop become."
)
_TOLD = "Is it this user's own? With a password sudo must allow all commands (ALL); see docs/sudoers.md."


def units(question: Question, *_: object) -> Iterator[Reason]:
    """The systemd units are known there."""
    for host, seen in _reachable(question).items():
        for unit in seen.units:
            what = f"host {host}: systemd does not know the unit {unit}."
            yield Reason(code="E_UNIT", what=what, instead="Install the unit file first.", hosts=(host,))


def shared(question: Question, *_: object) -> Iterator[Reason]:
    """Shared files without content exist already: they are never created empty."""
    for host, seen in _reachable(question).items():
        for path in seen.shared_missing:
            where = f"{question.asks[host].root}/shared/{path}"
            what = f"host {host}: the shared file {where} does not exist."
            yield Reason(code="E_SHARED", what=what, instead="Put it there, or give it content.", hosts=(host,))


def disks(question: Question, hosts: Mapping[HostName, HostPlan], _: object) -> Iterator[Reason]:
    """Room for the upload and the unpacked release, in bytes and inodes."""
    release = question.release
    bytes_needed = int(ROOM * (release.size + release.manifest_size + release.unpacked))
    inodes_needed = int(ROOM * release.files) + SPARE_INODES
    for host, seen in _reachable(question).items():
        if not hosts[host].steps or has_it(question, host):
            continue
        if seen.root == "missing":
            continue  # there is nothing to measure: ``roots`` says so
        if seen.free_bytes < bytes_needed:
            what = f"host {host}: {seen.free_bytes} bytes free, {bytes_needed} needed under {question.asks[host].root}."
            yield Reason(code="E_DISK", what=what, instead="Free some space.", hosts=(host,))
        if seen.free_inodes < inodes_needed:
            what = f"host {host}: {seen.free_inodes} inodes free, {inodes_needed} needed."
            yield Reason(code="E_DISK", what=what, instead="Remove files that nobody needs.", hosts=(host,))


def condemned(question: Question, *_: object) -> Iterator[Reason]:
    """A release that was reverted for a cause of its own is not tried again by itself."""
    release = question.release.id
    on_hosts = any("bad" in s.ledger.get(release, frozenset()) for s in question.seen.values())
    if (release in question.condemned or on_hosts) and not question.allow_bad:
        what = f"release {release} was reverted before because it failed."
        yield Reason(code="E_BAD_RELEASE", what=what, instead="Build a new one, or say --allow-bad.")


def conflicts(question: Question, *_: object) -> Iterator[Reason]:
    """The same id with other content is never overwritten."""
    release = question.release
    there = [h for h, s in _reachable(question).items() if release.id in s.releases]
    hosts = [h for h in there if not has_it(question, h)]
    if release.id in question.recorded and question.recorded[release.id] != release.manifest:
        what = f"release {release.id} is known with other content."
        yield Reason(code="E_RELEASE_CONFLICT", what=what, instead="Give this build an id of its own.")
        return
    said = {h: recorded_for(question, h).get(release.id) for h in question.own}
    others = [h for h, known in said.items() if known not in (None, manifest_for(question, h))]
    what = f"release {release.id} is on record with another configuration for"
    yield from _named("E_RELEASE_CONFLICT", what, "Make a new plan: it takes the next revision.", others)
    what = f"release {release.id} is there with other content on"
    yield from _named("E_RELEASE_CONFLICT", what, "Give this build an id of its own.", hosts)


def members(question: Question, *_: object) -> Iterator[Reason]:
    """Every pool knows its members."""
    for host, seen in _reachable(question).items():
        for pool, state in seen.members.items():
            if state is None:
                member = question.asks[host].members[pool]
                what = f"host {host}: pool {pool} has no server {member}. {seen.why}".rstrip()
                yield Reason(code="E_LB_MEMBER", what=what, instead="Name it with `server:`.", hosts=(host,))
            elif state.admin == "other":
                what = f"host {host}: pool {pool} reports a state we do not know: {state.note}."
                yield Reason(code="E_LB_STATE", what=what, instead="Bring it to ready or maint by hand.", hosts=(host,))


def checks(question: Question, *_: object) -> Iterator[Reason]:
    """What cannot be asked at all is found out before the first drain."""
    for host, seen in _reachable(question).items():
        for tried in seen.checks:
            if not tried.reachable:
                what = f"host {host}: a check cannot be tried: {sentence(tried.summary)}"
                yield Reason(code="E_CHECK", what=what, instead="Try `from: controller`.", hosts=(host,))


def ways_back(question: Question, hosts: Mapping[HostName, HostPlan], _: object) -> Iterator[Reason]:
    """No host that serves users leaves rotation without a way back (I10). What ``links`` names comes first."""
    placed = [h for h, p in hosts.items() if p.steps and _placed(question.seen[h])]
    stuck = [h for h in placed if not hosts[h].previous and serves(question, h)]
    unknown = [h for h in stuck if question.seen[h].current]
    bare = [h for h in stuck if not question.seen[h].current]
    what = "no way back: the running release was not put there by a rollout that succeeded, on"
    yield from _named("E_NO_WAY_BACK", what, "Take it over first: rollout adopt PLAYBOOK.", unknown)
    what = "no way back: something answers the checks, and there is no release, on"
    yield from _named("E_NO_WAY_BACK", what, "Stop what serves there, or drain it first.", bare)


def twins(question: Question, *_: object) -> Iterator[Reason]:
    """One machine under two names would be drained twice."""
    seen_at: dict[tuple[str, str], list[str]] = defaultdict(list)
    for host, seen in _reachable(question).items():
        if seen.machine_id:
            seen_at[seen.machine_id, question.asks[host].root].append(host)
    for (_machine, root), hosts in seen_at.items():
        if len(hosts) > 1:
            what = f"the same machine and root {root} under several names"
            yield from _named("E_DUP_HOST", what, "Keep one.", hosts)


def floors(question: Question, hosts: Mapping[HostName, HostPlan], pools: tuple[PoolPlan, ...]) -> Iterator[Reason]:
    """A floor that can never allow one drain (I1)."""
    for pool in pools:
        moved = any(p.steps and pool.spec.name in p.members for p in hosts.values())
        if not moved or not pool.size:
            continue
        if pool.floor >= pool.size and (pool.written or pool.serving == pool.size):
            yield _arithmetic(pool)
        elif pool.floor < 1 and not question.play.allow_outage:
            what = f"pool {pool.spec.name}: a floor of 0 lets every host leave at once."
            yield Reason(code="E_FLOOR", what=what, instead="Say allow_outage: true when that is meant.")


def budgets(question: Question, *_: object) -> Iterator[Reason]:
    """A host that fails within a budget and is left as it is would never be settled, and no batch would end."""
    play = question.play
    allowed = play.max_fail_percentage_ppm or play.max_failures.floor_of(len(play.hosts))
    if play.on_failure.revert == "none" and allowed:
        what = "revert: none leaves failed hosts out, and cannot stand with a budget above 0."
        yield Reason(code="E_BUDGET", what=what, instead="Allow no failures, or say revert: host.")


def _arithmetic(pool: PoolPlan) -> Reason:
    name = f"pool {pool.spec.name}" if isinstance(pool.spec, HaproxyPool) else "the fleet"
    left = pool.serving - 1
    what = (
        f"{name}: {pool.size} hosts, {pool.serving} in service; taking one out leaves {left}, "
        f"and min_in_service is {pool.floor}: no host could ever leave."
    )
    best = largest_floor(pool.size)
    how = (
        f"The largest floor that works is {best}."
        if best > 0
        else "A fleet of one needs allow_outage: true and min_in_service: 0."
    )
    return Reason(code="E_FLOOR", what=what, instead=how)


_OWNED: tuple[Rule, ...] = (owners.unlike, owners.groups)

_RULES: tuple[Rule, ...] = (
    unreachable,
    *_OWNED,
    twins,
    roots,
    identities,
    links,
    tools,
    gates,
    sudo,
    units,
    shared,
    conflicts,
    condemned,
    disks,
    members,
    checks,
    ways_back,
    floors,
    budgets,
)

_OF_OPERATIONS: Mapping[str, tuple[Rule, ...]] = {
    "rollback": (*_RULES, operable.trees),
    "converge": (*_RULES, operable.trees),
    "restart": (
        *(unreachable, *_OWNED, twins, roots, identities, links, tools, sudo, units, members, checks, floors, budgets),
        *(operable.services, operable.unknown),
    ),
    "adopt": (
        *(unreachable, *_OWNED, twins, roots, identities, links, tools, units, conflicts, condemned, members, checks),
        *(operable.mended, operable.stale, operable.foreign),
    ),
    "prune": (unreachable, *_OWNED, twins, roots, identities, tools),
    "drain": (members, operable.balancers, operable.stays),
    "register": (
        *(operable.deaf, *_OWNED, twins, roots, identities, links, members, checks),
        *(operable.balancers, operable.bare, operable.behind),
    ),
}
