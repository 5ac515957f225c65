"""Which revision a play comes to: a real state, a real artifact, and templates that are rendered as anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.app.parts import Part
from rollout.app.planfile import Filed, named_as_filed
from rollout.app.preflight import release_of
from rollout.app.records import records_of
from rollout.app.revisions import as_recorded, revised
from rollout.app.sealing import Seals
from rollout.app.sending import Sending
from rollout.artifacts.package import Package, prepare
from rollout.errors import Refused, StoreError
from rollout.model.event import Provenance, RolloutStarted
from rollout.model.host import HostName
from rollout.model.plan import Stage, Step
from rollout.model.play import ArtifactAsk, Play
from rollout.model.release import Own, ReleaseId, RenderedFile, Site
from rollout.perform.steps import installing
from rollout.playbook.load import load
from rollout.posix.manifest import digest
from rollout.posix.op import Epoch, Op, Reply
from rollout.posix.rendered import manifest_with
from rollout.secrets.keyring import keyring
from rollout.store.store import Store, open_store
from tests.playbook.fleet import INVENTORY, fleet
from tests.store.stories import SUCCEEDED, host_plan, plan

PLAY = """\
- app: shop
  hosts: {hosts}
  release:
    id: v1
    artifact: {{ path: app.tar, as: app }}
    root: /srv/shop
    templates: {templates}
  service: {{ process: {{ command: [./app] }} }}
  load_balancers: none
  health: {{ checks: [{{ tcp: {{ port: 80 }} }}] }}
