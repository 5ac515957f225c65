"""Every example in docs/ is run, every key that is built is documented, and with the default that it has."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import click
import pytest
import yaml
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from rollout.cli import cli
from rollout.playbook.built import TOP, Keys
from rollout.playbook.extra_vars import parse_extra_vars
from rollout.playbook.load import validate
from rollout.playbook.options import Options
from tests.playbook.fleet import fleet
from tests.playbook.test_keys import MODELS
from tests.sampling import sampled

NOTHING = "\N{EN DASH}"
CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"(?:<!-- (\w+): (.*?) ?-->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]*) \| ([^|]*) \|", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)")
ROWS = {key: default.strip() for key, _, default in ROW.findall((DOCS / "reference.md").read_text())}
BLOCKS = [(page.name, *found) for page in PAGES for found in BLOCK.findall(page.read_text())]
INVENTORIES = {name: text for name, kind, _, _, text in BLOCKS if kind == "inventory"}  # of the page's playbooks
PLAYBOOKS = [(name, what, text) for name, kind, what, _, text in BLOCKS if kind == "validated"]


def test_no_example_goes_without_being_run() -> None:
    assert [b for b in BLOCKS if b[1] not in ("validated", "run", "pipeline", "signed", "printed", "inventory")] == []
    assert len(PLAYBOOKS) >= 4


@pytest.mark.parametrize("text", [text for _, kind, _, _, text in BLOCKS if kind == "pipeline"])
def test_a_pipeline_in_the_docs_is_typed_right(text: str) -> None:
    """It cannot be run here: it is YAML, and every command in it is one, with options that it has."""
    assert isinstance(yaml.safe_load(text), dict)
    typed = re.findall(r"(?:run: |- )(rollout .*)$", text, re.MULTILINE)
    assert len(typed) == 2
    for line in typed:
        _, name, *words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "x", line))  # the runner fills them in
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        command.make_context(name, words)


@pytest.mark.parametrize(("page", "how", "text"), PLAYBOOKS)
def test_a_playbook_in_the_docs_is_what_it_says(page: str, how: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(text)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/env.j2").write_text("PORT={{ http_port }}\n")
    words = shlex.split(how)
    options = Options(
        environ={"ROLLOUT_VAR_TOKEN": "of a server"},
        environment=words[words.index("--env") + 1] if "--env" in words else "default",
        extra_vars=parse_extra_vars([words[words.index("-e") + 1]] if "-e" in words else []),
    )
    hosts = fleet(tmp_path, INVENTORIES[page]) if page in INVENTORIES else fleet(tmp_path)
    report = validate(tmp_path / "play.yml", hosts, options)
    assert [p.code for p in report.problems] == [w for w in words if w.startswith("E_")]
    assert report.plays or report.left_out or report.problems


MACHINES = "machines.md"  # which takes what tests/systemd takes, and is typed there
TYPED = sorted({name for name, kind, *_ in BLOCKS if kind == "run"} - {MACHINES})


def typed(page: str, folder: Path) -> None:
    """Type every command of a page, from its first line to its last, and hold it to its exit code."""
    for name in ("playbooks", "inventories"):
        shutil.copytree(CHECKOUT / name, folder / name)
    commands = [(text.strip(), int(code)) for name, kind, code, _, text in BLOCKS if (kind, name) == ("run", page)]
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "CI": ""}
    env |= {"XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache"), "NO_COLOR": "1"}
    env.pop("ROLLOUT_STATE", None)
    assert commands[-1][0] == "rollout lab down"
    wrong = []
    try:
        for command, code in commands:
            done = subprocess.run(
                shlex.split(command), cwd=folder, env=env, capture_output=True, text=True, timeout=150, check=False
            )
            if done.returncode != code:
                wrong.append((command, done.returncode, (done.stdout + done.stderr)[-2000:]))
    finally:
        down = ["rollout", "lab", "down"]
        subprocess.run(down, cwd=folder, env=env, capture_output=True, timeout=60, check=False)
    assert wrong == []


@pytest.mark.lab
@pytest.mark.parametrize("page", sampled(TYPED, ("tutorial.md",)))
def test_a_page_is_typed_from_its_first_line_to_its_last(page: str, tmp_path: Path) -> None:
    typed(page, tmp_path)


@pytest.mark.parametrize("page", [*PAGES, CHECKOUT / "README.md"], ids=lambda p: p.name)
def test_no_link_leads_nowhere(page: Path) -> None:
    local = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def leaves(keys: Keys = TOP, path: str = "") -> Iterator[tuple[str, bool]]:
    """Yield every key that has no keys below it, and whether it is one of a task, which stand once for all."""
    for name, under in keys.items():
        below = f"{path}[]" if name == "*" else f"{path}.{name}".lstrip(".")
        if isinstance(under, Mapping):
            yield from leaves(under, below)
        elif under:
            yield below, "shell" in keys


def known(path: str) -> bool:
    at: bool | Keys = TOP
    for step in path.replace("[]", ".*").split("."):
        if not isinstance(at, Mapping):
            return at is False  # the key above is not built: what it holds is only planned
        at = at.get(step, at.get("*", "") if step != "*" else "")
        if at == "":
            return False
    return True


def test_every_key_that_is_built_is_documented() -> None:
    found = [(f"TASK.{path.rpartition('.')[2]}" if of_task else path) for path, of_task in leaves()]
    assert sorted({path for path in found if path not in ROWS}) == []


def test_no_key_is_documented_that_the_language_does_not_have() -> None:
    assert [path for path in ROWS if not path.startswith("TASK.") and not known(path)] == []


def field_of(path: str) -> FieldInfo | None:
    """Return the model's field of a documented key, or None for one that no model has of its own."""
    parent, _, name = path.rpartition(".")
    model = MODELS.get(parent.replace("[]", ".*"))
    fields = {f.alias or n: f for n, f in model.model_fields.items()} if model else {}
    return fields.get(name)


def default_of(cell: str, field: FieldInfo) -> object:
    """Return the value that a documented default comes to, read as a playbook's would be."""
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(kind).validate_python(yaml.safe_load(cell.strip("`")))


DEFAULTS = [(p, d) for p, d in ROWS.items() if d != NOTHING and not p.startswith("TASK.") and field_of(p)]


@pytest.mark.parametrize(("path", "cell"), DEFAULTS)
def test_a_documented_default_is_the_code_s(path: str, cell: str) -> None:
    field = field_of(path)
    assert field is not None
    if cell == "required":
        assert field.is_required() or field.annotation is Any
        return
    assert not field.is_required()
    assert default_of(cell, field) == field.get_default(call_default_factory=True)


def test_a_key_without_a_documented_default_has_none() -> None:
    bare = [(p, f) for p, d in ROWS.items() if d == NOTHING and (f := field_of(p)) is not None and not f.is_required()]
    empty = (None, "", 0, 0.0, (), [], {})
    assert [p for p, f in bare if f.get_default(call_default_factory=True) not in empty] == []
    assert len(DEFAULTS) > 40
