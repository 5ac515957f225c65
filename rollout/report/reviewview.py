"""The review of a plan as people read it: what is to be looked at before anybody agrees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollout.engine.review import Review
from rollout.report.text import count, inert, names

SHOWN = 20  # of each kind; all of them are in --json


def review_lines(review: Review) -> list[str]:
    """Return the review as plain lines, nothing for what there is none of."""
    return [
        *_section("Commands that run on this machine", map(str, review.local_commands)),
        *_section("Files outside of the project", map(str, review.outside_files)),
        *_section("Secrets and variables of the environment that are asked for", review.secrets),
        *_new(review),
        *_weaker(review),
    ]


def _section(title: str, items: Iterable[str]) -> Iterator[str]:
    every = list(items)
    if every:
        yield ""
        yield f"{title}:"
        yield from (f"  - {inert(item, 300)}" for item in every[:SHOWN])
    if len(every) > SHOWN:
        yield f"    and {len(every) - SHOWN} more; all of them: rollout plan --json"


def _new(review: Review) -> Iterator[str]:
    if review.new_hosts:
        yield ""
        where = inert(review.environment)
        if review.first:
            yield f"Nothing was deployed in {where} before: {count(len(review.new_hosts), 'new host')}"
        else:
            yield f"Hosts that nothing was deployed to before in {where}: {names(review.new_hosts, SHOWN)}"


def _weaker(review: Review) -> Iterator[str]:
    for one in review.weaker:
        yield from _section(
            f"Weaker than in the last rollout of {one.app} that succeeded ({one.since})", map(str, one.found)
        )
