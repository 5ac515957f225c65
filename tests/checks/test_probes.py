"""Probes against a server that misbehaves: always an answer, always in time, always inert."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.checks import http, open_probe
from rollout.checks.http import HttpProbe
from rollout.model.check import CommandCheck, HttpCheck, Probed, TcpCheck
from rollout.model.host import Connection, HostName
from rollout.ports import Session
from rollout.posix.frame import CONSTANT
from rollout.transports.fabric import FabricTransport
from rollout.transports.local import LocalTransport
from tests.checks.misbehaving import ENDLESS, Misbehaving
from tests.ports import free_port
from tests.sshd import Sshd

WEB1 = HostName("web1")
HERE = Connection(address="127.0.0.1")

# path, what the check asks for -> does it pass, and a word of the summary
ANSWERS: list[tuple[str, dict[str, object], bool, str]] = [
    ("/ok", {}, True, "200"),
    ("/ok", {"method": "POST", "body": "x=1"}, True, "200"),
    ("/ok", {"method": "HEAD"}, True, "200"),
    ("/ok", {"status": (204, 418)}, False, "asked for 204, 418"),
    ("/teapot", {}, False, "418"),
    ("/teapot", {"status": (200, 418)}, True, "418"),
    ("/204", {}, False, "204"),
    ("/204", {"status": (204,)}, True, "204"),
    ("/204", {"status": (204,), "json": {"a": "b"}}, False, "empty"),
    ("/301", {}, False, "301"),
    ("/301", {"status": (301,)}, True, "301"),
    ("/100", {}, True, "200"),
    ("/old", {}, True, "200"),
    ("/chunked", {"json": {"a": "b"}}, True, "200"),
    ("/json", {"json": {"version": "1.10", "n": "1.10", "up": "true", "gone": "null", "deep.list.0.x": "y"}}, True, ""),
    ("/json", {"json": {"version": "1.1"}}, False, "version is 1.10, asked for 1.1"),
    ("/json", {"json": {"deep.list.7.x": "y"}}, False, "(missing)"),
    ("/json", {"json": {"deep": "y"}}, False, "(an object)"),
    ("/nojson", {"json": {"a": "b"}}, False, "not JSON"),
    ("/nested", {"json": {"a": "b"}}, False, "not JSON"),
    ("/number", {"json": {"version": "1"}}, False, "version is 999"),
    ("/large", {"json": {"version": "1.10"}}, False, "64 KiB"),
    ("/large", {}, True, "200"),
    ("/garbage", {}, False, "no HTTP answer"),
    ("/cut", {"json": {"a": "b"}}, False, ""),
    ("/nothing", {}, False, ""),
    ("/badstatus", {}, False, "no HTTP answer"),
    ("/badlength", {"json": {"a": "b"}}, False, ""),
    ("/badchunk", {"json": {"a": "b"}}, False, ""),
    ("/hugehead", {}, False, ""),
    ("/manyheads", {}, False, ""),
    ("/continues", {}, False, ""),
    ("/cuthead", {}, False, "cut off"),
    ("/cutstatus", {}, False, "cut off"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as running:
        yield running


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    running = Sshd(tmp_path_factory.mktemp("sshd"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    running = Sshd(tmp_path_factory.mktemp("refusing"), extra=("AllowTcpForwarding no",))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def session(sshd: Sshd) -> Iterator[Session]:
    opened = FabricTransport().open(WEB1, sshd.connection())
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def without_forwarding(refusing: Sshd) -> Iterator[Session]:
    opened = FabricTransport().open(WEB1, refusing.connection())
    yield opened
    opened.close()


def proven_inert(seen: Probed) -> Probed:
    assert seen.summary
    assert len(seen.summary) <= 300
    assert seen.summary.isprintable()
    return seen


@pytest.fixture(params=["stream of the host", "curl on the host", "controller"])
def vantage(request: pytest.FixtureRequest, session: Session, without_forwarding: Session) -> tuple[str, Session]:
    place = "controller" if request.param == "controller" else "host"
    return place, without_forwarding if request.param.startswith("curl") else session


@pytest.mark.fault("F74")
@pytest.mark.parametrize(("path", "asked", "ok", "word"), ANSWERS)
def test_what_an_answer_proves(
    path: str, asked: dict[str, object], ok: bool, word: str, server: Misbehaving, vantage: tuple[str, Session]
) -> None:
    place, host = vantage
    spec = HttpCheck(port=server.port, path=path, vantage=place, **asked)  # type: ignore[arg-type]
    seen = proven_inert(open_probe(spec, host, HERE).probe(5))
    assert (seen.ok, seen.reachable) == (ok, True), seen.summary
    if host is not None and "curl" not in seen.summary:
        assert word in seen.summary


@pytest.mark.fault("F74")
@pytest.mark.parametrize("path", [p for p in ENDLESS if p not in ("/endless", "/trickledbody")])
def test_what_never_ends_ends_in_time(path: str, server: Misbehaving, vantage: tuple[str, Session]) -> None:
    place, host = vantage
    spec = HttpCheck(port=server.port, path=path, vantage=place, timeout_s=0.6)  # type: ignore[arg-type]
    began = time.monotonic()
    seen = proven_inert(open_probe(spec, host, HERE).probe(5))
    assert (seen.ok, seen.reachable) == (False, True)
    assert time.monotonic() - began < 12


@pytest.mark.fault("F74")
@pytest.mark.parametrize("path", ["/endless", "/trickledbody"])
def test_a_body_nobody_asked_for_is_not_read(path: str, server: Misbehaving, vantage: tuple[str, Session]) -> None:
    place, host = vantage
    spec = HttpCheck(port=server.port, path=path, vantage=place, timeout_s=1.0)  # type: ignore[arg-type]
    assert open_probe(spec, host, HERE).probe(5).ok
    wanting = dataclasses.replace(spec, json={"a": "b"})
    assert not proven_inert(open_probe(wanting, host, HERE).probe(5)).ok


def test_every_wait_has_the_deadline_also_where_the_stream_has_none(server: Misbehaving) -> None:
    spec = HttpCheck(port=server.port, path="/hang", timeout_s=0.5)
    seen = HttpProbe(spec, lambda _: socket.create_connection(("127.0.0.1", server.port))).probe(5)
    assert "no whole answer in time" in seen.summary


@pytest.mark.fault("F74")
def test_a_head_without_an_end_is_too_large_long_before_the_deadline(server: Misbehaving, session: Session) -> None:
    spec = HttpCheck(port=server.port, path="/endlesshead", timeout_s=9)
    assert "too large" in open_probe(spec, session, HERE).probe(9).summary


def test_what_is_sent(server: Misbehaving, vantage: tuple[str, Session]) -> None:
    place, host = vantage
    spec = HttpCheck(
        port=server.port,
        path="/ok?a=%20'\"$(x)",
        method="PUT",
        headers={"X-Canary": 'it\'s "$HOME" \\', "Host": "shop.example.org"},
        body="line\n'\"\\$(x)",
        vantage=place,  # type: ignore[arg-type]
    )
    server.seen.clear()
    open_probe(spec, host, HERE).probe(5)
    (request,) = server.seen
    assert request.startswith(b"PUT /ok?a=%20'\"$(x) HTTP/1.1\r\n")
    assert b"\r\nHost: shop.example.org\r\n" in request
    assert b'\r\nX-Canary: it\'s "$HOME" \\\r\n' in request
    assert request.endswith(b"\r\n\r\nline\n'\"\\$(x)")


def test_a_request_that_cannot_be_said_is_no_traceback(server: Misbehaving, session: Session) -> None:
    for broken in (
        {"path": "/a b"},
        {"path": "/ok\r\nX: y"},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X:": "a"}},
    ):
        spec = HttpCheck(port=server.port, **broken)  # type: ignore[arg-type]
        assert not proven_inert(open_probe(spec, session, HERE).probe(2)).ok


def test_nobody_listens(vantage: tuple[str, Session]) -> None:
    place, host = vantage
    for spec in (HttpCheck(port=free_port(), vantage=place), TcpCheck(port=free_port(), vantage=place)):  # type: ignore[arg-type]
        seen = proven_inert(open_probe(spec, host, HERE).probe(3))
        assert (seen.ok, seen.reachable) == (False, True)


def test_tcp_passes_when_somebody_accepts(server: Misbehaving, vantage: tuple[str, Session]) -> None:
    place, host = vantage
    spec = TcpCheck(port=server.port, vantage=place, timeout_s=1.0)  # type: ignore[arg-type]
    assert proven_inert(open_probe(spec, host, HERE).probe(5)).ok


def test_a_host_that_is_gone_was_not_asked(sshd: Sshd) -> None:
    gone = FabricTransport().open(WEB1, sshd.connection())
    gone.close()
    for spec in (HttpCheck(port=1), TcpCheck(port=1)):
        seen = proven_inert(open_probe(spec, gone, HERE).probe(2))
        assert (seen.ok, seen.reachable) == (False, False)


def test_an_address_that_does_not_answer_was_not_asked() -> None:
    with socket.socket() as full:  # a queue that is full: the next connection gets no answer
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        seen = proven_inert(open_probe(TcpCheck(port=port, vantage="controller"), None, HERE).probe(0.5))
        assert (seen.ok, seen.reachable) == (False, False)
        for one in waiting:
            one.close()


def test_no_curl_and_no_forwarding_names_the_way_out(refusing: Sshd, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dd", "head"):
        (tmp_path / "bin" / tool).symlink_to(f"/usr/bin/{tool}")
    bare = CONSTANT.replace("exec", f"PATH={tmp_path}/bin; export PATH; exec")
    host = FabricTransport(command=bare).open(WEB1, refusing.connection())
    for spec in (HttpCheck(port=1), TcpCheck(port=1)):
        seen = proven_inert(open_probe(spec, host, HERE).probe(3))
        assert (seen.ok, seen.reachable) == (False, False)
        assert "from: controller" in seen.summary
    host.close()


def test_the_local_transport_is_the_host(server: Misbehaving) -> None:
    host = LocalTransport().open(WEB1, HERE)
    assert open_probe(HttpCheck(port=server.port, path="/ok"), host, HERE).probe(2).ok


def test_a_command_is_no_probe() -> None:
    with pytest.raises(TypeError):
        open_probe(CommandCheck(argv=("true",)), None, HERE)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    key = file.with_name("key.pem")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    said = ["-keyout", str(key), "-out", str(file), "-days", "2", "-subj", "/CN=127.0.0.1"]
    name = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:shop.example.org"]
    subprocess.run([*made, *said, *name], check=True, capture_output=True)
    file.write_text(file.read_text() + key.read_text())
    return file


@pytest.mark.fault("F74")
def test_tls_is_verified_unless_the_play_says_otherwise(certificate: Path, vantage: tuple[str, Session]) -> None:
    place, host = vantage
    with Misbehaving(certificate) as secure:
        spec = HttpCheck(port=secure.port, path="/json", scheme="https", vantage=place)  # type: ignore[arg-type]
        assert not proven_inert(open_probe(spec, host, HERE).probe(5)).ok
        lax = dataclasses.replace(spec, verify_tls=False, json={"version": "1.10"})
        assert proven_inert(open_probe(lax, host, HERE).probe(5)).ok


def expired(certificate: Path) -> Path:
    """Return a certificate like this one, of the same key, whose time is over."""
    key, asked, file = (certificate.with_name(name) for name in ("key.pem", "asked.csr", "expired.pem"))
    openssl = ("openssl", "x509", "-signkey", key)
    subprocess.run([*openssl, "-in", certificate, "-x509toreq", "-out", asked], check=True, capture_output=True)
    words = ["-req", "-in", asked, "-days", "-1", "-extfile", "/dev/stdin", "-out", file]
    subprocess.run([*openssl, *words], check=True, capture_output=True, input=b"subjectAltName=IP:127.0.0.1")
    file.write_text(file.read_text() + key.read_text())
    return file


@pytest.mark.fault("F74")
def test_a_certificate_whose_time_is_over_is_not_taken_though_it_is_known(
    certificate: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = expired(certificate)
    for file, ok in ((old, False), (certificate, True)):
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        http._trust.cache_clear()
        with Misbehaving(file) as secure:
            spec = HttpCheck(port=secure.port, path="/ok", scheme="https")
            seen = proven_inert(open_probe(spec, session, HERE).probe(5))
        assert seen.ok == ok, seen.summary
        assert ok or "expired" in seen.summary
    http._trust.cache_clear()


@pytest.mark.parametrize(("name", "ok"), [("shop.example.org", True), ("other.example.org", False)])
def test_a_trusted_certificate_is_for_the_name_that_is_asked(
    name: str, ok: bool, certificate: Path, session: Session, refusing: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    http._trust.cache_clear()
    with Misbehaving(certificate) as secure:
        spec = HttpCheck(port=secure.port, path="/ok", scheme="https", headers={"Host": name})
        trusting = CONSTANT.replace("exec", f"SSL_CERT_FILE={certificate}; export SSL_CERT_FILE; exec")
        curling = FabricTransport(command=trusting).open(WEB1, refusing.connection())
        for host in (session, curling):
            seen = proven_inert(open_probe(spec, host, HERE).probe(5))
            assert seen.ok == ok, seen.summary
        curling.close()
    http._trust.cache_clear()


@pytest.mark.parametrize("path", ["/trickle", "/garbage", "/nothing"])
def test_a_plain_server_behind_https_is_answered_in_time(path: str, server: Misbehaving, session: Session) -> None:
    spec = HttpCheck(port=server.port, path=path, scheme="https", timeout_s=0.6)
    assert not proven_inert(open_probe(spec, session, HERE).probe(5)).ok
