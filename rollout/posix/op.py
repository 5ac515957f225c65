"""Ops: the values that are said to a host, and the values that come back.

``render`` (frame.py) turns an Op into one script; the simulated host of ``rollout.testing``
executes the same value in memory; ``testing.contracts`` holds the two together.
Every Op is an ensure-action: doing it twice is doing it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rollout.model.release import Push, Release, ReleaseId, RenderedFile, Service, Shared, Site, Way
from rollout.model.task import Task
from rollout.posix.stateop import ReadState, WriteState


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Who may change a host: compared on the host, under its lock.

    ``number`` and ``rollout`` are the fencing pair of semantics.md; ``sequence`` grows with
    every Op of one rollout on a host, so that a late delivery of an Op that was given up is
    refused (``E_STALE``) when a newer one has been there. The pair stays *open* on the host until an
    Op that is ``closing`` has been there; an open one is replaced only by a rollout that names it in
    ``over``: it knows that the other has ended (``*``: whoever it is, nobody can know any more).
    """

    number: int
    rollout: str
    sequence: int
    over: tuple[str, ...] = ()
    closing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """Read the host; change nothing, take no lock, need no ``.rollout``.

    Fields of the reply: ``root`` (ok|missing|foreign|unsafe: others could exchange it, then ``root_why``),
    ``writable`` (1|0), ``identity`` (``environment/app`` or ""), ``current`` (release id, "" for none),
    ``current_kind`` (link|none|directory|file|dangling|outside), ``link`` (its text), ``lies`` (where one leads that
    leads outside, if anything is there), ``releases`` (``id:manifest`` pairs, space separated: those that are
    complete), ``ledger`` (``id:mark,mark`` pairs, space separated, in the order in which they were last kept),
    ``marked`` (``id:seconds`` pairs: when the newest mark of each was made), ``clock`` (the host's own, in seconds),
    ``epoch`` (``number rollout open|closed``), ``free_bytes``, ``free_inodes``,
    ``boot_id``, ``init_started`` (clock ticks), ``machine_id``, ``sudo`` (ok|refused|unneeded), ``sudo_why``, ``tools``
    (missing ones), ``user``, ``unit.<n>`` (load state of each unit), ``unit_as.<n>`` (whether its user can write what
    is installed: writer|other), ``shared.<n>`` (ok|missing, for each shared file without content; n counts from 0),
    ``group`` (missing|outside: the group of shared directories is not there, or the user is not in it),
    ``running`` (release that the service runs, or ""; without a service what current names), ``fresh`` (as Identify),
    ``fetches`` (``curl`` where it is there), ``patches`` (``zstd`` where one is there that takes them),
    ``gate`` (1: a forced command takes signed releases alone, helper.py; else not there).
    """

    kind: Literal["observe"] = "observe"
    service: Service
    shared: Shared = field(default_factory=Shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """Upload, verify, unpack, link what is shared, and make the prepared link (Stage).

    The payload is the artifact's bytes, then the manifest's text; of a Delta it is what differs, with patches where it
    has some (patches.py), then the manifest of the whole, of a Pull the request (pull.py). ``present``: the host has
    all of it, nothing is sent, and it is looked at again. ``rendered``: files of the host's own; ``sealed``: a secret
    is in one. Reply: ``installed`` (new|present).
    Refusals: E_SHORT (it was cut off), E_DIGEST, E_MANIFEST, E_UNPACK, E_RELEASE_CONFLICT, E_NO_RELEASE (``present``,
    and it is not), E_TAMPERED (it is there, and was written to), E_DISK, E_SHARED, E_FETCH, E_TOOL (of a Pull), E_BASE
    (of a Delta: its base is not there as it was, or this host cannot do it; a Push can be said instead). These, and
    ``present``, leave the payload unread.
    """

    kind: Literal["install"] = "install"
    release: Release
    shared: Shared = field(default_factory=Shared)
    present: bool = False
    signed: str = ""  # the statement with its signature, for a host that verifies by itself
    way: Way = field(default_factory=Push)
    rendered: tuple[RenderedFile, ...] = ()
    sealed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate:
    """Point ``current`` at the release (one rename of the prepared link) and restart the service.

    ``expect``: the release that ``current`` must name now ("" for no link at all); it may also
    name ``release`` already. Where the link is right and the running process is of the release
    nothing is restarted, unless ``again`` says so: then the link must be right already, and what runs afterwards
    counts only when it started after that.
    Reply fields: ``switched`` (1|0), ``restarted`` (1|0), ``previous`` (= ``expect``).
    Refusals: E_DRIFT (with ``current``), E_CURRENT_NOT_LINK, E_NO_RELEASE, E_TAMPERED, E_SUDO, E_DISK.
    Failures: E_STOP (the link has moved, what ran before did not end), E_SERVICE (the service did not start),
    E_NOEXEC (the host lets nobody run what lies there).
    """

    kind: Literal["activate"] = "activate"
    release: ReleaseId
    manifest: str
    expect: ReleaseId | Literal[""]
    service: Service
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Stop the service and remove the link: the way back of a host that had no release.

    Refused with E_DRIFT when ``current`` names anything but ``release`` or nothing.
    """

    kind: Literal["withdraw"] = "withdraw"
    release: ReleaseId
    service: Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Write one mark of a release into the host's ledger.

    ``verified``: proven healthy; ``kept``: its rollout succeeded here (takes ``bad`` away); ``bad``: reverted
    for a cause of its own; ``unverified``: takes ``verified``, ``kept`` and ``adopted`` away.
    Reply fields of ``kept``: ``releases``, ``ledger``, ``marked`` and ``clock``, as Observe's.
    """

    kind: Literal["mark"] = "mark"
    release: ReleaseId
    mark: Literal["verified", "kept", "bad", "unverified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Remove releases: out of ``releases/`` by one rename each, then their files, in the time of the step.

    What ``current`` names, what the service runs, what was kept before and what a process works in or runs from is
    left, whatever was asked. Goes on with what an earlier Prune could not remove. ``add``: directories of ``shared/``
    from which the files go that no release has any more.
    Reply fields: ``pruned`` (ids that are gone), ``spared`` (``id:why`` pairs: needed|runs|stuck), ``left`` (how many
    releases are out, and not removed yet), ``stuck`` (why, where that is so). Refusal: E_DISK.
    """

    kind: Literal["prune"] = "prune"
    releases: tuple[ReleaseId, ...]
    service: Service
    add: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Read and hash the tree that ``current`` names, whatever brought it there. Read-only: no lock, no ``.rollout``.

    The manifest covers files and links but for what applications write while they run (adopt.py) and what
    ``leave_out`` names, paths relative to the release. ``listing``: the manifest itself is wanted, in the tail.
    Reply fields: ``current``, ``current_kind``, ``link`` and ``lies`` as Observe's, and of a link into releases/:
    ``known`` (1: it carries a manifest, which is believed and not made again), ``manifest`` (digest), ``files``,
    ``bytes``.
    Refusals: E_IDENTITY, E_TREE (a link, not a directory), E_NAMES, E_UNREADABLE (files in the tail).
    """

    kind: Literal["survey"] = "survey"
    leave_out: tuple[str, ...] = ()
    listing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Record what ``current`` names as installed, activated, verified and adopted; nothing that serves is changed.

    The tree is hashed again, under the lock, and must be what was surveyed; its manifest is written into it.
    Reply field: ``adopted`` (new|present: it carried that manifest already).
    Refusals: E_DRIFT (``current`` names something else), E_RELEASE_CONFLICT, E_CHANGED, E_TREE, E_NAMES,
    E_UNREADABLE, E_ROOT (the tree cannot be written to), E_DISK.
    """

    kind: Literal["adopt"] = "adopt"
    release: ReleaseId
    manifest: str
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadManifest:
    """Read a piece of the manifest that a release carries, from byte ``at``. Read-only: no lock.

    Reply fields: ``manifest`` (its digest), ``bytes`` (of it). Tail: gzip in base64, of at most delta.PIECE bytes.
    Refusals: E_IDENTITY, E_NO_RELEASE, E_TOOL.
    """

    kind: Literal["read_manifest"] = "read_manifest"
    release: ReleaseId
    at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """Hash a release and compare it, member by member, with the manifest that it carries. Read-only: no lock.

    ``release``: "" is what ``current`` names. Links into ``shared`` are ours, and what they took the place of is not
    missed. An adopted release is compared as it was adopted.
    Reply fields: ``current``, ``current_kind``, ``release`` ("": current names none), ``manifest`` (digest of the one
    that it carries), ``files`` (in it), ``differing`` (lines that differ), ``odd_names`` (names that hold a line
    break, which no manifest lists), ``shared.<n>`` (1: the link is there; n counts dirs, then files).
    Tail: the lines that differ, at most drift.MOST of them: ``-`` before what the manifest says, ``+`` before what
    was found; ``m PATH``: a mode that no member has.
    Refusals: E_IDENTITY, E_NO_RELEASE, E_NO_MANIFEST. Failure: E_TOOL.
    """

    kind: Literal["inspect"] = "inspect"
    release: ReleaseId | Literal[""] = ""
    shared: Shared = field(default_factory=Shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identify:
    """Prove which release the running service is of (semantics.md, Identity). Read-only.

    Reply fields: ``running`` (release id proven by cwd, exe or path; "" when none), ``pid``,
    ``started`` (clock ticks since boot), ``linked`` (ticks when the link last moved; "" unknown),
    ``fresh`` (1 when the process started after the link moved), ``restarts`` (systemd NRestarts or 0),
    ``dead`` (1 when a unit has ended and systemd will not start it again; only then there).
    """

    kind: Literal["identify"] = "identify"
    release: ReleaseId
    service: Service


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """Run a command of the operator's, once: what was begun and has no record is in doubt, and not run again.

    ``release``: whose directory it works in; "" is what ``current`` names, and the root where it names nothing. On
    a site below HOME it works in the home directory.
    ``facts``: ROLLOUT_* variables, for tasks of the SSH user itself. The Op's ``id`` must be the same each time
    that the same task is meant: that is how the host knows it. A task that is ``repeatable`` is run again.
    Reply fields: ``exit`` (its status; 124: out of time), ``skipped`` (1: what it ``creates`` is there),
    ``printed`` (with ``prints``: the last line of its standard output). Tail: the end of its output.
    Failures: E_TASK, E_TASK_TIMEOUT (its process group was killed), E_TASK_DOUBT, E_TASK_PRINTS.
    Refusals: E_NO_RELEASE, E_CWD, E_TOOL.
    """

    kind: Literal["task"] = "task"
    task: Task
    release: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCheck:
    """Run a command check in the release's directory. Reply fields: ``status`` (124: out of time); tail: its output."""

    kind: Literal["check"] = "check"
    release: ReleaseId
    argv: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect:
    """Evidence before the way back: unit status, log since the switch, listening ports. In the tail."""

    kind: Literal["collect"] = "collect"
    service: Service
    max_bytes: int = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Ask what became of an Op in doubt: take the lock, read its record, then read the truth.

    Reply fields: ``recorded`` (1|0), and when 1 the recorded reply's ``status``, ``code`` and
    fields under ``was.``; always ``current``.
    Settling an unrecorded Op also makes its late delivery impossible (its sequence is over).
    """

    kind: Literal["settle"] = "settle"
    op: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Say that the rollout is over here: its pair is closed, and the next rollout may come. Nothing else is done."""

    kind: Literal["close"] = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskBalancer:
    """Say lines to a balancer's runtime socket that change nothing there. Read-only: no lock, no fence.

    ``socket`` (a path) or ``tcp`` (HOST:PORT as seen from the host). Each line goes over a connection of its own and
    is bounded by ``patience_s`` of silence. ``tool``: what spoke last time, tried first. Reply field: ``tool``
    (socat|nc|perl|python3); the tail holds the answers (see converse.py). Refusal: E_LB_TOOL.
    """

    kind: Literal["ask_balancer"] = "ask_balancer"
    lines: tuple[str, ...]
    socket: str = ""
    tcp: str = ""
    tool: str = ""
    patience_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TellBalancer:
    """Say lines that change something, under the lock and the fence of ``~/.rollout/<environment>/<app>/``.

    Fields and reply as AskBalancer's. Nothing is put on record: what took effect is read back.
    """

    kind: Literal["tell_balancer"] = "tell_balancer"
    lines: tuple[str, ...]
    socket: str = ""
    tcp: str = ""
    tool: str = ""
    patience_s: float = 5.0


Deed = (
    Observe
    | Install
    | Activate
    | Withdraw
    | Mark
    | Prune
    | Survey
    | Adopt
    | Inspect
    | ReadManifest
    | Identify
    | RunTask
    | RunCheck
    | Collect
    | Settle
    | Close
    | AskBalancer
    | TellBalancer
    | ReadState
    | WriteState
)
READ_ONLY = (Observe, Survey, Inspect, ReadManifest, Identify, RunCheck, Collect, AskBalancer, ReadState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One thing said to one host: what to do, where, under which epoch, within which time.

    ``become`` is the user that service control runs as ("" for the SSH user itself). ``password``: what sudo is told
    where it asks, for tasks of other users too; it goes to sudo's standard input ("" where it must not ask). Where the
    site has an owner the whole step runs as that one, and the password is for the way there alone.
    ``timeout_s`` bounds the step on the host, waiting for its lock included.
    """

    id: str
    epoch: Epoch
    site: Site
    do: Deed
    become: str = ""
    password: str = ""
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a host answered to an Op, proven by the frame's trailer.

    Refusals that any Op may meet: E_OWNER and E_SUDO (where the site has an owner), E_ROOT, E_IDENTITY,
    E_STEP_STILL_RUNNING (with ``holder``), E_FENCED and E_STALE (with ``epoch``), E_EPOCH. Those are not put on record;
    every other result of a changing Op is.
    ``status``: ``done``; ``refused`` (nothing was changed); ``failed`` (begun, and not completed).
    ``code``: an ``E_`` word, "" when done. ``fields`` and ``tail`` are hostile data.
    """

    status: Literal["done", "refused", "failed"]
    code: str = ""
    summary: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    tail: tuple[str, ...] = ()
