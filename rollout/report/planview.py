"""The plan as people read it before anything runs: batches and waves, capacity, programs and ways back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.errors import Reason
from rollout.model.host import HostName
from rollout.model.plan import DEPLOYS, QUIET, HostPlan, Plan, PlayPlan, Prune, Stage, Step, Switch, Verify
from rollout.model.release import Delta, Pull
from rollout.model.revision import base_of, number_of
from rollout.model.sealed import secrets_of
from rollout.report.curve import capacity, chart
from rollout.report.text import count, duration, inert, names, size, table
from rollout.report.words import doing

TITLES = {
    "apply": "",
    "rollback": "ROLLBACK to the earlier release, ",
    "converge": "converge, ",
    "restart": "restart",
    "drain": "drain",
    "register": "register",
    "adopt": "adopt",
    "prune": "prune",
}
HOOKS = 24  # tasks beside the batches that are named
BATCHES = 12  # shown in full; of more, the first and the last


def plan_lines(plan: Plan, *, refusals: Sequence[Reason] = (), weaker: Sequence[str] = ()) -> list[str]:
    """Return the whole plan as plain lines.

    ``refusals``: why it cannot run, with the arithmetic; ``weaker``: what is weaker than it could be.
    """
    lines = _order(plan)
    for play in plan.plays:
        moving = [] if play.purpose in QUIET else [*_batches(play), *_hooks(play), *_pools(play), ""]  # nobody leaves
        lines += [*_head(plan, play), *_secrets(play), "", *moving, *_programs(play)]
        lines += [""] if play is not plan.plays[-1] else []
    lines += _notes("Weaker than it could be", weaker) + _refusals(refusals)
    return [*lines, "", f"Plan {inert(plan.id)}, digest {plan.digest or '-'}"]


def _order(plan: Plan) -> list[str]:
    """Say in which order several plays go, and what binds them."""
    if len(plan.plays) == 1:
        return []
    said = f"{count(len(plan.plays), 'play')}, one after the other: {', '.join(play.app for play in plan.plays)}."
    return [f"{said} All are staged before the first host leaves; a halt of one halts all.", ""]


def refusal_lines(refusals: Sequence[Reason]) -> list[str]:
    """Return why there is no plan at all."""
    return _refusals(refusals)[1:]


def working(play: PlayPlan) -> list[HostName]:
    """Return the hosts that have something to do."""
    return [host for batch in play.batches for host in batch.hosts if play.hosts[host].steps]


def _head(plan: Plan, play: PlayPlan) -> list[str]:
    """Say what goes where, and within which limits."""
    todo = working(play)
    release = play.release
    if play.purpose == "adopt":
        return _taken(plan, play)
    if play.purpose not in DEPLOYS:
        limits = f"  failure   {_budget(play)}; {_scope(play)}"
        if play.purpose == "prune":
            limits = "  nothing leaves rotation; what is removed comes back only by being sent again"
        what = f"{TITLES[play.purpose]} {play.app} in {plan.environment}, {count(len(todo), 'host')}"
        return [f"{inert(play.name)}: {what} in {count(len(play.batches), 'batch', 'batches')}", limits]
    if not todo:
        return [f"{inert(play.name)}: nothing to do: every host is on {release.id} already, in {plan.environment}"]
    health, digest = play.health, (release.source or release.artifact)[:16]
    sent = f", sent as {release.artifact[:16]}" if release.source else ""
    lines = [
        f"{inert(play.name)}: {TITLES[play.purpose]}{play.app} {release.id} to {plan.environment}, "
        f"{count(len(todo), 'host')} in {count(len(play.batches), 'batch', 'batches')}",
        f"  release   {release.id}, {size(release.size)}, {count(release.files, 'file')}, artifact {digest}{sent}"
        if digest
        else f"  release   {release.id}, adopted, manifest {release.manifest[:16]}",
        *_rendered(play, todo),
        *_owned(play, todo),
        *_signed(play),
        *_transfer(play, todo),
        f"  health    for {duration(health.healthy_for_s)}, within {duration(health.deadline_s)} of the switch",
        f"  failure   {_budget(play)}; when the release is at fault, {_scope(play)}",
    ]
    off = [f"  off target (unreachable): {names(play.off_target)}"] if play.off_target else []
    return lines + off


def _rendered(play: PlayPlan, todo: Sequence[HostName]) -> Iterator[str]:
    """Say which files the release has of its own on hosts, and of what it is a revision."""
    owns = [own for own in (play.hosts[host].own for host in todo) if own is not None]
    release = play.release.id
    if number_of(release) and play.purpose == "apply":
        yield f"  revision  {number_of(release)} of {base_of(release)}: the same artifact, other rendered files"
    if paths := sorted({file.path for own in owns for file in own.files}):
        ways = count(len({own.manifest for own in owns}), "manifest")
        yield f"  rendered  {inert(', '.join(paths), 200)}; {ways} on {count(len(owns), 'host')}"


def _owned(play: PlayPlan, todo: Sequence[HostName]) -> Iterator[str]:
    """Say whose the files are, and who may write in what is shared."""
    for whose in dict.fromkeys((play.hosts[host].owner, play.hosts[host].shared.group) for host in todo):
        said = [f"{whose[0]}, whom every step becomes by sudo"] * bool(whose[0])
        said += [f"the group {whose[1]} writes in shared directories"] * bool(whose[1])
        if said:
            yield f"  owner     {'; '.join(said)}"


def _signed(play: PlayPlan) -> list[str]:
    """Say who answers for the release, and what was let pass by hand."""
    trust = play.trust
    what = f"by {inert(trust.identity, 80)}, {trust.key}" + (f", at {trust.created}" if trust.created else "")
    alone = "" if trust.of == "statement" else ", over the artifact alone"
    return [f"  signed    {what}{alone}"] * bool(trust.of) + [f"  let pass  {inert(w, 200)}" for w in trust.waived]


def _transfer(play: PlayPlan, todo: Sequence[HostName]) -> Iterator[str]:
    """Say how the release comes to the hosts that do not have it, what that takes, and why it is so.

    Where all of it is sent to all of them for no reason of its own, the release's own line has said so.
    """
    groups: dict[tuple[str, int, str], list[HostName]] = {}
    for host in todo:
        stage = play.hosts[host].steps[0].do
        if not isinstance(stage, Stage) or stage.present:
            continue
        way = stage.way
        if isinstance(way, Delta):
            patched = f" ({count(way.patches, 'file')} patched)" if way.patches else ""
            what = f"what differs from {inert(way.base)}{patched}"
            groups.setdefault((what, way.size, way.why), []).append(host)
        elif isinstance(way, Pull):
            groups.setdefault(("all of it, fetched there by curl,", play.release.size, ""), []).append(host)
        else:
            groups.setdefault(("all of it", play.release.size, way.why), []).append(host)
    if not any(what != "all of it" or why for what, _, why in groups):
        return
    for (what, amount, why), hosts in groups.items():
        sent = size(amount + play.release.manifest_size)
        each = f"{sent} each" if len(hosts) > 1 else sent
        yield f"  transfer  {what} to {names(hosts)}, {each}" + (f": {inert(why)}" if why else "")


def _taken(plan: Plan, play: PlayPlan) -> list[str]:
    """Say what is taken over, and that nothing else happens."""
    release, todo = play.release, working(play)
    what = f"adopt {play.app} {release.id} in {plan.environment}, {count(len(todo), 'host')}"
    tree = f"{size(release.unpacked)}, {count(release.files, 'file')}, manifest {release.manifest[:16]}"
    lines = [f"{inert(play.name)}: {what}", f"  release   {release.id}, {tree}, the same on all of them"]
    return [*lines, "  nothing is restarted, nothing leaves rotation; it becomes what a later apply can go back to"]


def _budget(play: PlayPlan) -> str:
    """Say how many failures halt."""
    if play.max_fail_percentage_ppm is not None:
        return f"more than {play.max_fail_percentage_ppm / 10_000:g}% of a batch failed halts"
    if play.max_failures == 0:
        return "the first host that fails halts"
    return f"{count(play.max_failures, 'host')} may fail, one more halts"


def _scope(play: PlayPlan) -> str:
    """Say what a bad release brings back."""
    also = f", and {' and '.join(play.on_failure.also)} too" if play.on_failure.also else ""
    return {
        "fleet": "every touched host goes back",
        "batch": "the hosts of its batch go back",
        "host": "the host alone goes back",
        "none": "nothing goes back by itself",
    }[play.on_failure.revert] + also


def _batches(play: PlayPlan) -> list[str]:
    """Return the batches, their waves parted by a bar."""
    every = list(enumerate(play.batches, start=1))
    if not every:
        return []
    shown = every if len(every) <= BATCHES else [*every[: BATCHES - 2], *every[-1:]]
    lines = ["Batches (hosts leave together up to the bar; a gate stands after each batch):"]
    for number, batch in shown:
        if number == len(every) and len(shown) < len(every):
            lines.append(f"   ...  {count(len(every) - len(shown), 'more batch', 'more batches')} like these")
        lines.append(f"  {number:4d}  {_waves(batch.waves)}")
    return lines


def _hooks(play: PlayPlan) -> Iterator[str]:
    """Yield the tasks beside the batches, and where each of them runs."""
    if play.hooks:
        yield "Tasks beside the batches:"
    seen: dict[str, None] = {}
    for hook in play.hooks:
        whole = "of all" if hook.batch < 0 else f"of batch {hook.batch + 1}"
        when = {"before_rollout": "before the first", "after_rollout": "after the last"}.get(hook.run.position, whole)
        where = "" if hook.run.task.where == "controller" else " on each host" if hook.each else f" on {hook.host}"
        seen[f"  {doing(hook.run)}{where}, {when}"] = None
    yield from list(seen)[:HOOKS]
    if len(seen) > HOOKS:
        yield f"   ...  {count(len(seen) - HOOKS, 'more task')} like these"


def _secrets(play: PlayPlan) -> Iterator[str]:
    """Yield where the secrets come from, the commands that run here for them too; never what they are."""
    every = secrets_of(play)
    others = [ref for ref in every if not ref.startswith(("cmd:", "sops:", "ansible-vault:"))]
    if others:
        yield f"  secrets   from {inert(', '.join(others))}"
    for ref in (ref for ref in every if ref not in others):
        shown = f"`{inert(ref[4:], 200)}`" if ref.startswith("cmd:") else inert(ref, 200)
        yield f"  secret    from {shown}, on the controller"


def _waves(waves: Sequence[Sequence[HostName]]) -> str:
    """Return the waves of one batch."""
    hosts = sum(map(len, waves))
    if hosts <= 16:
        return " | ".join(names(wave, 16) for wave in waves)
    sizes = sorted({len(wave) for wave in waves}, reverse=True)
    each = f"{sizes[0]}" if len(sizes) == 1 else f"up to {sizes[0]}"
    first = names([host for wave in waves for host in wave], 3)
    return f"{hosts} hosts in {count(len(waves), 'wave')} of {each}: {first}"


def _pools(play: PlayPlan) -> Iterator[str]:
    """Yield the capacity of each pool while the plan runs."""
    for pool in play.pools:
        curve = capacity(play, pool)
        if len(curve) == 1:
            continue
        how = "as written" if pool.written else "by default"
        yield ""
        yield (
            f"Capacity of pool {inert(pool.spec.name)}: {pool.serving} of {pool.size} in service now, "
            f"{min(curve)} at the lowest, floor {pool.floor} ({how})"
        )
        yield from chart(curve, pool.floor, pool.size)


def _programs(play: PlayPlan) -> list[str]:
    """Return each program once, each step with what undoes it, and the hosts that have it."""
    groups: dict[tuple[str, ...], list[HostName]] = {}
    batched = [host for batch in play.batches for host in batch.hosts]
    known = set(batched)
    for host in [*batched, *(host for host in play.hosts if host not in known)]:
        groups.setdefault((play.hosts[host].note, *_steps(play.hosts[host])), []).append(host)
    return [line for steps, hosts in groups.items() for line in _program(hosts, steps[1:], play.hosts[hosts[0]])]


def _steps(plan: HostPlan) -> list[str]:
    """Return the steps as a table: what is done, and its way back."""
    if not plan.steps:
        return []
    rows = [
        (f"  {number}.", doing(step.do) + (" (while it serves)" if _serving(plan, number) else ""), _undo(step))
        for number, step in enumerate(plan.steps, start=1)
    ]
    return table(("   ", "DOES", "WAY BACK (from the last step begun, upwards)"), rows)


def _serving(plan: HostPlan, number: int) -> bool:
    """Whether a step is done before the host leaves; one that is proven to come back is out already."""
    return number <= plan.staging and not isinstance(plan.steps[number - 1].do, Verify)


def _undo(step: Step) -> str:
    """Say what undoes a step."""
    return ", then ".join(doing(action) for action in step.undo if not isinstance(action, Prune)) or "-"


def _program(hosts: Sequence[HostName], steps: Sequence[str], plan: HostPlan) -> list[str]:
    """Return one program and the hosts that have it."""
    note = f" ({inert(plan.note, 200)})" if plan.note else ""
    alone = "" if steps else " left alone"
    return [f"{count(len(hosts), 'host')}{alone}{note}: {names(hosts)}", *steps, *_no_way_back(plan)]


def _no_way_back(plan: HostPlan) -> list[str]:
    """Say what a host without a previous release goes back to."""
    if plan.previous or not any(isinstance(step.do, Switch) for step in plan.steps):
        return []
    return ["  nothing ran here before: its way back is to nothing"]


def _notes(title: str, notes: Sequence[str]) -> list[str]:
    """Return notes under their title."""
    return ["", f"{title}:", *(f"  - {inert(note)}" for note in notes)] if notes else []


def _refusals(refusals: Sequence[Reason]) -> list[str]:
    """Return the reasons why this cannot run."""
    if not refusals:
        return []
    lines = ["", "This is refused; nothing was changed:"]
    for reason in refusals:
        hosts = f" [{names(reason.hosts)}]" if reason.hosts else ""
        lines.append(f"  {reason.code}: {inert(reason.what)}{hosts}")
        lines += [f"      {inert(reason.instead)}"] if reason.instead else []
    return lines
