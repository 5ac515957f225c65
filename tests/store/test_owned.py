"""The key of a state is made once and stays, and what a release has of its own on a host is never another thing."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.errors import StoreError
from rollout.model.event import Provenance, RolloutStarted
from rollout.model.host import HostName
from rollout.model.release import Own
from rollout.store.store import Store, open_store
from tests.store.stories import SUCCEEDED, plan


def roll(store: Store, rollout: str, **own: str) -> None:
    told = plan(3, id=rollout)
    (shop,) = told.plays
    hosts = {
        h: replace(p, own=Own(manifest=own[h] * 64, manifest_size=9) if h in own else None)
        for h, p in shop.hosts.items()
    }
    made = replace(told, plays=(replace(shop, hosts=hosts),))
    store.take("default", "shop", rollout, "ann")
    store.journal(rollout).append([RolloutStarted(plan=made, provenance=Provenance(user="ann", controller="here"))])
    store.journal(rollout).append([SUCCEEDED])


def meddled(folder: Path, script: str) -> Path:
    """Change a state past rollout, made where there is none."""
    path = folder / "state.db"
    open_store(str(path)).close()
    with sqlite3.connect(path) as raw:
        raw.executescript(script)
    return path


def test_a_state_has_one_key_that_stays(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        store = open_store(str(tmp_path / "state.db"))
        keys.append(store.key())
        store.close()
    other = open_store(str(tmp_path / "other.db"))
    assert len(keys[0]) == 32
    assert keys[0] == keys[1] != other.key()
    other.close()


def test_a_state_of_before_is_given_a_key(tmp_path: Path) -> None:
    path = meddled(tmp_path, "DROP TABLE keys; DROP TABLE manifests; UPDATE rollout_schema SET version = 5")
    store = open_store(str(path), create=False)
    key = store.key()
    assert len(key) == 32
    assert store.owned("default", "shop", ["2.0.0"]) == {}
    store.close()
    store = open_store(str(meddled(tmp_path, "UPDATE rollout_schema SET version = 5")))
    assert store.key() == key, "what comes later does not make another one"
    store.close()


def test_a_state_without_its_key_says_so(tmp_path: Path) -> None:
    """A new one would make a revision of everything that has a secret in it."""
    store = open_store(str(meddled(tmp_path, "DELETE FROM keys")))
    with pytest.raises(StoreError, match="lost its key"):
        store.key()
    store.close()


def test_hosts_are_added_to_a_release_and_none_is_changed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "state.db"))
    roll(store, "r1", web1="1")
    roll(store, "r2", web1="1", web2="2")
    found = store.owned("default", "shop", ["2.0.0", "nobody"])["2.0.0"]
    assert {h: (one.manifest[0], one.rollout) for h, one in found.items()} == {"web1": ("1", "r1"), "web2": ("2", "r2")}
    with pytest.raises(StoreError, match=r"E_RELEASE_CONFLICT: .*another configuration for web2"):
        roll(store, "r3", web1="1", web2="3", web3="3")
    assert HostName("web3") not in store.owned("default", "shop", ["2.0.0"])["2.0.0"]
    store.close()
