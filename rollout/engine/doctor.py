"""What is weaker than it could be in a play as it is written: a table of findings, each with what mends it.

From values alone; nobody is asked. A finding is no error: people have reasons. It is said so that they know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rollout.model.check import HttpCheck
from rollout.model.host import Connection, HostName
from rollout.model.play import Ask, Play, delegates_of
from rollout.model.pool import HaproxyPool

LOOPBACK = ("127.", "localhost:", "[::1]:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One play and what is around it. ``writable``: files of the project that anybody may write to.

    ``state_dies``: the state lies in the default place of a CI runner. ``policed``: a policy holds for the environment.
    """

    play: Play
    asks: Mapping[HostName, Ask]
    writable: tuple[str, ...] = ()
    state_dies: bool = False
    policed: bool = False
    signed: bool = False
    connections: Mapping[HostName, Connection] = field(default_factory=dict)  # of the balancers' hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One weak setting: its name, what is so, and what to write or type instead."""

    name: str
    what: str
    fix: str


def findings(patient: Patient) -> tuple[Finding, ...]:
    """Return what is weak, in the order of the table."""
    return tuple(
        Finding(name=name, what=what, fix=fix) for name, (look, fix) in FINDINGS.items() for what in look(patient)
    )


def _connections(patient: Patient) -> Iterator[Connection]:
    yield from (ask.connection for ask in patient.asks.values())
    yield from delegates_of(patient.asks.values()).values()
    yield from patient.connections.values()


def _some(found: Iterable[str], what: str) -> Iterator[str]:
    """Yield one sentence about all that were found, the first few named."""
    every = list(dict.fromkeys(found))
    if every:
        more = f" and {len(every) - 3} more" if len(every) > 3 else ""
        yield f"{', '.join(every[:3])}{more}: {what}"


def _accept_new(patient: Patient) -> Iterator[str]:
    weak = (c.address for c in _connections(patient) if c.host_keys == "accept-new")
    yield from _some(weak, "a key that nobody knows is accepted the first time, whoever shows it.")


def _haproxy(patient: Patient) -> Iterator[HaproxyPool]:
    return (pool for pool in patient.play.pools if isinstance(pool, HaproxyPool))


def _tcp(patient: Patient) -> Iterator[str]:
    weak = (p.tcp for p in _haproxy(patient) if p.tcp and not p.connection and not p.tcp.startswith(LOOPBACK))
    yield from _some(weak, "HAProxy's admin socket is open to whoever reaches the port: it asks for no password.")


def _unfenced(patient: Patient) -> Iterator[str]:
    weak = (p.name for p in _haproxy(patient) if p.connection is None)
    yield from _some(weak, "a pool without a fence: a controller that was taken for dead may still write to it.")


def _writable(patient: Patient) -> Iterator[str]:
    yield from _some(patient.writable, "anybody on this machine may write to it.")


def _state(patient: Patient) -> Iterator[str]:
    if patient.state_dies:
        yield "CI is set and the state lies in the default place: it dies with the runner, and protects nobody."


def _unsigned(patient: Patient) -> Iterator[str]:
    if not patient.signed:
        yield f"nobody signs the releases of {patient.play.app}: whoever may write the artifact may deploy."


def _undigested(patient: Patient) -> Iterator[str]:
    artifact = patient.play.artifact
    if artifact.path and not artifact.sha256:
        yield f"{artifact.path}: nothing says which digest the artifact is to have."


def _root(patient: Patient) -> Iterator[str]:
    weak = (c.address for c in _connections(patient) if c.become is not None and c.become.user == "root")
    yield from _some(weak, "commands run as root.")


def _login(patient: Patient) -> Iterator[str]:
    yield from _some((c.address for c in _connections(patient) if c.user == "root"), "the SSH user is root.")


def _tls(patient: Patient) -> Iterator[str]:
    checks = (check for ask in patient.asks.values() for check in ask.checks)
    weak = (str(c.port) for c in checks if isinstance(c, HttpCheck) and c.scheme == "https" and not c.verify_tls)
    yield from _some(weak, "the check of this port believes any certificate.")


def _checks(patient: Patient) -> Iterator[str]:
    weak = (host for host, ask in patient.asks.items() if not ask.checks)
    yield from _some(weak, "nothing is asked of a release before it serves.")


def _identity(patient: Patient) -> Iterator[str]:
    if patient.play.health.identity == "none":
        yield f"{patient.play.app}: nothing proves that it is the new release that answers."


def _outage(patient: Patient) -> Iterator[str]:
    if patient.play.allow_outage and len(patient.play.matched) > 1:
        yield f"{patient.play.app}: `allow_outage` lets all of its {len(patient.play.matched)} hosts leave at once."


def _unpoliced(patient: Patient) -> Iterator[str]:
    if not patient.policed:
        yield f"no policy holds for {patient.play.environment}: a change decides by itself what it may do."


FINDINGS: dict[str, tuple[Callable[[Patient], Iterator[str]], str]] = {
    "accept-new": (_accept_new, "Record the keys: rollout hostkeys scan PLAYBOOK; then leave `host_keys` out."),
    "tcp-socket": (_tcp, "Write `via: HOST` and `socket: PATH`, and `stats socket PATH mode 600 level admin` there."),
    "no-fence": (_unfenced, "Write `via: HOST`, the host that HAProxy runs on, also where that is this machine."),
    "writable": (_writable, "Type: chmod o-w FILE, and umask 022 before a checkout."),
    "state": (_state, "Name one that lasts: --state URL or ROLLOUT_STATE (docs/state.md)."),
    "unsigned": (_unsigned, "Have releases signed, and say `require_signature` in a policy (docs/policy.md)."),
    "no-digest": (_undigested, "Write `sha256`, or lay a SHA256SUMS file beside it."),
    "root": (_root, "Name a user that owns the service: `become: { user: NAME }`, with its own lines in sudoers."),
    "root-login": (_login, "Use a user of its own, and `become` for what needs more."),
    "tls": (_tls, "Leave `tls: { verify: false }` out; a CA of your own is named by SSL_CERT_FILE."),
    "no-checks": (_checks, "Write `health.checks` (docs/reference.md)."),
    "identity": (_identity, "Leave `identity` out, or write `identity: checks` with `{{ release.id }}` in a check."),
    "outage": (_outage, "Leave it out: it is for fleets of one."),
    "no-policy": (_unpoliced, "Write one (docs/policy.md), and pin it: rollout policy pin --env NAME --policy FILE"),
}
