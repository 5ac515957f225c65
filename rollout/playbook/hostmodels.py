"""The parts of a play that each host has of its own, for pydantic."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, RootModel, model_validator

from rollout.inventory.jumps import hop_of
from rollout.inventory.names import Fault
from rollout.model.secret import bare, references
from rollout.playbook import words as w
from rollout.playbook.models import BecomeModel, Strict, under
from rollout.playbook.words import as_list, refuse


def _password(value: object) -> str:
    """Accept a secret, and nothing that anybody could read in the play."""
    if not isinstance(value, str) or not references(value) or bare(value):
        why = "What stands in a play is read by many."
        refuse("E_SECRET", "A password is a secret as a whole.", why, "Write `\"{{ secret('env:SUDO_PASSWORD') }}\"`.")
    return value


class HostBecomeModel(BecomeModel):
    """``connection.become``: another user, and the password that sudo asks for."""

    password: Annotated[str, w.Accepts(_password)] = ""


def _hop(value: object) -> str:
    found = hop_of(w.text(value))
    if isinstance(found, Fault):
        refuse(found.code, found.what[:1].upper() + found.what[1:], instead=found.instead)
    return str(value)


class ConnectionModel(Strict):
    """``connection``: Ansible's variables of a host win over it."""

    transport: Annotated[Literal["fabric", "local"], w.Accepts(w.choice("fabric", "local", later=("openssh",)))] = (
        "fabric"
    )
    user: w.User = ""
    jump: w.Listed[Annotated[str, w.Accepts(_hop)]] = ()
    become: HostBecomeModel | None = None
    host_keys: Annotated[Literal["strict", "accept-new"], w.Accepts(w.choice("strict", "accept-new"))] = "strict"
    known_hosts: w.Listed[w.Text] = ()
    connect_timeout: w.PositiveSeconds = 10.0


class SharedFileModel(Strict):
    """One entry of ``release.shared.files``."""

    path: w.Relative
    content: str | None = None
    mode: Annotated[str, w.Accepts(w.mode)] = "0640"


class SharedModel(Strict):
    """``release.shared``."""

    dirs: w.Listed[w.Relative] = ()
    files: list[Annotated[SharedFileModel, under("path")]] = Field(default_factory=list)
    add: w.Listed[w.Relative] = ()

    @model_validator(mode="after")
    def _apart(self) -> SharedModel:
        paths = sorted([*self.dirs, *self.add, *(f.path for f in self.files)])
        for one, other in pairwise(paths):
            if other == one or other.startswith(one + "/"):
                refuse("E_SHARED", f"`{one}` and `{other}` lie in each other.", "Only one link can stand there.")
        return self


class TemplateModel(Strict):
    """One entry of ``release.templates``."""

    src: w.Text
    dest: w.Relative
    mode: Annotated[str, w.Accepts(w.own_mode)] = "0640"


class TemplatesModel(RootModel[list[TemplateModel]]):
    """``release.templates``."""

    @model_validator(mode="after")
    def _apart(self) -> TemplatesModel:
        paths = sorted(t.dest for t in self.root)
        for one, other in pairwise(paths):
            if other == one or other.startswith(one + "/"):
                refuse("E_TEMPLATE_DEST", f"`{one}` and `{other}` cannot both be files.", "Each has its place.")
        for path in paths:
            if path.split("/")[0].startswith(".rollout"):
                refuse("E_TEMPLATE_DEST", f"`{path}` is a name of rollout's own.", instead="Give it another `dest`.")
        return self


class UnitModel(Strict):
    """One unit of ``service.systemd``."""

    unit: w.Unit
    action: Annotated[Literal["restart", "reload"], w.Accepts(w.choice("restart", "reload"))] = "restart"
    timeout: w.PositiveSeconds = 0.0
    hosts: w.Text = "all"


class CommandsModel(Strict):
    """``service.commands``."""

    start: w.Argv = ()
    stop: w.Argv = ()
    restart: w.Argv = ()
    status: w.Argv = ()

    @model_validator(mode="after")
    def _can_begin(self) -> CommandsModel:
        if not self.restart and not (self.start and self.stop):
            refuse("E_SERVICE", "New code needs `restart`, or `start` and `stop`.", "Nothing would make it run.")
        return self


SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "KILL")


