"""A real HTTPS server on loopback with a certificate of an authority of its own, which misbehaves on demand."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """An authority and the folder in which its certificates lie. ``trust``: what SSL_CERT_FILE names."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @property
    def trust(self) -> Path:
        return self.folder / "ca.pem"

    def certificate(self, name: str, *, names: tuple[str, ...], days: int = 1) -> Path:
        """Write a key and a certificate for these names; ``days`` below 0: one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        said = [x509.IPAddress(ip_address(n)) if n[0].isdigit() or ":" in n else x509.DNSName(n) for n in names]
        made = _signed(_name(name), key.public_key(), self.name, self.key, days).add_extension(
            x509.SubjectAlternativeName(said), critical=False
        )
        path = self.folder / f"{name}.pem"
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, *private)
            + made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    name: x509.Name, public: Any, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def authority(folder: Path) -> Authority:
    """Make an authority, as strict readers want it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("tests of rollout")
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    made = (
        _signed(name, key.public_key(), name, key, 2)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, decipher_only=False, **usage),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    one = Authority(folder, key, name)
    one.trust.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return one


Answer = Callable[["Asked"], None]


@dataclass
class Registry:
    """What the server has and what it was asked. ``answers`` are taken one by one before ``content`` is served."""

    port: int = 0
    content: bytes = b""
    tag: str = '"one"'
    ranges: bool = True
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    sent: int = 0

    def url(self, path: str = "/app.tar", host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"

    @property
    def ranges_asked(self) -> list[str]:
        return [headers.get("Range", "") for _, headers in self.asked]


class Asked(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    registry: Registry

    def do_GET(self) -> None:
        self.registry.asked.append((self.path, dict(self.headers.items())))
        self.close_connection = True
        with suppress(OSError):
            (self.registry.answers.pop(0) if self.registry.answers else whole)(self)

    def head(self, status: int, **headers: Any) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.registry.sent += len(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def whole(asked: Asked, most: int | None = None) -> None:
    """Serve the content, from where it is asked for; ``most`` bytes of it and then nothing more."""
    registry, start = asked.registry, 0
    size, tag = len(registry.content), {"ETag": registry.tag} if registry.tag else {}
    wanted = asked.headers.get("Range", "")
    if wanted and registry.ranges and asked.headers.get("If-Range") == registry.tag:
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        asked.head(206, Content_Length=size - start, Content_Range=f"bytes {start}-{size - 1}/{size}", **tag)
    else:
        asked.head(200, Content_Length=size, **tag)
    asked.send(registry.content[start : None if most is None else start + most])


def broken(most: int) -> Answer:
    """Serve so many bytes more, and break off."""
    return lambda asked: whole(asked, most)


def status(code: int, **headers: Any) -> Answer:
    return lambda asked: asked.head(code, Content_Length=0, **headers)


def moved(to: str, code: int = 302) -> Answer:
    return status(code, Location=to)


def stalled(seconds: float, most: int) -> Answer:
    """Serve so many bytes and then wait."""

    def answer(asked: Asked) -> None:
        whole(asked, most)
        time.sleep(seconds)

    return answer


def trickled(seconds: float) -> Answer:
    """Send the head of an answer byte by byte, for so long."""

    def answer(asked: Asked) -> None:
        by = time.monotonic() + seconds
        asked.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while time.monotonic() < by:
            asked.send(b"x")
            time.sleep(0.02)

    return answer


@contextmanager
def serving(certificate: Path) -> Iterator[Registry]:
    """Serve on a free port of loopback."""
    registry = Registry()
    handler = type("Handler", (Asked,), {"registry": registry})
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(certificate)

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, Any]:
            made, address = super().get_request()
            return trust.wrap_socket(made, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, *_: Any) -> None:
            """A client that does not trust us hangs up: that is its right."""

    with Server(("127.0.0.1", 0), handler) as server:
        registry.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield registry
        server.shutdown()
        thread.join()
