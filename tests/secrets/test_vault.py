"""``vault:PATH#KEY`` from a real OpenBao, in development mode on loopback."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import hvac
import pytest
from hvac.exceptions import VaultError
from requests import RequestException

from rollout.secrets.keyring import Keyring, SecretFault
from rollout.secrets.redaction import Redaction
from tests.ports import free_port

BAO = Path(sys.executable).with_name("bao")
TOKEN = "root-of-this-test"
SAID = "canary-in-a-vault"
pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("vault")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home, port = tmp_path_factory.mktemp("vault"), free_port()
    words = [BAO, "server", "-dev", f"-dev-root-token-id={TOKEN}", f"-dev-listen-address=127.0.0.1:{port}"]
    log = (home / "log").open("wb")
    server = subprocess.Popen(words, stdout=log, stderr=log, env={"HOME": str(home), "PATH": "/usr/bin:/bin"})
    url = f"http://127.0.0.1:{port}"
    try:
        client = hvac.Client(url=url, token=TOKEN)
        deadline = time.monotonic() + 120
        while not _ready(client):
            assert server.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.1)
        client.secrets.kv.v2.create_or_update_secret("shop", {"password": SAID, "port": 1, "empty": ""})
        client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
        client.write_data("old/shop", data={"password": f"{SAID}-1\n"})
        yield url
    finally:
        server.kill()
        server.wait()
        log.close()


def _ready(client: hvac.Client) -> bool:
    try:
        return bool(client.is_authenticated() and "secret/" in client.sys.list_mounted_secrets_engines()["data"])
    except (VaultError, RequestException):  # it is not up yet; whatever else goes wrong is a mistake of this test
        return False


def ring(address: str, token: str = TOKEN) -> Keyring:
    environ: Mapping[str, str] = {"VAULT_ADDR": address, "VAULT_TOKEN": token}
    return Keyring(environ=environ, hides=Redaction())


def test_a_value_is_read_from_either_version_of_its_store(address: str) -> None:
    assert ring(address).value("vault:secret/data/shop#password") == SAID
    assert ring(address).value("vault:old/shop#password") == f"{SAID}-1"


@pytest.mark.bad("B78")
@pytest.mark.parametrize(
    ("reference", "token", "why"),
    [
        ("vault:secret/data/gone#password", TOKEN, "nothing is at that path"),
        ("vault:secret/data/shop#user", TOKEN, "there is no key user at that path"),
        ("vault:secret/data/shop#port", TOKEN, "the key port holds no text"),
        ("vault:secret/data/shop#empty", TOKEN, "it is empty"),
        ("vault:secret/data/shop#password", "wrong", "the server says no: Forbidden"),
        ("vault:secret/data/shop#password", "", "VAULT_TOKEN must be set in the environment"),
    ],
)
def test_what_has_no_value_is_said_without_any(address: str, reference: str, token: str, why: str) -> None:
    with pytest.raises(SecretFault) as caught:
        ring(address, token).value(reference)
    assert str(caught.value) == f"E_SECRET: secret('{reference}'): {why}"


def test_a_server_that_is_not_there_is_named_so() -> None:
    with pytest.raises(SecretFault, match="the server cannot be asked: ConnectionError"):
        ring(f"http://127.0.0.1:{free_port()}").value("vault:a/b#c")


def test_the_token_is_not_sent_on_to_where_a_server_redirects() -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(SecretFault):
            ring(f"http://127.0.0.1:{server.server_port}").value("vault:a/b#c")
        server.shutdown()
    assert asked == ["/v1/a/b"]
