"""Open the state that is meant: a file, a PostgreSQL server, or files on a host, which take a way there."""

from __future__ import annotations

import io
import secrets
import threading
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, unquote, urlsplit

from rollout.errors import InputError, OutcomeUnknown, Problem, Unreachable
from rollout.model.host import Connection, Hop, HostName
from rollout.model.release import Site
from rollout.ports import Session, Transport
from rollout.posix import frame
from rollout.posix.op import Epoch, Op, Reply
from rollout.posix.stateop import ReadState, WriteState
from rollout.store.store import Store, open_store

STEP_S = 30.0
GRACE_S = 5.0
ASKED = {"identity", "known_hosts", "jump"}


def open_state(url: str, *, create: bool = True) -> Store:
    """Open it; made where missing unless ``create`` is false. Raises InputError and StoreError."""
    if not url.startswith("ssh://"):
        return open_store(url, create=create)
    from rollout.store.remote import RemoteDatabase

    way = way_of(url)
    return Store(RemoteDatabase(way.place, way.tell, create=create), closing=way.close)


@dataclass(slots=True, kw_only=True)
class Way:
    """The connection to the host that keeps a state: opened when first needed, and again when lost."""

    place: str
    path: str
    connection: Connection
    transport: Transport
    session: Session | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, deed: ReadState | WriteState, payload: bytes) -> Reply:
        """Say one Op; raise Unreachable when nothing was sent, OutcomeUnknown when something was."""
        site = Site(root=self.path, app="state", environment="rollout")
        op = Op(id="state", epoch=Epoch(number=0, rollout="-", sequence=0), site=site, do=deed, timeout_s=STEP_S)
        nonce = secrets.token_hex(16)
        with self.turn:
            raw = self._sent(frame.render(op, nonce, len(payload)), payload, f"{nonce} end ".encode())
        reply = frame.parse(nonce, raw)
        if reply is None:
            raise OutcomeUnknown("it did not answer to the end")
        return reply

    def _sent(self, script: bytes, payload: bytes, until: bytes) -> bytes:
        if self.session is None:
            self.session = self.transport.open(HostName(self.connection.address), self.connection)
        try:
            stream = io.BytesIO(payload) if payload else None
            return self.session.run(script, stream, deadline_s=STEP_S + GRACE_S, until=until).stdout
        except (Unreachable, OutcomeUnknown):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        session, self.session = self.session, None
        if session is not None:
            session.close()


def way_of(url: str) -> Way:
    """Read ``ssh://[USER@]HOST[:PORT]/ABSOLUTE/PATH[?identity=FILE&known_hosts=FILE&jump=HOPS]``; raise InputError."""
    try:
        parts = urlsplit(url)
        port, host = parts.port or 22, parts.hostname or ""
    except ValueError:
        raise _unreadable("it cannot be read") from None
    asked = parse_qs(parts.query)
    if parts.password or not host or len(parts.path) < 2 or parts.fragment or set(asked) - ASKED:
        raise _unreadable("it does not have that form" if not parts.password else "a password has no place in it")
    from rollout.app.outside import transport

    connection = Connection(
        address=host,
        port=port,
        user=unquote(parts.username or ""),
        key_files=tuple(asked.get("identity", ())),
        known_hosts=tuple(asked.get("known_hosts", ())),
    )
    connection = replace(connection, jump=tuple(_hop(word, connection) for word in _words(asked.get("jump", []))))
    place = f"ssh://{host}{parts.path}"
    return Way(place=place, path=unquote(parts.path), connection=connection, transport=transport("fabric"))


def _words(said: list[str]) -> list[str]:
    return [word for one in said for word in one.split(",")]


def _hop(word: str, to: Connection) -> Hop:
    """Return a jump host of the URL: an address, since there is no inventory here."""
    from rollout.inventory.jumps import hop_of
    from rollout.inventory.names import Fault

    found = hop_of(word)
    if isinstance(found, Fault):
        raise _unreadable(f"its jump: {found.what.rstrip('.')}")
    return Hop(
        name=found.name,
        address=found.name,
        port=found.port or 22,
        user=found.user or to.user,
        key_files=to.key_files,
    )


def _unreadable(what: str) -> InputError:
    instead = (
        "Write ssh://USER@HOST/ABSOLUTE/PATH; ?identity=FILE, &known_hosts=FILE and &jump=USER@HOST:PORT may follow."
    )
    return InputError(Problem(file="--state", code="E_STATE_URL", what=f"the ssh:// URL: {what}.", instead=instead))
