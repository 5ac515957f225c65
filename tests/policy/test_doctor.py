"""Each weak setting is named with what mends it, and a play without any is told so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.cli import main
from rollout.engine.doctor import FINDINGS, Patient, findings
from rollout.model.check import Health, HttpCheck
from rollout.model.host import Become, Connection, HostName
from rollout.model.play import ArtifactAsk, Ask, Play
from rollout.model.pool import HaproxyPool, PoolName
from rollout.model.release import NoService
from rollout.model.share import Share
from tests.policy.project import made

H1, H2 = HostName("h1"), HostName("h2")
GOOD = Connection(address="h1", user="deploy", become=Become(user="shop"))
POOL = HaproxyPool(name=PoolName("web"), backend="web", socket="/run/s", via="lb", connection=Connection(address="lb"))


def patient(
    connection: Connection = GOOD,
    checks: tuple[Any, ...] = (HttpCheck(port=443, scheme="https"),),
    delegate: Connection = GOOD,
    pool: HaproxyPool = POOL,
    around: dict[str, Any] | None = None,
    **said: Any,
) -> Patient:
    """Return a play that is well in all, but for what is given."""
    asks = {
        h: Ask(
            host=h,
            connection=connection,
            root="/srv",
            service=NoService(),
            checks=checks,
            delegates={HostName("d"): delegate},
        )
        for h in (H1, H2)
    }
    words: dict[str, Any] = {"artifact": ArtifactAsk(path="/p/app.tar", sha256="a" * 64), "pools": (pool,)}
    play = Play(
        name="shop",
        app="shop",
        environment="prod",
        hosts=(H1, H2),
        matched=(H1, H2),
        serial=(Share(count=1),),
        resolve=lambda _: asks,
        **{**words, **said},
    )
    return Patient(play=play, asks=asks, **{"policed": True, "signed": True, **(around or {})})


ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("accept-new", {"connection": replace(GOOD, host_keys="accept-new")}, "h1: a key that nobody knows is accepted"),
    ("accept-new", {"delegate": Connection(address="d", host_keys="accept-new")}, "d: a key that nobody knows"),
    (
        "accept-new",
        {"around": {"connections": {HostName("lb"): Connection(address="lb", host_keys="accept-new")}}},
        "lb: a key",
    ),
    (
        "tcp-socket",
        {"pool": replace(POOL, socket="", tcp="lb:9999", connection=None)},
        "lb:9999: HAProxy's admin socket",
    ),
    ("no-fence", {"pool": replace(POOL, via="", connection=None)}, "web: a pool without a fence"),
    ("writable", {"around": {"writable": ("a", "b", "c", "d")}}, "a, b, c and 1 more: anybody on this machine"),
    ("state", {"around": {"state_dies": True}}, "CI is set"),
    ("unsigned", {"around": {"signed": False}}, "nobody signs the releases of shop"),
    ("no-digest", {"artifact": ArtifactAsk(path="/p/app.tar")}, "/p/app.tar: nothing says which digest"),
    ("root", {"connection": replace(GOOD, become=Become())}, "h1: commands run as root."),
    ("root-login", {"connection": replace(GOOD, user="root")}, "h1: the SSH user is root."),
    ("tls", {"checks": (HttpCheck(port=443, scheme="https", verify_tls=False),)}, "443: the check of this port"),
    ("no-checks", {"checks": ()}, "h1, h2: nothing is asked"),
    ("identity", {"health": Health(identity="none")}, "shop: nothing proves"),
    ("outage", {"allow_outage": True}, "shop: `allow_outage` lets all of its 2 hosts leave"),
    ("no-policy", {"around": {"policed": False}}, "no policy holds for prod"),
]


@pytest.mark.parametrize(("name", "said", "what"), ROWS)
def test_a_weak_setting_is_named_with_what_mends_it(name: str, said: dict[str, Any], what: str) -> None:
    found = [one for one in findings(patient(**said)) if one.name != "no-fence" or name == "no-fence"]
    assert [one.name for one in found] == [name]
    assert found[0].what.startswith(what)
    assert found[0].fix == FINDINGS[name][1]


def test_nothing_is_named_where_all_is_well_and_every_finding_has_a_row() -> None:
    assert not findings(patient())
    assert not findings(patient(pool=replace(POOL, socket="", tcp="127.0.0.1:9999")))
    assert list(dict.fromkeys(name for name, *_ in ROWS)) == list(FINDINGS)


def test_a_doctor_looks_at_files_and_asks_no_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = made(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("rollout.app.policyfile.SYSTEM", tmp_path / "etc/policy.toml")
    (project.folder / "vars.yml").chmod(0o666)
    words = [str(project.playbook), "-i", str(project.folder / "inventories/production.ini")]
    words += ["--state", str(tmp_path / "state.db")]
    assert main(["doctor", *words]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"^([a-z-]+): ", said, re.MULTILINE) == ["writable", "unsigned", "no-digest", "no-policy"]
    assert "    Type: chmod o-w FILE" in said
    assert not (tmp_path / "state.db").exists()
    policy = tmp_path / "policy.toml"
    policy.write_text("[environments.default]\n")
    assert main(["doctor", *words, "--policy", str(policy), "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["writable", "unsigned", "no-digest"]
