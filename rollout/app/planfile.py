"""Plan files: what ``plan --out`` writes, what ``apply --plan`` takes, and what drifted in between.

Nothing in a file is executed: ``apply --plan`` plans again from its own checkout and compares.
A file holds canonical JSON and its own digest, so that one changed by hand is told from ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout import __version__
from rollout.errors import InputError, Problem, Reason, StoreError
from rollout.model.event import RolloutStarted
from rollout.model.plan import Plan
from rollout.model.release import Release
from rollout.model.revision import base_of
from rollout.playbook.files import bounded
from rollout.store.codec import canonical, decode, plain

if TYPE_CHECKING:
    from rollout.model.play import Play

FORMAT = "rollout-plan"
VERSION = 1
LIMIT = 256 * 1024 * 1024  # bytes that are read of a file: a plan of 5,000 hosts has some 20 MB
SHOWN = 20  # drifted things that are named
ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{6}")
WIDE = 80  # characters of a value that are shown

# What lives is observed again, and the planner holds it to the same floor and budget.
LIVE = {
    "plan": {"id", "epoch", "digest", "over"},
    "play": {"batches", "width", "failures_at_start", "off_target"},
    "pool": {"serving", "others"},
    "host": {"serving", "note", "checks_back", "identity_back"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A plan as a file keeps it. ``tool``: the version that made it."""

    plan: Plan
    tool: str


def write_plan(path: Path, made: Plan) -> None:
    """Write the plan, for its owner's eyes alone (0600), all of it or nothing; raise InputError."""
    body = {"format": FORMAT, "version": VERSION, "tool": __version__, "started": plain(RolloutStarted(plan=made))}
    text = canonical({**body, "sha256": _sha256(body)}) + "\n"
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise _unusable(
            path, f"the plan cannot be written: {error.strerror}.", "Name a file in a folder of yours."
        ) from error


def read_plan(path: Path) -> Filed:
    """Return what a file holds; raise InputError for one that is not ours, of another version, or changed."""
    again = "Make a new one: rollout plan PLAYBOOK --out FILE."
    try:
        body = json.loads(bounded(str(path), LIMIT, "256 MiB")[0])
    except InputError as error:
        raise _unusable(path, error.problems[0].what, again) from error
    except (ValueError, RecursionError) as error:
        raise _unusable(path, "this is no plan file: it is not JSON.", again) from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise _unusable(path, "this is no plan file of ours.", again)
    if body.get("version") != VERSION:
        raise _unusable(path, f"the file has another version than {VERSION}, the one that is known here.", again)
    if body.pop("sha256", None) != _sha256(body):
        raise _unusable(path, "the file was changed after it was written.", again)
    return Filed(plan=_plan_in(path, body, again), tool=str(body.get("tool", "")))


def _plan_in(path: Path, body: Mapping[str, Any], again: str) -> Plan:
    try:
        started = decode(canonical(body.get("started")))
    except StoreError as error:
        raise _unusable(path, f"the plan in the file is not whole ({str(error)[:WIDE]}).", again) from error
    if not isinstance(started, RolloutStarted):
        raise _unusable(path, "the file holds no plan.", again)
    if not started.plan.plays or not ID.fullmatch(started.plan.id):
        raise _unusable(path, "the plan in the file has no id or no play.", again)
    return started.plan


def _sha256(body: Mapping[str, Any]) -> str:
    """Return the digest of the text; lone surrogates, which a hand may have written, count as ``?``."""
    return hashlib.sha256(canonical(body).encode("utf-8", "replace")).hexdigest()


def _unusable(path: Path, what: str, instead: str) -> InputError:
    return InputError(Problem(file=str(path), code="E_PLAN_FILE", what=what, instead=instead))


def named_as_filed(release: Release, filed: Filed, play: Play) -> Release:
    """Return the release under the id that the file gives the same content; one that the play writes it may revise."""
    was = next((p.release for p in filed.plan.plays if p.app == play.app), release)
    ours = not play.release_id or base_of(was.id) == play.release_id
    return replace(release, id=was.id) if ours and was.artifact == release.artifact else release


def drift(filed: Filed, made: Plan) -> tuple[Reason, ...]:
    """Return a reason for each decided thing that is another one now, was -> is; none when all is the same."""
    was, now = _decided(filed.plan), _decided(made)
    found = [*_differing("tool", filed.tool, __version__), *_differing("", was, now)]
    if not found:
        return ()
    reasons = [Reason(code="E_DRIFT", what=f"{at}: {_brief(a)} -> {_brief(b)}.") for at, a, b in found[:SHOWN]]
    more = f"{len(found) - SHOWN} more things differ. " if len(found) > SHOWN else ""
    what = f"{more}The plan of the file is not the plan of now."
    again = "Look at it and file it again: rollout plan PLAYBOOK --out FILE."
    return (*reasons, Reason(code="E_DRIFT", what=what, instead=again))


def _decided(plan: Plan) -> dict[str, Any]:
    """Return what was decided, without what lives."""
    said = _without(plain(RolloutStarted(plan=plan))["plan"], "plan")
    said["plays"] = [_decided_play(play) for play in said["plays"]]
    said["sources"] = _from_checkout(said["sources"])
    return said


def _from_checkout(sources: Mapping[str, str]) -> dict[str, str]:
    """Return the files by their place below the folder that holds them all: a checkout may lie anywhere."""
    if not sources:
        return {}
    top = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in sources])
    return {os.path.relpath(os.path.abspath(file), top): digest for file, digest in sources.items()}


def _decided_play(play: Mapping[str, Any]) -> dict[str, Any]:
    hosts = {name: _without(host, "host") for name, host in play["hosts"].items()}
    for host in hosts.values():
        host["steps"] = [_unstaged(step) for step in host["steps"]]
    order = [sorted(h for wave in batch["waves"] for h in wave) for batch in play["batches"]]
    pools = [_without(pool, "pool") for pool in play["pools"]]
    return {**_without(play, "play"), "hosts": hosts, "order": order, "pools": pools}


def _unstaged(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return the step without how the release comes, or whether it lies there: that saves time and decides nothing."""
    return {**step, "do": {k: v for k, v in step["do"].items() if k not in ("present", "way")}}


def _without(value: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {k: v for k, v in value.items() if k not in LIVE[kind]}


def _differing(at: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (where, was, is) for each leaf that differs; lists of another length are leaves."""
    if was == now:
        return
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            yield from _differing(f"{at}.{key}" if at else str(key), was.get(key), now.get(key))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for i, (a, b) in enumerate(zip(was, now, strict=True)):
            yield from _differing(f"{at}[{i}]", a, b)
    else:
        yield at, was, now


def _brief(value: Any) -> str:
    """Return a value in one short line."""
    if value is None:
        return "nothing"
    said = value if isinstance(value, str) and value else canonical(value)
    return said if len(said) <= WIDE else said[: WIDE - 1] + "…"