class ProcessModel(Strict):
    """``service.process``."""

    command: w.Argv
    stop_signal: Annotated[str, w.Accepts(w.choice(*SIGNALS))] = "TERM"
    stop_timeout: w.PositiveSeconds = 10.0


class ServiceModel(Strict):
    """``service``: exactly one kind, or ``none`` (which leaves ``written`` false)."""

    systemd: Annotated[
        Annotated[list[Annotated[UnitModel, under("unit")]], Field(min_length=1), BeforeValidator(as_list)] | None,
        Field(),
    ] = None
    commands: CommandsModel | None = None
    process: ProcessModel | None = None
    none: Annotated[bool, Field(alias="\0none")] = False

    @model_validator(mode="before")
    @classmethod
    def _nothing(cls, value: object) -> object:
        return {"\0none": True} if value == "none" else value

    @property
    def written(self) -> bool:
        """Whether anything is to be run at all."""
        return not self.none

    @model_validator(mode="after")
    def _one_kind(self) -> ServiceModel:
        if not self.none and sum(kind is not None for kind in (self.systemd, self.commands, self.process)) != 1:
            instead = "Write one of `systemd`, `commands` and `process`, or `service: none`."
            refuse("E_SERVICE", "A service is run in exactly one way.", instead=instead)
        return self


class TlsModel(Strict):
    """``tls`` of an HTTP check."""

    verify: w.Flag = True


Vantage = Annotated[Literal["host", "controller"], w.Accepts(w.choice("host", "controller"))]
Address = Annotated[
    str, w.Accepts(w.shaped("E_HOSTNAME", r"[A-Za-z0-9][A-Za-z0-9._:%-]{0,252}", "a name or an address"))
]
HeaderName = Annotated[str, w.Accepts(w.shaped("E_HEADER", r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "letters, digits and `-`"))]
HeaderValue = Annotated[str, w.Accepts(w.shaped("E_HEADER", r"[^\r\n\0]*", "one line of text"))]


class HttpModel(Strict):
    """An ``http`` check."""

    port: w.Port
    path: Annotated[str, w.Accepts(w.shaped("E_PATH", r"/[!-~]*", "a path that begins with `/`, without spaces"))] = "/"
    scheme: Annotated[Literal["http", "https"], w.Accepts(w.choice("http", "https"))] = "http"
    method: Annotated[str, w.Accepts(w.shaped("E_METHOD", r"[A-Z]{1,16}", "capital letters"))] = "GET"
    host: Address = ""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    body: str = ""
    status: w.Listed[w.Status] = (200,)
    json_fields: dict[str, Annotated[str, w.Accepts(w.expected)]] = Field(default_factory=dict, alias="json")
    timeout: w.PositiveSeconds = 5.0
    vantage: Vantage = Field(default="host", alias="from")
    tls: TlsModel = TlsModel()


class TcpModel(Strict):
    """A ``tcp`` check."""

    port: w.Port
    host: Address = ""
    timeout: w.PositiveSeconds = 5.0
    vantage: Vantage = Field(default="host", alias="from")


class CommandModel(Strict):
    """A ``command`` check: an argv, or a mapping with one."""

    run: w.Argv
    timeout: w.PositiveSeconds = 30.0


class CheckModel(Strict):
    """One entry of ``health.checks``: exactly one kind."""

    http: HttpModel | None = None
    tcp: TcpModel | None = None
    command: Annotated[CommandModel, under("run")] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> CheckModel:
        if sum(kind is not None for kind in (self.http, self.tcp, self.command)) != 1:
            refuse("E_CHECK", "A check is one of `http`, `tcp` and `command`.")
        return self


class ChecksModel(RootModel[list[CheckModel]]):
    """``health.checks``."""


class OwnerModel(Strict):
    """``release.owner``: whose the files of an app are on hosts, and who may write in its shared directories."""

    user: w.User = ""
    group: w.User = ""

    @model_validator(mode="after")
    def _somebody(self) -> OwnerModel:
        if not self.user and not self.group:
            refuse("E_MISSING", "`user` and `group` are missing.", instead="Write one of them, or leave `owner` out.")
        return self


class RootPath(RootModel[w.Absolute]):
    """``release.root``."""


class ServerName(RootModel[w.LbName]):
    """``server`` of a balancer entry."""
