"""One sshd per module, and the two transports behind one face."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.model.host import Connection, HostName
from rollout.ports import Raw, Session, Transport
from rollout.transports.fabric import FabricTransport
from rollout.transports.local import LocalTransport
from tests.sshd import Sshd

WEB1 = HostName("web1")


def framed(script: str) -> bytes:
    """Return a script with its length line."""
    said = script.encode()
    return b"%d\n" % len(said) + said


@dataclass
class Bench:
    """A session, and how to get another."""

    session: Session
    fresh: Callable[[], Session]

    def say(self, script: str, payload: bytes | None = None, deadline_s: float = 20, until: bytes | None = None) -> Raw:
        stream = io.BytesIO(payload) if payload is not None else None
        return self.session.run(framed(script), stream, deadline_s=deadline_s, until=until)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    """Start servers that this test alone may break."""
    started: list[Sshd] = []

    def start(*extra: str, **options: object) -> Sshd:
        started.append(Sshd(tmp_path / f"sshd{len(started)}", extra=extra, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(params=["fabric", "local"])
def bench(request: pytest.FixtureRequest, sshd: Sshd) -> Iterator[Bench]:
    fabric = request.param == "fabric"
    transport: Transport = FabricTransport() if fabric else LocalTransport()
    connection = sshd.connection() if fabric else Connection(address="127.0.0.1", transport="local")
    opened: list[Session] = []

    def fresh() -> Session:
        opened.append(transport.open(WEB1, connection))
        return opened[-1]

    yield Bench(fresh(), fresh)
    for session in opened:
        session.close()
