"""What a policy lets pass, what it refuses, and how one takes the place of another."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.app.guard import Guard, guard_of
from rollout.app.keepers import NAMESPACE
from rollout.app.parts import Part
from rollout.app.request import Request
from rollout.app.resuming import refuse_against_policy
from rollout.engine import rules as written_rules
from rollout.engine.review import Fewer, LocalCommand, Review
from rollout.engine.rules import Rules, breaches, strangers, unproven
from rollout.engine.weaker import Weaker
from rollout.errors import Refused
from rollout.model.check import HttpCheck
from rollout.model.event import Provenance
from rollout.model.host import Become, Connection, HostName
from rollout.model.plan import Plan
from rollout.model.play import ArtifactAsk, Ask, Play
from rollout.model.release import NoService
from rollout.model.secret import sealed
from rollout.model.share import Share
from rollout.store.store import Store, open_store
from tests.policy.test_weaker import play

PLAN = Plan(id="1", environment="production", plays=(play(),))


def command(*words: str, ours: bool = False) -> LocalCommand:
    return LocalCommand(app="shop", when="before_batch", words=words, ours=ours)


@pytest.mark.parametrize(
    ("words", "passes"),
    [
        (("make", "notes"), True),
        (("make", "notes", "x"), True),
        (("make",), False),
        (("make", "install"), False),
        (("sh", "-c", "make notes"), False),
        (("env", "PATH", "make", "notes"), False),
        (("sudo", "-n", "-u", "root", "make", "notes"), False),
    ],
)
def test_a_command_on_this_machine_has_to_begin_with_words_that_are_allowed(
    words: tuple[str, ...], passes: bool
) -> None:
    review = Review(local_commands=(command(*words), command("git", "status", ours=True)))
    found = list(breaches(Rules(allow_local=(("make", "notes"),)), PLAN, review))
    assert [r.code for r in found] == ([] if passes else ["E_POLICY"])
    assert list(breaches(Rules(), PLAN, review)), "without a list none may"


def test_what_is_weaker_is_refused_where_it_is_listed_and_only_there() -> None:
    review = Review(weaker=(Fewer(app="shop", since="1", found=(Weaker(name="fall", what="more"),)),))
    assert not list(breaches(Rules(not_weaker=("floor",)), PLAN, review))
    assert [r.what for r in breaches(Rules(not_weaker=("floor", "fall")), PLAN, review)] == [
        "weaker than it may get: fall: more."
    ]


@pytest.mark.parametrize(
    ("purpose", "held"),
    [
        ("apply", {"floor", "revert", "signature", "become", "owner"}),
        ("rollback", {"floor", "revert", "become", "owner"}),
        ("converge", {"floor", "revert", "become", "owner"}),
        ("restart", {"floor", "become", "owner"}),
        ("drain", {"floor", "become", "owner"}),
        ("register", {"floor", "become", "owner"}),
        ("adopt", {"become", "owner"}),
        ("prune", {"become", "owner"}),
    ],
)
def test_another_command_is_held_to_what_the_playbook_says_and_not_to_what_it_decides_itself(
    purpose: Any, held: set[str]
) -> None:
    """What is on record as good may be gone back to without a signature, but not by a weaker way."""
    names = ("floor", "revert", "signature", "become", "owner")
    found = tuple(Weaker(name=name, what="less") for name in names)
    plan = replace(PLAN, plays=(replace(PLAN.plays[0], purpose=purpose),))
    reasons = breaches(Rules(not_weaker=names), plan, Review(weaker=(Fewer(app="shop", since="1", found=found),)))
    assert {r.what.split(": ")[1] for r in reasons} == held
    unsigned = list(breaches(Rules(require_signature=True), plan, Review()))
    assert bool(unsigned) == (purpose == "apply")


@pytest.mark.parametrize("purpose", ["rollback", "converge"])
def test_no_way_back_leads_to_what_never_was_the_fleets_where_releases_are_signed(purpose: Any) -> None:
    back = replace(PLAN, plays=(replace(PLAN.plays[0], purpose=purpose),))
    release = back.plays[0].release.id
    assert not list(unproven(Rules(require_signature=True), back, {"shop": [release]}))
    assert not list(unproven(Rules(), back, {}))
    for asked in (Rules(require_signature=True), Rules(signers=("ann",))):
        (reason,) = unproven(asked, back, {"shop": ["other"]})
        assert "was never the whole fleet's" in reason.what
    assert not list(unproven(Rules(require_signature=True), PLAN, {})), "apply looks at the signature"


def test_a_release_has_to_be_signed_and_by_somebody_who_may(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Rules(require_signature=True, signers=("ann",))
    assert ["nobody has signed" in r.what for r in breaches(asked, PLAN, Review())] == [True]
    monkeypatch.setattr(written_rules, "signer", lambda _: "bob")
    assert ["signed by bob, who may not" in r.what for r in breaches(asked, PLAN, Review())] == [True]
    monkeypatch.setattr(written_rules, "signer", lambda _: "ann")
    assert not list(breaches(asked, PLAN, Review()))


@pytest.mark.parametrize(
    ("name", "address", "passes"),
    [
        ("web1", "web1", True),
        ("web1", "10.0.0.7", True),
        ("web1", "203.0.113.9", False),
        ("db1", "10.0.0.7", False),
    ],
)
def test_a_host_is_of_the_environment_by_its_name_and_by_its_address(name: str, address: str, passes: bool) -> None:
    asked = Rules(hosts=("web*", "10.0.0.*"))
    found = list(strangers(asked, [(HostName(name), Connection(address=address))]))
    assert [r.hosts for r in found] == ([] if passes else [(f"{name} ({address})",)])
    assert not list(strangers(Rules(), [(HostName(name), Connection(address=address))]))


# --- which policy it is

TEXT = "[environments.production]\n"
OTHER = '[environments.production]\nhosts = ["web*"]\n'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "state.db"))
    yield opened
    opened.close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a playbook, on a controller without a policy of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("rollout.app.policyfile.SYSTEM", tmp_path / "etc/policy.toml")
    (tmp_path / "project").mkdir()
    return tmp_path


def guarded(here: Path, store: Store, text: str = "", **more: str) -> Guard | None:
    """Return the guard of a command under a policy of this text."""
    path = here / "policy.toml"
    path.write_text(text)
    words = {"policy": str(path) if text else "", "environment": "production", **more}
    return guard_of(Request(playbook=here / "project/site.yml", **words), store, lambda _: None)  # type: ignore[arg-type]


def begun(here: Path, store: Store, text: str) -> None:
    guard = guarded(here, store, text)
    assert guard is not None
    guard.pin(store)


def test_without_a_policy_there_is_no_guard_and_without_its_environment_neither(here: Path, store: Store) -> None:
    assert guarded(here, store) is None
    assert guarded(here, store, TEXT, environment="staging") is None
    assert guarded(here, store, TEXT) is not None


def test_another_policy_than_the_first_is_refused_and_so_is_none(here: Path, store: Store) -> None:
    begun(here, store, TEXT)
    assert guarded(here, store, TEXT) is not None
    with pytest.raises(Refused, match="this is not the policy of production"):
        guarded(here, store, OTHER)
    with pytest.raises(Refused, match="and none is found here"):
        guarded(here, store)


def test_a_policy_that_is_overridden_is_noted_and_not_pinned(here: Path, store: Store) -> None:
    begun(here, store, TEXT)
    guard = guarded(here, store, OTHER, override_policy="fire")
    assert guard is not None
    guard.judge([])
    assert len(guard.overridden) == 1
    assert guard.overridden[0].startswith("fire: this is not the policy of production")
    guard.pin(store)
    assert guarded(here, store, TEXT) is not None


def signed(path: Path, key: Path, namespace: str = NAMESPACE) -> None:
    path.with_name(path.name + ".sig").unlink(missing_ok=True)
    words = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(path)]
    subprocess.run(words, check=True, capture_output=True)


def key(folder: Path, name: str) -> tuple[Path, str]:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path, " ".join(path.with_name(name + ".pub").read_text().split()[:2])


def test_a_policy_that_a_keeper_of_the_one_before_signed_takes_its_place(here: Path, store: Store) -> None:
    ann, ann_public = key(here, "ann")
    bob, bob_public = key(here, "bob")
    begun(here, store, f'keepers = ["ann@example.org {ann_public}"]\n{TEXT}')
    new = f'keepers = ["bob@example.org {bob_public}"]\n{OTHER}'
    path = here / "policy.toml"
    path.write_text(new)
    for signer, namespace in ((bob, NAMESPACE), (ann, "file")):  # whom only the new one names; for another purpose
        signed(path, signer, namespace)
        with pytest.raises(Refused, match="Have one of its keepers sign it"):
            guarded(here, store, new)
    signed(path, ann)
    with pytest.raises(Refused):
        guarded(here, store, new + "\n")  # not what was signed
    guard = guarded(here, store, new)
    assert guard is not None
    guard.pin(store)
    assert guarded(here, store, new) is not None


# --- going on with what was decided before

STRICT = '[environments.production]\nhosts = ["db*"]\n'


def resumed(store: Store, *overridden: str, folder: str = "/srv/project") -> None:
    refuse_against_policy(PLAN, Provenance(folder=folder, playbook="site.yml", overridden=overridden), store)


@pytest.mark.usefixtures("here")
def test_going_on_is_held_to_the_policy_that_the_state_remembers_by_now(store: Store) -> None:
    resumed(store)
    store.pin("staging", "d" * 64, STRICT.replace("production", "staging"), "ann")
    resumed(store)
    store.pin("production", "d" * 64, STRICT, "ann")
    with pytest.raises(Refused) as refused:
        resumed(store)
    said = str(refused.value)
    assert "these are no hosts of the environment by its policy" in said
    assert "the state remembers, digest dddddddddddddddd" in said
    assert f"rollout heal {PLAN.id}, or rollout revert {PLAN.id}; no policy holds these up" in said
    with pytest.raises(Refused):
        resumed(store, "fire: something else")
    resumed(store, f"fire: {refused.value.reasons[0].what}")


def test_going_on_is_held_to_the_controllers_own_policy_where_none_is_remembered(here: Path, store: Store) -> None:
    own = here / "xdg/rollout/policy.toml"
    own.parent.mkdir(parents=True)
    own.write_text(STRICT)
    with pytest.raises(Refused, match="these are no hosts of the environment"):
        resumed(store)


def test_a_command_for_a_secret_that_a_look_would_take_is_judged_before_the_look(here: Path, store: Store) -> None:
    told = sealed("cmd:touch ran")
    for ask in (
        {"connection": Connection(address="web1"), "checks": (HttpCheck(port=80, headers={"A": told}),)},
        {"connection": Connection(address="web1", become=Become(password=told)), "checks": ()},
    ):
        one = Ask(host=HostName("web1"), root="/srv", service=NoService(), **ask)  # type: ignore[arg-type]
        part = Part(
            play=Play(
                name="shop",
                app="shop",
                environment="production",
                hosts=(one.host,),
                matched=(one.host,),
                serial=(Share(count=1),),
                resolve=lambda _, one=one: {one.host: one},  # type: ignore[misc]
                artifact=ArtifactAsk(path="app.tar"),
            ),
            release=PLAN.plays[0].release,
        )
        guard = guarded(here, store, TEXT, override_policy="fire")
        assert guard is not None
        guard.meets([part])
        guard.meets([part])
        assert guard.overridden == [
            "fire: this may not run on this machine: shop, for the value of a secret: touch ran."
        ]
        allowed = guarded(here, store, TEXT + 'allow_local = [["touch"]]\n')
        assert allowed is not None
        allowed.meets([part])
