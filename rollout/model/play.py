"""What was asked: one play, checked and resolved, before any host was looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from rollout.model.check import CheckSpec, Health
from rollout.model.host import Connection, HostName
from rollout.model.need import Need
from rollout.model.plan import OnFailure
from rollout.model.pool import Drain, Member, PoolName, PoolSpec
from rollout.model.release import RenderedFile, Service, Shared
from rollout.model.share import Share
from rollout.model.task import Tasks
from rollout.model.trust import SignatureAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a play says about one host, with everything rendered for it."""

    host: HostName
    connection: Connection
    root: str
    owner: str = ""  # whose all files are; "": the SSH user's
    service: Service
    shared: Shared = field(default_factory=Shared)
    templates: tuple[RenderedFile, ...] = ()
    members: Mapping[PoolName, Member] = field(default_factory=dict)  # empty: in no pool
    checks: tuple[CheckSpec, ...] = ()
    tasks: Tasks = field(default_factory=dict)
    delegates: Mapping[HostName, Connection] = field(default_factory=dict)  # how its tasks' are reached


def delegates_of(asks: Iterable[Ask]) -> dict[HostName, Connection]:
    """Return how the hosts are reached that only run tasks of these."""
    return {host: connection for ask in asks for host, connection in ask.delegates.items()}


class Resolve(Protocol):
    """Renders what a play says about its hosts, for a release id each (``release.id`` in templates)."""

    def __call__(self, ids: Mapping[HostName, str]) -> Mapping[HostName, Ask]:
        """Return the Ask of each host named in ``ids``; raise InputError with every problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactAsk:
    """What is to be released: a file or a directory on the controller, or what a URL names.

    ``headers`` and the URL's query may hold what nobody else is to see: they stand in no text and in no journal.
    """

    path: str = ""
    url: str = field(default="", repr=False)  # https:// or s3://; then ``sha256`` is there
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sha256: str = ""  # lower-case hex; "" when the play names none
    sha256_place: tuple[str, int, int] = ("", 0, 0)  # FILE, LINE, COL of the digest or of the artifact
    place: tuple[str, int, int] = ("", 0, 0)  # of the artifact itself
    strip: Literal["auto", "none"] = "auto"  # auto: take off the one top-level directory, where there is just one
    exclude: tuple[str, ...] = ()  # globs, for directories
    as_name: str = ""  # a single file becomes a release with this one member
    mode: Literal["0644", "0755"] = "0644"  # of that member
    links: Literal["none", "in_tree"] = "in_tree"
    allow_links: tuple[str, ...] = ()  # absolute targets

    @property
    def name(self) -> str:
        """What people call it: the path, or the URL without its query, which may hold a token."""
        return self.path or self.url.partition("?")[0]

    @property
    def on_record(self) -> ArtifactAsk:
        """The same without what may be secret: what a journal keeps."""
        return replace(self, url=self.url and self.name, headers={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One play. Shares are not yet applied; hosts are matched and ordered.

    ``matched`` are the hosts of the pattern before ``--limit`` (the N of the floor), ``hosts``
    those after it (the N of the batches), both in the play's order.
    """

    name: str
    app: str
    environment: str
    hosts: tuple[HostName, ...]
    matched: tuple[HostName, ...]
    order: str = "inventory"
    seed: int = 0  # of `order: shuffle`
    serial: tuple[Share, ...]
    min_in_service: Share | None = None  # None: the default of semantics.md
    max_failures: Share = field(default_factory=lambda: Share(count=0))
    max_fail_percentage_ppm: int | None = None
    allow_outage: bool = False
    unreachable: Literal["refuse", "skip"] = "refuse"
    forks: int = 20
    needs: tuple[Need, ...] = ()  # of other apps, in this environment
    release_id: str = ""  # "": made from time and digest when first planned
    artifact: ArtifactAsk
    signature: SignatureAsk | None = None  # None: nobody has to answer for it
    transfer: Literal["auto", "push", "pull", "delta"] = "auto"
    keep: int = 0  # verified releases that stay on each host; 0: nothing is pruned
    keep_for_s: float = 0.0
    pools: tuple[PoolSpec, ...] = ()  # () never: `load_balancers: none` is one WorkersPool
    drain: Drain = field(default_factory=Drain)
    health: Health = field(default_factory=Health)
    on_failure: OnFailure = field(default_factory=OnFailure)
    step_timeout_s: float = 300.0
    progress_deadline_s: float = 900.0
    upload_rate: int = 0  # bytes a second; 0: as fast as it goes
    pause_timeout_s: float = 3600.0
    collect: bool = True
    resolve: Resolve
    line: int = 0  # of its playbook, where it begins
    sources: Mapping[str, str] = field(default_factory=dict)  # file -> digest, of everything that was read
    warnings: tuple[str, ...] = ()
