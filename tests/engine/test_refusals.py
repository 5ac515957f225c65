"""Every reason not to begin, each brought about once: its code, its words, the hosts it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout.engine import refusals
from rollout.engine.planner import plan
from rollout.engine.question import Question
from rollout.errors import Refused
from rollout.model.check import Probed
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.plan import OnFailure
from rollout.model.pool import HaproxyPool, Member, PoolName, Rotation, WorkersPool
from rollout.model.release import Pull, RenderedFile
from rollout.model.share import Share
from rollout.model.task import Task
from tests.engine.questions import KEPT, MANIFESTS, NEW, OLD, POOL, bare, member, names, on, question

H0, H1, H2 = names(3)


def one(**more: object) -> Callable[[], Question]:
    """Three hosts, of which the first is different."""
    return lambda: question({H0: replace(on(OLD, H0), **more), H1: on(OLD, H1), H2: on(OLD, H2)})  # type: ignore[arg-type]


def pulling() -> Question:
    """Two hosts that are to fetch the release, of which one cannot; the third has it already."""
    seen = {H0: on(OLD, H0, fetches=False), H1: on(OLD, H1), H2: on(OLD, H2, fetches=False)}
    return question(seen, ways=dict.fromkeys((H0, H1), Pull()))


def gated(**words: object) -> Callable[[], Question]:
    """Two hosts of a play with these words, of which the first has a forced command."""
    made = question({H0: on(OLD, H0, gated=True), H1: on(OLD, H1)})
    return lambda: replace(made, asks={h: replace(ask, **words) for h, ask in made.asks.items()})  # type: ignore[arg-type]


def with_play(**words: object) -> Callable[[], Question]:
    return lambda: question(3, of=dict(words))


def first(seen: Observation) -> Callable[[], Question]:
    return lambda: question({H0: seen, H1: on(OLD, H1), H2: on(OLD, H2)})


LINK = ", and must be a link into /srv/shop/releases. There, type:"
REFUSALS: list[tuple[str, Callable[[], Question], str, str]] = [
    ("unreachable", one(reachable=False, why="connection refused"), "E_UNREACHABLE", "h0000 cannot be reached: connec"),
    ("unreachable", one(reachable=False, why="Is it up?"), "E_UNREACHABLE", "cannot be reached: Is it up? Mend it"),
    (
        "unlike",
        one(reachable=False, code="E_SUDO", why="sudo does not let deploy become keeper without a password"),
        "E_SUDO",
        "host h0000: sudo does not let deploy become keeper without a password. Allow it in sudoers",
    ),
    (
        "unlike",
        lambda: question(
            {h: replace(on(OLD, h), reachable=False, code="E_OWNER", why="there is no user x here") for h in (H0, H1)},
            of={"unreachable": "skip", "max_failures": Share(count=2), "min_in_service": Share(count=1)},
        ),
        "E_OWNER",
        "hosts h0000, h0001: there is no user x here. Make it there once, as root: useradd --system",
    ),
    ("groups", one(group="missing"), "E_OWNER", "Make it there once, as root: groupadd --system"),
    ("groups", one(group="outside"), "E_OWNER", "so it cannot give it a directory. Take it in, as root: usermod"),
    (
        "unreachable",
        lambda: question(
            {H0: Observation(host=H0, reachable=False), H1: on(OLD, H1), H2: on(OLD, H2)}, of={"unreachable": "skip"}
        ),
        "E_UNREACHABLE",
        "1 of 3 hosts cannot be reached, and max_failures is 0: h0000",
    ),
    (
        "unreachable",
        lambda: question(
            {h: Observation(host=h, reachable=False) for h in (H0, H1)},
            of={"unreachable": "skip", "max_failures": Share(count=2), "min_in_service": Share(count=1)},
        ),
        "E_UNREACHABLE",
        "2 of 2 hosts cannot be reached",
    ),
    ("twins", one(machine_id=f"machine-{H1}"), "E_DUP_HOST", "the same machine and root /srv/shop"),
    ("roots", one(root="missing"), "E_ROOT", "/srv/shop does not exist"),
    ("roots", one(root="foreign"), "E_ROOT", "may be written by others, or not by us (foreign)"),
    ("roots", one(writable=False), "E_ROOT", "cannot be written to by us: it is another user's, or its disk is read-"),
    ("roots", one(root="unsafe", root_why="everybody can write /srv (chmod o-w)"), "E_ROOT", "can write /srv (chmod "),
    ("identities", one(root="foreign", identity="production/shop"), "E_IDENTITY", "belongs to production/shop"),
    ("identities", one(identity="production/shop"), "E_IDENTITY", "belongs to production/shop, not to default/shop"),
    ("links", one(current_kind="directory"), "E_CURRENT_NOT_LINK", "current is a directory, and must be a link"),
    ("links", one(current_kind="file"), "E_CURRENT_NOT_LINK", "mv -T /srv/shop/current /srv/shop/before-v2 && ln -s "),
    (
        "links",
        one(current_kind="dangling", current="v0", link="releases/v0", running="v0"),
        "E_CURRENT_NOT_LINK",
        f"leads to releases/v0, where no directory is{LINK} ln -s releases/v1 /srv/shop/.current && mv -T /srv/shop/.c",
    ),
    (
        "links",
        one(current_kind="outside", current="", link="latest", lies="/srv/shop/releases/v1", running="", ledger={}),
        "E_CURRENT_NOT_LINK",
        f"leads to latest{LINK} ln -s releases/v1 /srv/shop/.current",
    ),
    (
        "links",
        first(bare(H0, current_kind="outside", link="/mnt/7", lies="/mnt/7")),
        "E_CURRENT_NOT_LINK",
        f"leads to /mnt/7{LINK} mkdir -p /srv/shop/releases && cp -a /mnt/7 /srv/shop/releases/7 && ln -s releases/7 ",
    ),
    (
        "links",
        first(bare(H0, current_kind="dangling", link="releases/v0")),
        "E_CURRENT_NOT_LINK",
        "type: rm /srv/shop/current. It is then a host without a release",
    ),
    ("tools", one(missing_tools=("tar", "gzip")), "E_TOOLS", "tar gzip missing on: h0000"),
    ("tools", lambda: pulling(), "E_TOOL", "`transfer: pull` takes curl, which is missing on: h0000. Install it there"),
    ("gates", gated(templates=(RenderedFile(path="env", content=""),)), "E_SIG_TEMPLATES", "is signed alone on: h0000"),
    ("gates", gated(tasks={"prepare": (Task(argv=("true",)),)}), "E_SIG_TASKS", "a forced command runs none on: h0000"),
    ("sudo", one(sudo="refused"), "E_SUDO", "sudo asks for a password or refuses"),
    ("units", one(units=("shop.service",)), "E_UNIT", "systemd does not know the unit shop.service"),
    ("shared", one(shared_missing=("config/master.key",)), "E_SHARED", "config/master.key"),
    ("conflicts", one(releases={OLD: MANIFESTS[OLD], NEW: "9" * 64}), "E_RELEASE_CONFLICT", "other content on: h0000"),
    (
        "conflicts",
        lambda: question(2, recorded={**MANIFESTS, NEW: "9" * 64}),
        "E_RELEASE_CONFLICT",
        "is known with",
    ),
    ("condemned", lambda: question(2, condemned=frozenset({NEW})), "E_BAD_RELEASE", "was reverted before"),
    ("condemned", one(ledger={OLD: KEPT, NEW: frozenset({"bad"})}), "E_BAD_RELEASE", "was reverted before"),
    ("disks", one(free_bytes=4_499), "E_DISK", "4499 bytes free, 4500 needed"),
    ("disks", one(free_inodes=15), "E_DISK", "15 inodes free, 16 needed"),
    ("members", one(members={POOL: None}), "E_LB_MEMBER", "pool shop has no server h0000"),
    ("members", one(members={POOL: member("other", note="MAINT(resolution)")}), "E_LB_STATE", "MAINT(resolution)"),
    (
        "checks",
        one(checks=(Probed(ok=False, reachable=False, summary="forbidden"),)),
        "E_CHECK",
        "cannot be tried",
    ),
    ("ways_back", one(ledger={}), "E_NO_WAY_BACK", "was not put there by a rollout that succeeded, on: h0000"),
    ("ways_back", one(ledger={OLD: KEPT | {"bad"}}), "E_NO_WAY_BACK", "h0000"),
    ("ways_back", one(releases={OLD: "9" * 64}), "E_NO_WAY_BACK", "h0000"),
    (
        "ways_back",
        first(bare(H0, members={POOL: member()})),
        "E_NO_WAY_BACK",
        "something answers the checks",
    ),
    (
        "floors",
        with_play(min_in_service=Share(count=3)),
        "E_FLOOR",
        "3 hosts, 3 in service; taking one out leaves 2",
    ),
    ("floors", with_play(min_in_service=Share(ppm=1_000_000)), "E_FLOOR", "The largest floor that works is 2."),
    ("floors", lambda: question(1), "E_FLOOR", "A fleet of one needs allow_outage: true"),
    ("floors", with_play(min_in_service=Share(count=0)), "E_FLOOR", "a floor of 0 lets every host leave at once"),
    (
        "floors",
        lambda: question(1, of={"pools": (WorkersPool(name=POOL),)}),
        "E_FLOOR",
        "the fleet: 1 hosts, 1 in service",
    ),
    (
        "budgets",
        with_play(on_failure=OnFailure(revert="none"), max_failures=Share(count=1)),
        "E_BUDGET",
        "revert: none",
    ),
    ("budgets", with_play(on_failure=OnFailure(revert="none"), max_fail_percentage_ppm=1), "E_BUDGET", "none"),
]


@pytest.mark.parametrize(
    ("rule", "ask", "code", "words"), REFUSALS, ids=[f"{r}-{n}" for n, (r, *_) in enumerate(REFUSALS)]
)
def test_a_refusal_says_what_and_what_next(rule: str, ask: Callable[[], Question], code: str, words: str) -> None:
    with pytest.raises(Refused) as caught:
        plan(ask())
    assert [r.code for r in caught.value.reasons] == [code], str(caught.value)
    assert words in str(caught.value)
    assert all(r.instead.endswith(".") or ":" in r.instead for r in caught.value.reasons if rule != "checks")


def test_every_rule_is_in_the_table() -> None:
    assert {r.__name__ for r in refusals._RULES} == {rule for rule, *_ in REFUSALS}


ALLOWED: list[tuple[str, Callable[[], Question]]] = [
    ("three hosts", lambda: question(3)),
    ("a forced command, and its tasks elsewhere", gated(tasks={"prepare": (Task(argv=("x",), where="controller"),)})),
    ("a fleet of one that may go down", lambda: question(1, of={"allow_outage": True})),
    ("a bad release that is said again", lambda: question(2, condemned=frozenset({NEW}), allow_bad=True)),
    ("an unreachable host that is skipped", lambda: question(
        {H0: Observation(host=H0, reachable=False), H1: on(OLD, H1), H2: on(OLD, H2)},
        of={"unreachable": "skip", "max_failures": Share(count=1)},
    )),
    ("a full disk where the release is", one(free_bytes=0, releases=dict(MANIFESTS))),
    ("a first deploy", lambda: question({h: bare(h) for h in names(3)})),
    ("a sick host without a way back", first(on(OLD, H0, ledger={}, members={POOL: member(up=False)}, running=""))),
    ("a host that an operator drained", first(on(OLD, H0, members={POOL: member(Rotation.MAINT, up=False)}))),
    ("the same machine under two roots", lambda: _two_roots()),
    ("everybody is there", lambda: question({h: on(NEW, h) for h in names(1)})),
]  # fmt: skip


def _two_roots() -> Question:
    made = one(machine_id=f"machine-{H1}")()
    return replace(made, asks={**made.asks, H0: replace(made.asks[H0], root="/srv/shop2")})


@pytest.mark.parametrize("ask", [a for _, a in ALLOWED], ids=[n for n, _ in ALLOWED])
def test_what_is_allowed(ask: Callable[[], Question]) -> None:
    assert plan(ask()).plays


def test_every_reason_is_told_at_once() -> None:
    seen = {
        H0: on(OLD, H0, root="missing", missing_tools=("tar",)),
        H1: Observation(host=HostName(H1), reachable=False, why="timed out"),
    }
    with pytest.raises(Refused) as caught:
        plan(question(seen))
    assert [r.code for r in caught.value.reasons] == ["E_UNREACHABLE", "E_ROOT", "E_TOOLS"]
    assert caught.value.exit_code == 6


def test_many_hosts_are_named_shortly() -> None:
    with pytest.raises(Refused) as caught:
        plan(question({h: on(OLD, h, missing_tools=("tar",)) for h in names(20)}))
    (reason,) = caught.value.reasons
    assert "and 12 more" in reason.what
    assert len(reason.hosts) == 20


def test_pools_are_told_apart() -> None:
    other = PoolName("api")
    seen = {h: on(OLD, h, members={POOL: member()}) for h in names(3)}
    made = question(seen)
    asks = {h: replace(a, members={POOL: Member(h), other: Member(h)}) for h, a in made.asks.items()}
    pools = (*made.play.pools, HaproxyPool(name=other, backend="api"))
    seen = {h: replace(s, members={POOL: member(), other: member()}) for h, s in made.seen.items()}
    play = replace(made.play, pools=pools, min_in_service=Share(count=2))
    in_service = {POOL: frozenset(seen), other: frozenset(list(seen)[:2])}
    made = replace(made, play=play, asks=asks, seen=seen, in_service=in_service)
    assert [(p.spec.name, p.serving) for p in plan(made).plays[0].pools] == [(POOL, 3), (other, 2)]
    assert plan(made).plays[0].width == 1, "the poorest pool says how many"
