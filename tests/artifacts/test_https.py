"""Whom is asked: redirects, addresses, certificates, and who is told what."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.artifacts.https import Https
from rollout.artifacts.limits import ArtifactFault
from rollout.artifacts.remote import NotFetched
from rollout.errors import Refused
from tests.artifacts.fetches import CONTENT, QUICK, SECRET, ask, fetch
from tests.artifacts.registry import Asked, Authority, Registry, moved, serving


def test_redirects_are_followed_five_times(registry: Registry, tmp_path: Path) -> None:
    registry.answers = [moved(f"/{n}") for n in range(5)]
    assert fetch(ask(registry), tmp_path) == CONTENT
    registry.answers = [moved(f"/{n}") for n in range(6)]
    with pytest.raises(Refused, match="more than 5 times"):
        fetch(ask(registry), tmp_path / "other")


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("http://localhost/app.tar?token=s3cr3t", "http://localhost/app.tar, which is no https URL"),
        ("ftp://localhost/x", "no https URL"),
        ("https://user@localhost/x", "no https URL"),
        ("file:///etc/passwd", "no https URL"),
        ("https://localhost:99999/x", "no https URL"),
        ("https://x/\x7f", "no https URL"),
        ("https://" + "a" * 9000, "no https URL"),
        ("", "no https URL"),
        ("https://169.254.169.254/latest/meta-data", "the metadata of cloud machines"),
        ("https://[fd00:ec2::254]/", "the metadata of machines on AWS"),
        ("https://[::ffff:169.254.169.254]/", "the metadata of cloud machines"),
        ("https://0/", "no address of anybody"),
        ("https://0xa9fea9fe/", "the metadata of cloud machines"),
        ("https://[fe80::1]/", "link-local"),
    ],
)
def test_a_redirect_that_leads_astray_is_not_followed(to: str, why: str, registry: Registry, tmp_path: Path) -> None:
    registry.answers = [moved(to)]
    with pytest.raises(Refused) as refused:
        fetch(ask(registry), tmp_path)
    assert why in str(refused.value)
    assert "s3cr3t" not in str(refused.value)
    assert len(registry.asked) == 1


def test_headers_go_to_the_server_of_the_play_alone(registry: Registry, certificate: Path, tmp_path: Path) -> None:
    with serving(certificate) as other:
        other.content = CONTENT
        registry.answers = [moved("/again"), moved(other.url("/blob"))]
        one = ask(registry, headers={"Authorization": SECRET, "X-Token": SECRET})
        assert fetch(one, tmp_path) == CONTENT
    assert [h.get("Authorization") for _, h in registry.asked] == [SECRET, SECRET]
    assert [(path, h.get("Authorization"), h.get("X-Token")) for path, h in other.asked] == [("/blob", None, None)]
    assert SECRET not in repr(one)
    assert SECRET not in repr(Https(one.url, one.headers))
    assert one.on_record.headers == {}


def answers(*addresses: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Return a resolver that says these addresses, and fails when it is asked twice."""
    said = [[(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in addresses]]
    return lambda *_, **__: said.pop(0)


def test_a_name_is_resolved_once_and_the_address_that_was_looked_at_is_connected_to(registry: Registry) -> None:
    registry.content = CONTENT
    answer = Https(registry.url(), resolve=answers("127.0.0.1")).open(0, "", QUICK)
    assert answer.read()
    answer.close()
    assert registry.asked[0][1]["Host"] == f"localhost:{registry.port}"


@pytest.mark.parametrize(
    ("host", "addresses", "why"),
    [
        ("registry.test", ["127.0.0.1"], "this machine itself. "),
        ("registry.test", ["1.1.1.1", "127.0.0.1"], "this machine itself. "),
        ("registry.test", ["1.1.1.1", "169.254.169.254"], "the metadata of cloud machines"),
        ("localhost", ["127.0.0.1", "::ffff:169.254.169.254"], "the metadata of cloud machines"),
        ("registry.test", ["::1"], "this machine itself. "),
        ("registry.test", ["10.0.0.1", "fe80::1"], "link-local"),
    ],
)
def test_one_address_that_nothing_is_fetched_from_is_enough(
    host: str, addresses: list[str], why: str, registry: Registry
) -> None:
    with pytest.raises(NotFetched) as refused:
        Https(registry.url(host=host), resolve=answers(*addresses)).open(0, "", QUICK)
    assert why in f"{refused.value} "
    assert registry.asked == []


def test_a_redirect_leads_no_further_in_than_it_comes_from() -> None:
    from rollout.artifacts.addresses import PRIVATE, PUBLIC
    from rollout.artifacts.https import _looked_at, _next, _Place

    public = _Place("https://registry.test/", "registry.test", 443, "/", PRIVATE)  # which the play may name anywhere
    moved_to = _next(public, "https://intranet.test/reboot", PUBLIC)
    for address, why in {"10.0.0.1": "an inner network", "127.0.0.1": "this machine itself"}.items():
        with pytest.raises(NotFetched, match=why):
            _looked_at(moved_to, answers(address))
    assert _looked_at(moved_to, answers("1.1.1.1"))


def test_a_server_may_be_named_by_its_address(registry: Registry, tmp_path: Path) -> None:
    assert fetch(replace(ask(registry), url=registry.url(host="127.0.0.1")), tmp_path) == CONTENT
    assert registry.asked[0][1]["Host"] == f"127.0.0.1:{registry.port}"


def test_who_cannot_prove_who_it_is_is_not_believed(
    ca: Authority, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ca.certificate("old", names=("localhost",), days=-1)
    other = ca.certificate("other", names=("elsewhere.test",))
    named = ca.certificate("named", names=("localhost",))
    for certificate, host, why in (
        (old, "localhost", "certificate has expired"),
        (other, "localhost", "Hostname mismatch"),
        (named, "127.0.0.1", "IP address mismatch"),
    ):
        with serving(certificate) as one, pytest.raises(Refused, match=why):
            fetch(replace(ask(one), url=one.url(host=host)), tmp_path)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Refused, match=r"cannot prove who it is: .*SSL_CERT_FILE"):
        fetch(ask(registry), tmp_path)
    assert registry.asked == []


def test_an_answer_without_tls_is_no_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def plain() -> None:
            for _ in range(3):
                connection, _ = server.accept()
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                connection.close()

        thread = threading.Thread(target=plain, daemon=True)
        thread.start()
        with pytest.raises(Refused, match="no TLS with localhost"):
            fetch(ask(Registry(port=server.getsockname()[1])), tmp_path)
        thread.join(20)


def test_what_a_server_says_reaches_no_terminal(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The library would log such a head with the URL, its query and all."""

    def odd(asked: Asked) -> None:
        asked.send(b"HTTP/1.1 200 OK\r\nno header \x1b[31m\r\nContent-Length: 4\r\n\r\nnone")

    registry.answers = [odd]
    with pytest.raises(ArtifactFault, match="E_DIGEST"):
        fetch(ask(registry, "/app.tar?token=s3cr3t"), tmp_path)
    assert caplog.text == ""


def test_a_name_that_nobody_has(registry: Registry, tmp_path: Path) -> None:
    def nobody(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(NotFetched, match=r"the name registry\.test cannot be resolved"):
        Https("https://registry.test/", resolve=nobody).open(0, "", QUICK)
