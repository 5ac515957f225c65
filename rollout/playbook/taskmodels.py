"""Tasks as they are written: hooks, ``release.prepare`` and ``drain``, for pydantic."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, RootModel, model_validator

from rollout.model.task import OF_PLAY
from rollout.playbook import words as w
from rollout.playbook.envnames import env_name
from rollout.playbook.models import Strict
from rollout.playbook.said import quoted
from rollout.playbook.words import as_list, refuse

REVERTIBLE = ("before_switch", "after_switch", "after_service", "before_register")  # `on_revert` means something there
UNDOABLE = (
    "before_drain",
    "drain.start",
    "before_switch",
    "after_switch",
    "after_service",
    "before_register",
    "after_register",
)
MAX_TEXT = 65_536


def _run(value: object) -> object:
    """Accept an argv; a text is what ``shell`` is for."""
    if isinstance(value, str):
        run, shell = w.listed(value), f"`shell: {w.said_in_yaml(value)}`, where a shell is to read it"
        instead = f"Write `run: {run.strip('`')}`." if run else f"Write {shell}."
        refuse("E_COMMAND", f"`run` is a list of words, not the text {quoted(value)}.", "No shell reads it.", instead)
    return w.command(value)


def _lines(value: object) -> str:
    """Accept a text of any number of lines."""
    if not isinstance(value, str):
        refuse("E_TYPE", f"A text is expected, not {quoted(value)}.", instead="Put it in quotes.")
    if "\0" in value or len(value) > MAX_TEXT:
        refuse("E_TYPE", f"A text without NUL of at most {MAX_TEXT} characters is expected.")
    return value


def _script(value: object) -> str:
    said = _lines(value)
    if not said.strip():
        refuse("E_COMMAND", "The script is empty.", instead="Write what the shell is to do.")
    return said


PLACES = ("host", "controller", "one_host")  # where a task may run; any other text is a pattern of hosts


def _where(value: object) -> str:
    """Accept one of the words, or a pattern of hosts."""
    return value if isinstance(value, str) and value.strip() else w.choice(*PLACES)(value)


Run = Annotated[tuple[Annotated[str, w.Accepts(w.word)], ...], Field(strict=False), BeforeValidator(_run)]
EnvName = Annotated[str, w.Accepts(env_name)]
EnvValue = Annotated[str, w.Accepts(w.expected)]
Printed = Annotated[str, w.Accepts(w.shaped("E_NAME", r"[a-z][a-z0-9_]{0,39}", "a-z, 0-9 and `_`, 40 at most"))]
Where = Annotated[str, w.Accepts(_where)]


class PlainTaskModel(Strict):
    """A task without a way back."""

    name: w.Text = ""
    run: Run = ()
    shell: Annotated[str, w.Accepts(_script)] = ""
    where: Where = "host"
    cwd: w.Text = ""
    user: w.User = ""
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    stdin: Annotated[str, w.Accepts(_lines)] = ""
    timeout: w.PositiveSeconds = 120.0
    when: w.Flag = True
    creates: w.Text = ""
    idempotent: w.Flag = False
    prints: Printed = ""
    ignore_failure: w.Flag = False

    @model_validator(mode="after")
    def _one_command(self) -> PlainTaskModel:
        if bool(self.run) == bool(self.shell):
            instead = "Write `run: [./warm]`, or `shell: ./warm | tee log` where a shell is to read it."
            refuse("E_TASK", "A task needs one of `run` and `shell`.", instead=instead)
        return self


class TaskModel(PlainTaskModel):
    """A task, with what takes it back."""

    on_revert: w.Flag = False
    undo: PlainTaskModel | None = None


class UntilModel(PlainTaskModel):
    """``drain.until``: a task that exits 0 when the host is idle, or ``sessions: 0``."""

    sessions: Annotated[int | None, w.Accepts(w.whole(0, 0))] = None

    @model_validator(mode="after")
    def _one_command(self) -> UntilModel:
        if sum((bool(self.run), bool(self.shell), self.sessions is not None)) != 1:
            instead = "Write a task that exits 0 when the host is idle, or `sessions: 0`."
            refuse("E_TASK", "`until` needs one of `run`, `shell` and `sessions`.", instead=instead)
        return self


Listed = Annotated[list[TaskModel], BeforeValidator(as_list)]


def _fits(task: TaskModel, position: str, place: str) -> None:
    """Refuse what would never be run at this position."""
    if task.where not in ("host", "controller") and position not in OF_PLAY:
        why = "Each host has a program of its own here, and runs its tasks itself."
        instead = f"Use it at {', '.join(OF_PLAY)}; here write `host` or `controller`."
        what = f"`where: {quoted(task.where).strip(chr(96))}` says nothing at `{position}`."
        refuse("E_TASK", what, why, instead, at=f"{place}.where")
    if task.on_revert and position not in REVERTIBLE:
        why = "The position is run on the way back always, or never."
        refuse("E_TASK", f"`on_revert` says nothing at `{position}`.", why, "Leave it out.", at=f"{place}.on_revert")
    if task.undo is not None and position not in UNDOABLE:
        why = "Nothing stands on the way back that would run it."
        refuse("E_TASK", f"`undo` says nothing at `{position}`.", why, "Leave it out.", at=f"{place}.undo")


class PrepareModel(RootModel[Listed]):
    """``release.prepare``."""

    @model_validator(mode="after")
    def _fitting(self) -> PrepareModel:
        for index, task in enumerate(self.root):
            _fits(task, "prepare", str(index))
        return self


class StartModel(RootModel[Listed]):
    """``drain.start``."""

    @model_validator(mode="after")
    def _fitting(self) -> StartModel:
        for index, task in enumerate(self.root):
            _fits(task, "drain.start", str(index))
        return self


class HooksModel(Strict):
    """``hooks``: the tasks of each position."""

    before_drain: Listed = Field(default_factory=list)
    before_switch: Listed = Field(default_factory=list)
    after_switch: Listed = Field(default_factory=list)
    after_service: Listed = Field(default_factory=list)
    before_register: Listed = Field(default_factory=list)
    after_register: Listed = Field(default_factory=list)
    on_failure: Listed = Field(default_factory=list)
    after_revert: Listed = Field(default_factory=list)
    before_rollout: Listed = Field(default_factory=list)
    before_batch: Listed = Field(default_factory=list)
    after_batch: Listed = Field(default_factory=list)
    after_rollout: Listed = Field(default_factory=list)

    @model_validator(mode="after")
    def _fitting(self) -> HooksModel:
        for position in type(self).model_fields:
            for index, task in enumerate(getattr(self, position)):
                _fits(task, position, f"{position}.{index}")
        return self