"""
TEMPLATES = "[{ src: env.j2, dest: config/env }]"
TEXT = "PASSWORD={{ secret('env:ROLLOUT_TEST_PW') }}\nPORT={{ http_port }}\n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "state" / "state.db"))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    keyring().values.clear()
    monkeypatch.setenv("ROLLOUT_TEST_PW", "first-password")
    yield monkeypatch
    keyring().values.clear()


def rotate(password: pytest.MonkeyPatch, value: str) -> None:
    password.setenv("ROLLOUT_TEST_PW", value)
    keyring().values.clear()


def play(folder: Path, text: str = TEXT, templates: str = TEMPLATES, hosts: str = "web") -> Play:
    (folder / "app.tar").write_bytes(b"an app")
    (folder / "env.j2").write_text(text)
    (folder / "play.yml").write_text(PLAY.format(hosts=hosts, templates=templates))
    (made,) = load(folder / "play.yml", fleet(folder, INVENTORY))
    return made


def part(folder: Path, store: Store, **how: str) -> Part:
    made = play(folder, **how)
    package = packed(folder)
    return Part(play=made, release=release_of(made, package, store), package=package)


def packed(folder: Path) -> Package:
    return prepare(ArtifactAsk(path=str(folder / "app.tar"), as_name="app"), folder / "cache")


def roll(store: Store, one: Part, rollout: str) -> None:
    """Record a rollout of it that succeeded."""
    told = plan(1, id=rollout)
    hosts = {h: replace(host_plan(h), own=one.own.get(h), steps=(Step(do=Stage()),)) for h in one.play.hosts}
    (shop,) = told.plays
    shop = replace(shop, release=one.release, hosts=hosts)
    store.take("default", "shop", rollout, "ann")
    store.journal(rollout).append(
        [RolloutStarted(plan=replace(told, plays=(shop,)), provenance=Provenance(user="ann", controller="here"))]
    )
    store.journal(rollout).append([SUCCEEDED])


def test_the_same_configuration_is_the_same_release(tmp_path: Path, store: Store) -> None:
    first = revised(part(tmp_path, store), store)
    assert first.release.id == "v1"
    assert len({own.manifest for own in first.own.values()}) == 4, "each host has its own port"
    roll(store, first, "r1")
    again = revised(part(tmp_path, store), store)
    assert (again.release.id, again.own) == ("v1", first.own)


def test_a_rotated_secret_is_the_next_revision_and_the_old_one_the_old(
    tmp_path: Path, store: Store, password: pytest.MonkeyPatch
) -> None:
    roll(store, revised(part(tmp_path, store), store), "r1")
    rotate(password, "second-password")
    second = revised(part(tmp_path, store), store)
    assert second.release.id == "v1~1"
    roll(store, second, "r2")
    assert revised(part(tmp_path, store), store).release.id == "v1~1"
    rotate(password, "third-password")
    assert revised(part(tmp_path, store), store).release.id == "v1~2"
    rotate(password, "first-password")
    assert revised(part(tmp_path, store), store).release.id == "v1"


def test_another_text_is_a_revision_and_no_template_is_one_too(tmp_path: Path, store: Store) -> None:
    roll(store, revised(part(tmp_path, store), store), "r1")
    assert revised(part(tmp_path, store, text="PORT={{ http_port }}\n"), store).release.id == "v1~1"
    bare = revised(part(tmp_path, store, templates="[]"), store)
    assert bare.release.id == "v1~1"
    assert {own.files for own in bare.own.values()} == {()}


def test_a_new_host_adds_its_own_to_the_same_release(tmp_path: Path, store: Store) -> None:
    few = revised(part(tmp_path, store, hosts="web[0:2]"), store)
    roll(store, few, "r1")
    more = revised(part(tmp_path, store), store)
    assert more.release.id == "v1"
    assert set(more.own) - set(few.own) == {"web4"}
    roll(store, more, "r2")
    assert set(store.owned("default", "shop", ["v1"])["v1"]) == {"web1", "web2", "web3", "web4"}


def test_templates_that_come_later_make_a_revision_of_what_was_without(tmp_path: Path, store: Store) -> None:
    plain = revised(part(tmp_path, store, templates="[]"), store)
    assert (plain.release.id, plain.own) == ("v1", {})
    roll(store, plain, "r1")
    assert revised(part(tmp_path, store), store).release.id == "v1~1"


def test_a_file_that_names_its_release_is_rendered_for_each_revision(tmp_path: Path, store: Store) -> None:
    text = TEXT + "RELEASE={{ release.id }}\n"
    roll(store, revised(part(tmp_path, store, text=text), store), "r1")
    assert revised(part(tmp_path, store, text=text), store).release.id == "v1"
    other = revised(part(tmp_path, store, text=text + "#\n"), store)
    assert other.release.id == "v1~1"
    assert "RELEASE=v1~1\n" in other.own[HostName("web1")].files[0].content


def test_another_artifact_is_no_revision(tmp_path: Path, store: Store) -> None:
    roll(store, revised(part(tmp_path, store), store), "r1")
    made = play(tmp_path)
    (tmp_path / "app.tar").write_bytes(b"another app")
    package = packed(tmp_path)
    other = revised(Part(play=made, release=release_of(made, package, store), package=package), store)
    assert other.release.id == "v1"
    with pytest.raises(StoreError, match="E_RELEASE_CONFLICT"):
        roll(store, other, "r2")


def test_one_release_has_one_configuration_on_a_host(
    tmp_path: Path, store: Store, password: pytest.MonkeyPatch
) -> None:
    first = revised(part(tmp_path, store), store)
    roll(store, first, "r1")
    rotate(password, "second-password")
    other = revised(part(tmp_path, store), store)
    with pytest.raises(StoreError, match=r"E_RELEASE_CONFLICT: .*another configuration for web1"):
        roll(store, replace(other, release=first.release), "r2")


def test_a_plan_file_says_which_revision_it_is(tmp_path: Path, store: Store, password: pytest.MonkeyPatch) -> None:
    roll(store, revised(part(tmp_path, store), store), "r1")
    rotate(password, "second-password")
    told = plan(1)
    (shop,) = told.plays
    one = part(tmp_path, store)
    shop = replace(shop, release=replace(one.release, id=ReleaseId("v1~7")))
    filed = Filed(plan=replace(told, plays=(shop,)), tool="1")
    named = replace(one, release=named_as_filed(one.release, filed, one.play))
    assert revised(named, store, filed).release.id == "v1~7"
    stranger = replace(shop, release=replace(one.release, id=ReleaseId("v2~7")))
    assert named_as_filed(one.release, Filed(plan=replace(told, plays=(stranger,)), tool="1"), one.play).id == "v1"


def test_nothing_on_record_tells_what_the_secret_is(tmp_path: Path, store: Store) -> None:
    """Not even by trying: the manifest's digest is made with a key, and no plain hash of the file is there."""
    first = revised(part(tmp_path, store), store)
    roll(store, first, "r1")
    text = "PASSWORD=first-password\nPORT=8081\n"
    kept = b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir())
    assert b"ROLLOUT_TEST_PW" in kept
    for guess in (text, "first-password"):
        assert guess.encode() not in kept
        assert hashlib.sha256(guess.encode()).hexdigest().encode() not in kept
    package = first.package
    assert package is not None
    guessed = manifest_with(package.manifest_text, [RenderedFile(path="config/env", content=text)])
    assert digest(guessed).encode() not in kept


