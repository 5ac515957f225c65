"""Who waits for what a controller that is gone left running asks the host as the owner of the app's files."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rollout.model.host import Become, Connection, HostName
from rollout.model.plan import HostPlan
from rollout.model.release import NoService
from rollout.perform import reconcile
from rollout.posix.op import Epoch

HOST = HostName("web1")


@pytest.mark.parametrize(("owner", "password"), [("keeper", "<typed>"), ("", "")])
def test_the_lock_is_asked_for_by_the_owner(monkeypatch: pytest.MonkeyPatch, owner: str, password: str) -> None:
    connection = Connection(address="192.0.2.1", become=Become(password="<typed>"))
    program = HostPlan(host=HOST, connection=connection, root="/srv/shop", owner=owner, service=NoService())
    said: dict[str, Any] = {"touched": (HOST,), "in_flight": None, "hook_in_flight": None, "bound_of": 1.0}
    for name, value in said.items():
        monkeypatch.setattr(reconcile, name, lambda *_, value=value: value)
    plan = SimpleNamespace(environment="default")
    play = SimpleNamespace(app="shop", hooks=())
    state: Any = SimpleNamespace(play=play, plan=plan, program=lambda _: program, hook_begun=0)
    (doubt,) = reconcile.doubts(state, Epoch(number=2, rollout="r", sequence=1))
    op = doubt.op(1.0)
    assert (op.site.root, op.site.owner, op.password) == ("/srv/shop", owner, password)
