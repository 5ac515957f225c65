"""What is asked of a release: an artifact knows its id, and nothing of the number of a revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rollout.app.asking import asked
from rollout.checks.answer import judged
from rollout.model.check import HttpCheck
from rollout.model.host import HostName
from rollout.model.play import Ask
from rollout.model.release import Release, ReleaseId
from tests.engine.questions import ask, play

H1 = HostName("h1")


def resolved(ids: Mapping[HostName, str]) -> Mapping[HostName, Ask]:
    return {h: replace(ask(h), checks=(HttpCheck(port=80, json={"version": i, "is": "up"}),)) for h, i in ids.items()}


@pytest.mark.parametrize(
    ("release", "answer", "ok"),
    [
        ("v1~2", "v1~2", True),
        ("v1~2", "v1", True),
        ("v1~2", "v1~1", False),
        ("v1~2", "v2", False),
        ("v1", "v1", True),
        ("v1", "v1~1", False),
    ],
)
def test_a_revision_may_call_itself_by_its_id_with_or_without_its_number(release: str, answer: str, ok: bool) -> None:
    store: Any = SimpleNamespace(release_named=lambda *_: None)
    bringing = Release(id=ReleaseId(release), artifact="a" * 64, manifest="b" * 64)
    asks = asked(play((H1,), resolve=resolved), store, bringing, {H1: release})
    (check,) = asks[H1].checks
    assert isinstance(check, HttpCheck)
    assert judged(check, 200, f'{{"version": "{answer}", "is": "up"}}'.encode()).ok is ok
    assert not judged(check, 200, f'{{"version": "{answer}", "is": "down"}}'.encode()).ok
