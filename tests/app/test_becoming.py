"""Passwords that a plan on record asks for: which of them are missing, and what is typed for those."""

from __future__ import annotations

import pytest

from rollout.app import becoming
from rollout.engine.recovery import Aim
from rollout.engine.rollout import fold, initial
from rollout.errors import Refused
from rollout.model.host import Become, Connection
from rollout.model.secret import TYPED, sealed
from rollout.secrets import keyring as ours
from rollout.secrets.keyring import Keyring
from rollout.secrets.redaction import Redaction
from tests.report import journals


def way(password: str) -> Connection:
    return Connection(address="h", become=Become(password=password))


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    made = Keyring(environ={"PW": "the-password"}, hides=Redaction())
    monkeypatch.setattr(ours, "keyring", lambda: made)
    return made


def test_what_was_typed_is_asked_for_by_name_and_once_it_is_typed_again_nothing_is(ring: Keyring) -> None:
    reached = (way(sealed(TYPED)), way(sealed("env:PW")), Connection(address="h"), way(""))
    with pytest.raises(Refused) as refused:
        becoming.refuse_without(reached, "rollout heal r1 -K")
    (reason,) = refused.value.reasons
    assert (reason.code, reason.instead) == ("E_SECRET", "Type it again, on a terminal: rollout heal r1 -K")
    with pytest.raises(Refused, match=r"env:GONE.*the variable is not set"):
        becoming.refuse_without([way(sealed("env:GONE"))], "")
    ring.told(TYPED, "typed-again")
    becoming.refuse_without(reached, "")


@pytest.mark.parametrize(("aim", "of"), [("heal", 1), ("revert", 1), ("recover", 1), ("resume", 3)])
def test_only_hosts_that_are_still_to_be_worked_on_need_theirs(aim: Aim, of: int) -> None:
    state = fold(initial(), (record.event for record in journals.orphaned()))
    assert len(list(becoming.of_rollout(state, aim))) == of
    assert becoming.again_with("r1", aim).endswith(" -K")
