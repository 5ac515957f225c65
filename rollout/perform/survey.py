"""Survey: read and hash what ``current`` names on a host, whoever brought it there."""

from __future__ import annotations

import re
from dataclasses import replace

from rollout.errors import OutcomeUnknown, Unreachable
from rollout.model.release import RELEASE_ID
from rollout.model.tree import Tree
from rollout.perform.effects import Tell
from rollout.perform.observe import Glance
from rollout.posix.op import Reply, Survey
from rollout.posix.sanitise import line as inert

SURVEY_S = 600.0  # a tree of many gigabytes is read once
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(RELEASE_ID + r"(~[0-9]+)?")


async def survey(glance: Glance, leave_out: tuple[str, ...] = (), *, listing: bool = False) -> Tree:
    """Look at one host; what cannot be looked at says why. ``listing``: the manifest's text too."""
    tree = Tree(host=glance.ask.host, root=glance.ask.root)
    op = replace(glance.op(Survey(leave_out=leave_out, listing=listing), "survey"), timeout_s=SURVEY_S)
    try:
        reply: Reply = await Tell(host=tree.host, op=op)
    except (Unreachable, OutcomeUnknown) as error:
        return replace(tree, code="E_UNREACHABLE", why=inert(str(error)))
    if reply.status != "done":
        names = "; ".join(map(inert, reply.tail[:3]))
        why = inert(reply.summary) + (f" ({names})" if names else "")
        return replace(tree, code=reply.code, why=why)
    return _read(tree, reply)


def _read(tree: Tree, reply: Reply) -> Tree:
    """Read the fields; what does not have the form it must have is absent."""
    said = reply.fields
    digest = said.get("manifest", "")
    return replace(
        tree,
        kind=inert(said.get("current_kind", "none")),
        current=said.get("current", "") if _ID.fullmatch(said.get("current", "")) else "",
        link=inert(said.get("link", "")),
        lies=inert(said.get("lies", "")),
        manifest=digest if _DIGEST.fullmatch(digest) else "",
        known=said.get("known", "") == "1",
        files=_number(said.get("files", "")),
        size=_number(said.get("bytes", "")),
        listing=tuple(map(inert, reply.tail)),
    )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0
