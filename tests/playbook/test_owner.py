"""``release.owner``: whose the files are, what of it is asked of each host, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.errors import InputError
from rollout.model.play import Ask
from rollout.model.release import Site
from rollout.model.secret import TYPED, sealed
from rollout.posix import frame
from rollout.posix.op import Close, Epoch, Op
from rollout.secrets.keyring import Keyring
from tests.playbook.test_load import SMALL, loaded
from tests.posix.shells import NONCE

OP = Op(
    id="1",
    epoch=Epoch(number=1, rollout="r", sequence=1),
    site=Site(root="/srv", app="a", environment="e", owner="keeper"),
    do=Close(),
)


def asked(folder: Path, owner: str, user: str = "deploy", **options: object) -> Ask:
    text = SMALL.replace("root: /srv/shop", f"owner: {owner}, root: /srv/shop")
    assert text != SMALL
    play = loaded(folder, text, user=user, **options)
    return play.resolve(dict.fromkeys(play.hosts, "v1"))[play.hosts[0]]


def test_the_owner_and_the_group_are_those_of_the_play(tmp_path: Path) -> None:
    ask = asked(tmp_path, "{ user: keeper, group: crew }")
    assert (ask.owner, ask.shared.group, ask.connection.become) == ("keeper", "crew", None)


def test_who_logs_in_as_the_owner_becomes_nobody(tmp_path: Path) -> None:
    ask = asked(tmp_path, "{ user: keeper, group: crew }", user="keeper")
    assert (ask.owner, ask.shared.group) == ("", "crew")


def test_a_password_that_was_typed_is_asked_for_again_by_who_takes_over(tmp_path: Path) -> None:
    """What is on record says that one was typed, also where nothing else is done by sudo."""
    ask = asked(tmp_path, "{ user: keeper }", become_password=sealed(TYPED))
    assert ask.connection.become is not None
    assert (ask.connection.become.user, ask.connection.become.password) == ("keeper", sealed(TYPED))


@pytest.mark.parametrize(
    ("owner", "said"),
    [("{}", "`user` and `group` are missing"), ("{ user: 'a b' }", "E_USER"), ("{ group: 'x;id' }", "E_USER")],
)
def test_what_is_no_owner_is_said_with_its_place(tmp_path: Path, owner: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        asked(tmp_path, owner)


def test_who_is_the_owner_already_needs_no_sudo_for_the_service() -> None:
    step = frame.said(replace(OP, become="keeper"), NONCE)
    assert "become=''\n" in step.values
    assert "become='root'\n" in frame.said(replace(OP, become="root"), NONCE).values


def test_the_password_is_in_the_part_for_sudo_and_not_in_the_step() -> None:
    op = replace(OP, become="root", password="hunter2 of deploy")
    assert "hunter2" in frame.said_first(op, NONCE).values
    assert "hunter2" not in frame.said(op, NONCE).values


def test_a_password_that_was_typed_since_opens_the_way_to_the_owner() -> None:
    keys = Keyring(environ={})
    keys.told(TYPED, "hunter2 of deploy")
    assert keys.of_op(OP).password == "hunter2 of deploy"
    assert keys.of_op(replace(OP, site=replace(OP.site, owner=""))).password == ""
