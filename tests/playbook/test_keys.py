"""The table of keys and the models say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from rollout.model.task import HOOKS
from rollout.playbook import hostmodels as host
from rollout.playbook import models as play
from rollout.playbook import taskmodels as tasks
from rollout.playbook.built import PLAY, Keys, below, homes
from rollout.playbook.load import validate
from rollout.playbook.options import Options
from tests.playbook.fleet import fleet

TASKS = ("release.prepare", "drain.start", *(f"hooks.{name}" for name in HOOKS))
MODELS: Mapping[str, type[BaseModel]] = {
    **{f"{path}.*": tasks.TaskModel for path in TASKS},
    **{f"{path}.*.undo": tasks.PlainTaskModel for path in TASKS},
    "drain.until": tasks.UntilModel,
    "drain.undo": tasks.PlainTaskModel,
    "hooks": tasks.HooksModel,
    "": play.PlayModel,
    "connection": host.ConnectionModel,
    "connection.become": host.HostBecomeModel,
    "release": play.ReleaseModel,
    "release.artifact": play.ArtifactModel,
    "release.signature": play.SignatureModel,
    "release.owner": host.OwnerModel,
    "release.shared": host.SharedModel,
    "release.shared.files.*": host.SharedFileModel,
    "release.templates.*": host.TemplateModel,
    "service": host.ServiceModel,
    "service.systemd.*": host.UnitModel,
    "service.commands": host.CommandsModel,
    "service.process": host.ProcessModel,
    "load_balancers.*": play.BalancerModel,
    "load_balancers.*.haproxy": play.HaproxyModel,
    "load_balancers.*.haproxy.become": play.BecomeModel,
    "drain": play.DrainModel,
    "health": play.HealthModel,
    "health.checks.*": host.CheckModel,
    "health.checks.*.http": host.HttpModel,
    "health.checks.*.http.tls": host.TlsModel,
    "health.checks.*.tcp": host.TcpModel,
    "health.checks.*.command": host.CommandModel,
    "on_failure": play.OnFailureModel,
    "gates": play.GatesModel,
    "limits": play.LimitsModel,
}


def tables(keys: Keys = PLAY, path: str = "") -> Iterator[tuple[str, Keys]]:
    if "*" not in keys:
        yield path, keys
    for name, under in keys.items():
        if isinstance(under, Mapping):
            yield from tables(under, f"{path}.{name}".lstrip("."))


@pytest.mark.parametrize(("path", "keys"), list(tables()), ids=lambda x: x if isinstance(x, str) else "")
def test_a_model_has_exactly_the_keys_that_are_built(path: str, keys: Keys) -> None:
    fields = {f.alias or name for name, f in MODELS[path].model_fields.items()}
    assert {f for f in fields if "\0" not in f} == {k for k, v in keys.items() if v is not False}


def later(keys: Keys = PLAY, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, under in keys.items():
        if under is False:
            yield (*path, name)
        elif isinstance(under, Mapping):
            yield from later(under, (*path, name))


def good() -> dict[str, Any]:
    return {
        "app": "shop",
        "hosts": "web",
        "connection": {"user": "deploy"},
        "release": {"artifact": {"path": "app.tar"}, "root": "/srv/shop", "shared": {"files": [{"path": "a"}]}},
        "service": {"systemd": [{"unit": "shop.service"}]},
        "load_balancers": [{"haproxy": {"via": "local", "socket": "/run/h.sock", "backend": "shop"}}],
        "health": {"checks": [{"tcp": {"port": 80}}]},
        "drain": {},
        "hooks": {},
        "on_failure": {},
        "gates": {"pause_timeout": "10m"},
        "limits": {},
    }


def _param(path: tuple[str, ...]) -> Any:
    """Balancers that are not built are a row of the table of faults."""
    return pytest.param(path, marks=pytest.mark.fault("F91") if path[0] == "load_balancers" else ())


@pytest.mark.bad("B6", "B43", "B86")
@pytest.mark.parametrize("path", list(map(_param, later())), ids=".".join)
def test_a_key_that_is_not_built_is_refused_as_such(path: tuple[str, ...], tmp_path: Path) -> None:
    written: Any = good()
    at = written
    for step in path[:-1]:
        at = at[0] if step == "*" else at.setdefault(step, {})
    at[path[-1]] = {"a": 1}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([written], sort_keys=False))
    found = validate(tmp_path / "play.yml", fleet(tmp_path), Options(environ={})).problems
    name = ".".join(s for s in path if s != "*")
    assert [(p.code, p.what) for p in found] == [("E_NOT_BUILT", f"`{name}` is not built yet.")]
    assert f"{path[-1]}:" in found[0].source


def test_the_good_play_is_good(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(yaml.safe_dump([good()]))
    assert validate(tmp_path / "play.yml", fleet(tmp_path), Options(environ={})).problems == ()


def test_where_a_key_belongs() -> None:
    assert homes("healthy_for") == ["health"]
    assert homes("serial") == [""]
    assert homes("nothing") == []
    assert set(below(("load_balancers", 0)) or ()) > {"haproxy", "nginx"}
    assert below(("name",)) is None
