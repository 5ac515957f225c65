"""``rollout doctor``: what is weak in a playbook and around it. Reads what ``validate`` reads, and the state."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from rollout.app.outside import connections_to
from rollout.app.policyfile import found_policy
from rollout.app.request import Request, plays_of
from rollout.app.states import open_state
from rollout.engine.doctor import Finding, Patient, findings
from rollout.errors import StoreError
from rollout.model.play import Play
from rollout.store.place import state_url

TRIAL = "0"  # stands for the id of a release that nobody names


def examined(request: Request) -> tuple[Finding, ...]:
    """Return what is weak in all plays, each thing once."""
    plays = plays_of(request, released=False)
    policed = _policed(request)
    dies = bool(os.environ.get("CI")) and state_url(request.state or None)[1]
    found = (findings(replace(_patient(play), policed=policed, state_dies=dies)) for play in plays)
    return tuple(dict.fromkeys(one for each in found for one in each))


def _patient(play: Play) -> Patient:
    return Patient(
        play=play,
        asks=play.resolve(dict.fromkeys(play.matched, TRIAL)),
        writable=tuple(_open_to_all(play.sources)),
        signed=getattr(play, "signature", None) is not None,
        connections=connections_to(play.pools),
    )


def _open_to_all(files: Iterable[str]) -> Iterable[str]:
    for file in files:
        with suppress(OSError):
            if os.stat(file).st_mode & stat.S_IWOTH:
                yield file


def _policed(request: Request) -> bool:
    """Whether a policy is found for the environment, or remembered by the state, where that is there."""
    found = found_policy(request.policy, request.playbook)
    if found is not None and request.environment in found.environments:
        return True
    with suppress(StoreError):
        store = open_state(state_url(request.state or None)[0], create=False)
        try:
            return bool(store.policy(request.environment)[0])
        finally:
            store.close()
    return False
