"""What a fleet is taken over as, and what is said to somebody who must do something first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.engine.adoption import Naming, differing, found, reasons
from rollout.model.host import HostName
from rollout.model.tree import Tree

NAMING = Naming(command="rollout adopt shop.yml", fresh="20261123130000")
A = Tree(
    host=HostName("a"),
    root="/srv/shop",
    kind="link",
    current="1",
    link="releases/1",
    manifest="1" * 64,
    size=5,
    files=2,
)
B = replace(A, host=HostName("b"))
LINES = ("# adopted", "# rollout manifest 1", "0644 11  ./VERSION", "l ./log//{root}/shared/log", "d ./a b")
AFTER = "ln -s releases/42 /srv/shop/.current && mv -T /srv/shop/.current /srv/shop/current"


def test_one_content_under_one_id_is_a_release() -> None:
    release = found([A, B])
    assert reasons([A, B], NAMING) == ()
    assert (release.id, release.manifest, release.artifact, release.unpacked) == ("1", "1" * 64, "", 5)


OUTSIDE = replace(A, kind="outside", current="", manifest="")
CASES = {
    "plain directory": (
        replace(A, kind="directory", current="", manifest=""),
        "E_CURRENT_NOT_LINK",
        "mkdir -p /srv/shop/releases && mv -T /srv/shop/current /srv/shop/releases/20261123130000 && "
        "ln -s releases/20261123130000 /srv/shop/current",
    ),
    "below the root": (
        replace(OUTSIDE, link="builds/42", lies="/srv/shop/builds/42"),
        "E_CURRENT_NOT_LINK",
        "mv -T /srv/shop/builds/42 /srv/shop/releases/42 && ln -s /srv/shop/releases/42 /srv/shop/builds/42 && "
        + AFTER,
    ),
    "out of the root": (
        replace(OUTSIDE, link="/opt/42", lies="/opt/42"),
        "E_CURRENT_NOT_LINK",
        f"cp -a /opt/42 /srv/shop/releases/42 && {AFTER}",
    ),
    "an id that is none": (
        replace(OUTSIDE, link="releases/x@y $z", lies="/srv/shop/releases/x@y $z"),
        "E_CURRENT_NOT_LINK",
        "mv -T '/srv/shop/releases/x@y $z' /srv/shop/releases/x-y-z && ",
    ),
    "nothing of a name left": (
        replace(OUTSIDE, link="releases/@", lies="/srv/shop/releases/@"),
        "E_CURRENT_NOT_LINK",
        "/srv/shop/releases/20261123130000",
    ),
    "no current": (replace(A, kind="none", current="", manifest=""), "E_NOTHING_THERE", "release.root"),
    "a file": (replace(A, kind="file", current="", manifest=""), "E_CURRENT_NOT_LINK", "Move it away"),
    "leads nowhere": (
        replace(OUTSIDE, kind="dangling", link="releases/7"),
        "E_NOTHING_THERE",
        AFTER.replace("releases/42", "releases/NAME"),
    ),
    "leads nowhere outside": (replace(OUTSIDE, link="/gone/7"), "E_NOTHING_THERE", "leave the host out"),
    "unreadable": (Tree(host=A.host, root="/srv/shop", code="E_UNREADABLE", why="x"), "E_UNREADABLE", "--leave-out"),
    "another app's": (Tree(host=A.host, root="/srv/shop", code="E_IDENTITY", why="x"), "E_IDENTITY", "--env"),
    "unreachable": (Tree(host=A.host, root="/srv/shop", code="E_UNREACHABLE", why="x"), "E_UNREACHABLE", "--limit"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_taken_over_is_told_what_to_type(case: str) -> None:
    tree, code, how = CASES[case]
    (reason,) = reasons([tree, B], NAMING)
    assert (reason.code, reason.hosts) == (code, ("a",))
    assert how in reason.instead


def test_hosts_in_the_same_state_are_told_once() -> None:
    bad = CASES["plain directory"][0]
    (reason,) = reasons([bad, replace(bad, host=HostName("c")), B], NAMING)
    assert reason.hosts == ("a", "c")


def test_hosts_on_several_releases_are_taken_over_group_by_group() -> None:
    (reason,) = reasons([A, B, replace(A, host=HostName("c"), current="2")], NAMING)
    assert (reason.code, reason.hosts) == ("E_MIXED", ("a", "b", "c"))
    assert "1 on a, b; 2 on c" in reason.what
    assert "rollout adopt shop.yml --limit a,b ; rollout adopt shop.yml --limit c" in reason.instead


def test_other_content_under_one_id_names_the_paths() -> None:
    other = replace(B, manifest="2" * 64, listing=(*LINES[:2], "0644 22  ./VERSION", *LINES[3:]))
    (reason,) = reasons([replace(A, listing=LINES), other], NAMING)
    assert reason.code == "E_UNEQUAL"
    assert "Different: VERSION." in reason.what
    assert reason.instead.endswith("--leave-out VERSION")


def test_other_content_of_what_rollout_put_there_is_told_what_nobody_knows_and_how_to_go_on() -> None:
    ours = replace(A, known=True, listing=LINES)
    other = replace(B, known=True, manifest="2" * 64, listing=(*LINES[:2], "0644 22  ./VERSION", *LINES[3:]))
    (reason,) = reasons([ours, other], NAMING)
    assert (reason.code, reason.hosts) == ("E_UNEQUAL", ("a", "b"))
    assert "what belongs where only its state knew" in reason.what
    assert (
        "rm /srv/shop/releases/1/.rollout-manifest; then rollout adopt shop.yml --leave-out VERSION." in reason.instead
    )
    (reason,) = reasons([ours, replace(other, known=False)], NAMING)
    assert "only its state knew" not in reason.what, "one of them is somebody else's"


def test_every_reason_is_told_at_once() -> None:
    trees = [case[0] for case in CASES.values()]
    assert {r.code for r in reasons(trees, NAMING)} == {code for _, code, _ in CASES.values()}


def test_the_paths_in_which_two_trees_differ() -> None:
    assert differing(LINES, LINES[:2]) == ("VERSION", "a b", "log")
    assert differing(LINES, (*LINES, "# left out x")) == ()