def test_a_secret_that_cannot_be_had_is_a_reason(tmp_path: Path, store: Store, password: pytest.MonkeyPatch) -> None:
    password.delenv("ROLLOUT_TEST_PW")
    with pytest.raises(Refused, match="E_SECRET"):
        revised(part(tmp_path, store), store)


def test_a_rendered_file_does_not_take_the_place_of_a_directory(tmp_path: Path, store: Store) -> None:
    with pytest.raises(Refused, match=r"E_TEMPLATE_DEST: .*app cannot be written: the artifact has no directory"):
        revised(part(tmp_path, store, templates="[{ src: env.j2, dest: app/env }]"), store)


def test_a_way_back_is_what_was_recorded_for_that_host(
    tmp_path: Path, store: Store, password: pytest.MonkeyPatch
) -> None:
    first = revised(part(tmp_path, store, hosts="web[0:2]"), store)
    roll(store, first, "r1")
    records = records_of(store, "default", "shop", ["v1"])
    assert records.on("web1") == {"v1": first.own[HostName("web1")].manifest}
    assert records.on("web4") == {}, "it was never brought there"
    rotate(password, "second-password")
    back = as_recorded(part(tmp_path, store), store)
    assert {h: back.own[h] for h in first.own} == first.own, "not what is said now"
    assert HostName("web4") in back.own, "what it has none of is made now"


def test_what_is_sent_is_what_was_planned_or_nothing(
    tmp_path: Path, store: Store, password: pytest.MonkeyPatch
) -> None:
    one = revised(part(tmp_path, store), store)
    own: Own = one.own[HostName("web1")]
    sending = Sending(package=one.package, key=store.key())
    deed = installing(one.release, replace(host_plan(HostName("web1")), own=own))
    assert deed.sealed
    site = Site(root="/srv/shop", app="shop", environment="default")
    op = Op(id="r1-1", epoch=Epoch(number=1, rollout="r1", sequence=1), site=site, do=deed)
    found = sending.payload(keyring().of_op(op))
    assert isinstance(found, tuple)
    assert found[0].read().endswith(sealed_manifest(one, store).encode())
    rotate(password, "second-password")
    refused = sending.payload(keyring().of_op(op))
    assert isinstance(refused, Reply)
    assert (refused.status, refused.code) == ("refused", "E_CHANGED")


def sealed_manifest(one: Part, store: Store) -> str:
    assert one.package is not None
    seals = Seals(key=store.key(), environment="default", app="shop")
    sent = keyring().of_files(one.own[HostName("web1")].files)
    return seals.manifest("v1", one.package.manifest_text, sent, sealed=True)
