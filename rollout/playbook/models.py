"""The shape of a play, for pydantic: what may stand where.

Two kinds: ``PlayModel`` is the same for all hosts and checked once; the others are rendered and
checked for each host (``parts.py``), and are ``Any`` in it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rollout.model.need import Need
from rollout.model.share import Share
from rollout.model.trust import PLAIN_NAMESPACE
from rollout.playbook import words as w
from rollout.playbook.sizes import size
from rollout.playbook.urls import fetchable, header_name, header_value, is_url
from rollout.playbook.words import refuse


class Strict(BaseModel):
    """Unknown keys are errors, nothing is converted in silence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def under(key: str) -> BeforeValidator:
    """Let a scalar stand for a mapping with this one key."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str | list) else value)


def _artifact(value: object) -> object:
    """Let a text stand for the mapping with the one key that it is about."""
    if isinstance(value, str):
        return {"url" if is_url(value) else "path": value}
    return {"path": value} if isinstance(value, list) else value


class ArtifactModel(Strict):
    """``release.artifact``: a path or a URL, or a mapping with one."""

    path: w.Text = ""
    url: Annotated[str, w.Accepts(fetchable)] = ""
    headers: dict[Annotated[str, w.Accepts(header_name)], Annotated[str, w.Accepts(header_value)]] = Field(
        default_factory=dict, repr=False
    )
    strip: Annotated[Literal["auto", "none"], w.Accepts(w.choice("auto", "none"))] = "auto"
    exclude: w.Listed[w.Text] = ()
    as_name: w.Relative = Field(default="", alias="as")
    mode: Annotated[Literal["0644", "0755"], w.Accepts(w.release_mode)] = "0644"

    @model_validator(mode="after")
    def _named(self) -> ArtifactModel:
        if not self.path and not self.url:
            refuse("E_MISSING", "`path` is missing.", instead="Write where the artifact is.")
        if self.path and self.url:
            refuse("E_ARTIFACT", "`path` and `url` cannot both be the artifact.", instead="Leave one out.", at="url")
        if is_url(self.path):
            refuse("E_URL", "A URL is not a path.", instead="Write it as `url: …`.", at="path")
        if self.headers and not self.url.startswith("https:"):
            refuse("E_HEADER", "Headers are sent to an https:// URL alone.", instead="Leave them out.", at="headers")
        return self

    @model_validator(mode="after")
    def _single(self) -> ArtifactModel:
        if self.mode == "0755" and not self.as_name:
            why = "What may be executed in an archive or a directory, they say themselves."
            refuse("E_MODE", "`mode` is that of a single file.", why, "Say what it is called: `as: NAME`.", at="mode")
        for key in ("strip", "exclude"):
            if self.as_name and key in self.model_fields_set:
                what = f"`{key}` is about what is in an archive or a directory, and `as` makes it a single file."
                refuse("E_ARTIFACT", what, instead="Leave one of them out.", at=key)
        return self


class SignatureModel(Strict):
    """``release.signature``: who has to answer for what is rolled out."""

    file: w.Text
    allowed_signers: w.Text
    identity: w.Text
    revoked: w.Text = ""
    of: Annotated[Literal["statement", "artifact"], w.Accepts(w.choice("statement", "artifact"))] = "statement"
    namespace: w.Text = PLAIN_NAMESPACE

    @model_validator(mode="after")
    def _ours(self) -> SignatureModel:
        if self.of == "statement" and "namespace" in self.model_fields_set:
            what = "`namespace` is that of a signature over the artifact alone."
            refuse("E_SIG_NAMESPACE", what, instead="Leave it out, or write `of: artifact`.", at="namespace")
        return self


class ReleaseModel(Strict):
    """``release``: what is rolled out. ``root``, ``shared`` and ``owner`` are parts of each host."""

    id: w.Id | None = None
    artifact: Annotated[ArtifactModel, BeforeValidator(_artifact)]
    sha256: Annotated[str, w.Accepts(w.digest)] = ""
    signature: SignatureModel | None = None
    transfer: Annotated[
        Literal["auto", "push", "pull", "delta"], w.Accepts(w.choice("auto", "push", "pull", "delta"))
    ] = "auto"
    links: Annotated[Literal["none", "in_tree"], w.Accepts(w.choice("none", "in_tree"))] = "in_tree"
    allow_links: w.Listed[w.Absolute] = ()
    root: Any
    shared: Any = None
    templates: Any = None
    owner: Any = None
    prepare: Any = None
    keep: Annotated[int, w.Accepts(w.whole(1, 1000))] = 5
    keep_for: w.Seconds = 604_800.0

    @model_validator(mode="after")
    def _links(self) -> ReleaseModel:
        if self.allow_links and self.links == "none":
            what = "`links: none` refuses every link, also those that `allow_links` lists."
            refuse("E_LINKS", what, instead="Write `links: in_tree`, or leave `allow_links` out.", at="allow_links")
        return self

    @model_validator(mode="after")
    def _pulled(self) -> ReleaseModel:
        if self.transfer == "pull" and not self.artifact.url:
            what = "`transfer: pull` has hosts fetch the artifact, and it is a file of this machine."
            refuse("E_TRANSFER", what, instead="Name its `https://` or `s3://` URL, or write `push`.", at="transfer")
        return self


class BecomeModel(Strict):
    """``become``: another user for what needs one."""

    method: Annotated[Literal["sudo"], w.Accepts(w.choice("sudo"))] = "sudo"
    user: w.User = "root"


OVER_SSH = re.compile(r"[A-Za-z0-9/._@+-]*")


class HaproxyModel(Strict):
    """One HAProxy: where its runtime socket is, and which backends. ``server`` is each host's own.

    ``via`` is ``local`` or a pattern of the inventory: each of its hosts is one balancer.
    """

    via: w.Text
    become: BecomeModel | None = None
    socket: w.Absolute = ""
    tcp: w.Address = ""
    backend: Annotated[w.Listed[w.LbName], Field(min_length=1)]
    server: Any = "{{ inventory_hostname }}"
    hosts: w.Text = "all"

    @model_validator(mode="after")
    def _one_way(self) -> HaproxyModel:
        if bool(self.socket) == bool(self.tcp):
            refuse("E_LB", "One of `socket` and `tcp` is needed.", instead="Write where HAProxy's runtime socket is.")
        if self.via == "local" and self.become:
            why = "Here the socket is opened by rollout itself."
            refuse("E_LB", "`become` cannot stand with `via: local`.", why, "Take it out.", at="become")
        if self.via != "local" and not OVER_SSH.fullmatch(self.socket):
            why = "What speaks to it on its host would read more than a path in it."
            refuse("E_PATH", "Over SSH a socket's path has letters, digits, `/`, `.`, `_` and `-`.", why, at="socket")
        return self


_NO_BALANCER = HaproxyModel.model_construct(via="local", socket="", tcp="", backend=(), hosts="all")


class BalancerModel(Strict):
    """One entry of ``load_balancers``."""

    haproxy: HaproxyModel = _NO_BALANCER

    @model_validator(mode="after")
    def _one_kind(self) -> BalancerModel:
        if not self.haproxy.backend:
            refuse("E_LB", "An entry names one balancer.", instead="Write `haproxy: { … }`.")
        return self


def _balancers(value: object) -> object:
    """Read ``none`` as the empty list, which nobody may write."""
    if value == "none":
        return []
    if not isinstance(value, list) or not value:
        instead = "Write a list of balancers, or `none` for hosts that serve nobody through one."
        refuse("E_TYPE", "The balancers are a list.", instead=instead)
    return value


class DrainModel(Strict):
    """``drain``."""

    deadline: Annotated[float, w.Accepts(w.drain_seconds)] = 60.0
    on_deadline: Annotated[Literal["fail", "kill", "proceed"], w.Accepts(w.choice("fail", "kill", "proceed"))] = "fail"
    start: Any = None
    until: Any = None
    undo: Any = None


class HealthModel(Strict):
    """``health``: when answers count. The checks are parts of each host."""

    checks: Any = None
    interval: w.PositiveSeconds = 1.0
    start_period: w.Seconds = 0.0
    healthy_for: w.Seconds = 20.0
    deadline: w.PositiveSeconds = 300.0
    fall: Annotated[int, w.Accepts(w.whole(1, 1000))] = 3
    watch_interval: w.PositiveSeconds = 5.0
    identity: Annotated[Literal["process", "checks", "none"], w.Accepts(w.choice("process", "checks", "none"))] = (
        "process"
    )

    @model_validator(mode="after")
    def _in_time(self) -> HealthModel:
        if self.healthy_for >= self.deadline:
            what = f"`healthy_for` ({self.healthy_for:g}s) is not shorter than `deadline` ({self.deadline:g}s)."
            at = "healthy_for" if "healthy_for" in self.model_fields_set else "deadline"
            refuse("E_DEADLINE", what, "No host could become healthy in time.", at=at)
        return self


class OnFailureModel(Strict):
    """``on_failure``."""

    revert: Annotated[
        Literal["fleet", "batch", "host", "none"],
        w.Accepts(w.choice("fleet", "batch", "host", "none", later=("zone",))),
    ] = "fleet"
    before_switch: Annotated[Literal["halt", "revert"], w.Accepts(w.choice("halt", "revert"))] = "halt"
    also: w.Listed[w.App] = ()
    collect: Annotated[str, w.Accepts(w.evidence)] = "default"


class GatesModel(Strict):
    """``gates``: of them only how long a pause may last."""

    pause_timeout: w.PositiveSeconds = 3600.0


SLOWEST = 16_384  # bytes a second, at which an upload still gets on


class LimitsModel(Strict):
    """``limits``."""

    step_timeout: w.PositiveSeconds = 300.0
    progress_deadline: w.PositiveSeconds = 900.0
    upload_rate: Annotated[int, w.Accepts(size)] = 0


ORDERS = ("inventory", "reverse_inventory", "sorted", "reverse_sorted", "shuffle")


class PlayModel(Strict):
    """One play, but for what each host has of its own."""

    name: w.Text = ""
    app: w.App
    hosts: w.Text
    order: Annotated[str, w.Accepts(w.choice(*ORDERS))] = "inventory"
    serial: w.Serial = (
        Share(count=1),
        Share(ppm=100_000),
        Share(ppm=250_000),
    )
    min_in_service: Annotated[Share | None, w.Accepts(w.share("E_FLOOR"))] = None
    max_failures: Annotated[Share, w.Accepts(w.share("E_BUDGET"))] = Share(count=0)
    max_fail_percentage: Annotated[int | None, w.Accepts(w.fail_percentage)] = None
    unreachable: Annotated[Literal["refuse", "skip"], w.Accepts(w.choice("refuse", "skip"))] = "refuse"
    allow_outage: w.Flag = False
    forks: Annotated[int, w.Accepts(w.whole(1, 1000))] = 20
    needs: dict[w.App, Annotated[Need, w.Accepts(w.needed)]] = Field(default_factory=dict)
    when: Annotated[bool, w.Accepts(w.condition)] = True
    vars: Any = None
    vars_files: w.Listed[w.Text] = ()
    connection: Any = None
    release: ReleaseModel
    service: Any
    load_balancers: Annotated[list[BalancerModel], BeforeValidator(_balancers)]
    drain: DrainModel = DrainModel()
    gates: GatesModel = GatesModel()
    hooks: Any = None
    health: HealthModel = HealthModel()
    on_failure: OnFailureModel = OnFailureModel()
    limits: LimitsModel = LimitsModel()

    @model_validator(mode="after")
    def _budget(self) -> PlayModel:
        budget = bool(self.max_failures.count or self.max_failures.ppm or self.max_fail_percentage)
        if "max_failures" in self.model_fields_set and self.max_fail_percentage is not None:
            what = "`max_failures` and `max_fail_percentage` both say how much may fail."
            refuse("E_BUDGET", what, instead="Keep one of them.", at="max_fail_percentage")
        if self.on_failure.revert == "none" and budget:
            why = "A host that failed within the budget would never be settled, and no batch would end."
            refuse("E_BUDGET", "`revert: none` cannot stand with a budget above 0.", why, at="on_failure.revert")
        return self

    @model_validator(mode="after")
    def _progress(self) -> PlayModel:
        if 0 < self.limits.upload_rate < SLOWEST * self.forks:
            what = f"each of {self.forks} uploads would get less than 16 kB a second."
            how = f"Write {SLOWEST * self.forks // 1000 + 1}KB or more, or fewer `forks`."
            refuse("E_RATE", what, "An upload that gets on more slowly is given up.", how, at="limits.upload_rate")
        if self.health.deadline >= self.limits.progress_deadline:
            what = f"`health.deadline` ({self.health.deadline:g}s) is not shorter than"
            what += f" `limits.progress_deadline` ({self.limits.progress_deadline:g}s)."
            at = "limits.progress_deadline" if "limits" in self.model_fields_set else "health.deadline"
            refuse("E_DEADLINE", what, "The rollout would be halted before a slow host has had its time.", at=at)
        return self
