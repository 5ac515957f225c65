"""Who we say we are, and in which algorithms: keys only, never a password, nothing weak."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollout.errors import Unreachable
from rollout.model.host import Connection
from rollout.transports.fabric import FabricTransport
from tests.sshd import Sshd, keygen
from tests.transports.conftest import WEB1, framed
from tests.wire import Way, Wire

Servers = Callable[..., Sshd]


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Run an agent of the test's own; yields what adds a key to it."""
    sock = tmp_path / "agent"
    monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    while subprocess.run(["ssh-add", "-l"], capture_output=True).returncode == 2:  # it does not answer yet
        time.sleep(0.02)
    yield lambda key: subprocess.run(["ssh-add", "-q", str(key)], check=True, stdin=subprocess.DEVNULL) and None
    process.kill()
    process.wait()


@pytest.fixture(autouse=True)
def _no_keys_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def refused(server: Sshd, **changes: object) -> str:
    with pytest.raises(Unreachable) as failed:
        FabricTransport().open(WEB1, server.connection(**changes))
    return str(failed.value)


def gets_in(server: Sshd, **changes: object) -> bool:
    session = FabricTransport().open(WEB1, server.connection(**changes))
    alive = session.alive
    session.close()
    return alive


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_of_every_kind_open(kind: str, sshd: Sshd, tmp_path: Path) -> None:
    key = keygen(tmp_path / "key", kind)
    kept = sshd.authorized.read_text()
    sshd.authorized.write_bytes(key.with_suffix(".pub").read_bytes())
    try:
        assert gets_in(sshd, key_files=(str(key),))
    finally:
        sshd.authorized.write_text(kept)


def test_the_usual_files_are_tried_only_when_none_is_named(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(sshd.client_key.read_bytes())
    (tmp_path / ".ssh" / "id_ed25519").chmod(0o600)
    assert gets_in(sshd, key_files=())
    wrong = keygen(tmp_path / "wrong")
    assert "~/.ssh" not in refused(sshd, key_files=(str(wrong),))


@pytest.mark.fault("F40")
def test_a_wrong_key_is_named(sshd: Sshd, tmp_path: Path) -> None:
    wrong = keygen(tmp_path / "wrong")
    said = refused(sshd, key_files=(str(wrong), "/nowhere/key"))
    assert f"was not let in with {wrong}" in said
    assert "/nowhere/key is not there" in said


@pytest.mark.fault("F40")
@pytest.mark.bad("B85")
def test_a_passphrase_is_never_asked_for(sshd: Sshd, tmp_path: Path) -> None:
    locked = keygen(tmp_path / "locked", "ed25519", "-N", "a secret passphrase")
    said = refused(sshd, key_files=(str(locked),))
    assert "has a passphrase: ssh-add it" in said


@pytest.mark.fault("F40")
@pytest.mark.bad("B85")
def test_a_file_that_is_no_key_says_so(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a key\n")
    (tmp_path / "text").chmod(0o600)
    assert "cannot be used" in refused(sshd, key_files=(str(tmp_path / "text"),))


@pytest.mark.bad("B27", "B85")
def test_a_key_that_others_can_read_is_not_used_and_a_fifo_not_waited_for(sshd: Sshd, tmp_path: Path) -> None:
    shutil.copy(sshd.client_key, tmp_path / "open")
    (tmp_path / "open").chmod(0o644)
    os.mkfifo(tmp_path / "fifo")
    said = refused(sshd, key_files=(str(tmp_path / "open"), str(tmp_path / "fifo"), str(tmp_path / "gone")))
    assert "open cannot be used: others can read it (chmod 600)" in said
    assert "fifo cannot be used: it is not a regular file" in said
    assert "gone is not there" in said


def test_the_agent_opens_and_is_not_forwarded(sshd: Sshd, agent: Callable[[Path], None]) -> None:
    agent(sshd.client_key)
    session = FabricTransport().open(WEB1, sshd.connection(key_files=()))
    raw = session.run(framed('echo "agent:${SSH_AUTH_SOCK-none}"\n'), None, deadline_s=10)
    assert raw.stdout == b"agent:none\n"
    session.close()


@pytest.mark.fault("F40")
def test_the_agents_copy_of_a_named_file_comes_first(sshd: Sshd, agent: Callable[[Path], None], tmp_path: Path) -> None:
    for number in range(8):  # more than sshd hears out
        agent(keygen(tmp_path / f"other{number}"))
    agent(sshd.client_key)
    assert gets_in(sshd)
    assert "MaxAuthTries); name the right one as key file" in refused(sshd, key_files=())


@pytest.mark.fault("F40")
@pytest.mark.bad("B85")
def test_an_agent_that_does_not_answer_is_bounded(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "mute"))
        assert "within 1 s" in refused(sshd, connect_timeout_s=1.0)


def test_no_password_is_ever_offered(servers: Servers, tmp_path: Path) -> None:
    server = servers("PasswordAuthentication yes", "KbdInteractiveAuthentication yes", "LogLevel DEBUG2")
    refused(server, key_files=(str(keygen(tmp_path / "wrong")),))
    assert set(re.findall(r"userauth-request for user \S+ service \S+ method (\S+)", server.log)) == {"publickey"}


@pytest.mark.fault("F40")
def test_a_host_that_takes_no_keys_says_so(servers: Servers) -> None:
    said = refused(servers("PubkeyAuthentication no", "PasswordAuthentication yes"))
    assert "no public keys" in said


@pytest.mark.fault("F40")
def test_a_host_that_asks_for_more_than_a_key_says_so(servers: Servers) -> None:
    server = servers("AuthenticationMethods publickey,password", "PasswordAuthentication yes")
    assert "also asks for password" in refused(server)


@pytest.mark.parametrize(
    "weak", ["Ciphers aes128-cbc,3des-cbc", "HostKeyAlgorithms ssh-rsa", "KexAlgorithms diffie-hellman-group14-sha1"]
)
def test_nothing_weak_is_agreed_to(weak: str, servers: Servers) -> None:
    server = servers(weak, host_key_type="rsa")
    assert "algorithms are too old" in refused(server)


def test_what_is_offered() -> None:
    """Read the key exchange message that the client sends first, as any server sees it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen: list[bytes] = []
        thread = threading.Thread(target=lambda: seen.append(_first_packet(server)))
        thread.start()
        connection = Connection(address="127.0.0.1", port=server.getsockname()[1], user="u", connect_timeout_s=0.7)
        with pytest.raises(Unreachable):
            FabricTransport().open(WEB1, connection)
        thread.join(10)
    kex, keys, ciphers, _, macs, *_ = _name_lists(seen[0])
    assert ciphers[0] == "aes128-gcm@openssh.com"
    assert "kex-strict-c-v00@openssh.com" in kex
    offered = [*kex, *keys, *ciphers, *macs]
    assert not [a for a in offered if re.search(r"cbc|md5|sha1\b|sha1-|3des|dss|^ssh-rsa|arcfour|group1-", a)]


def _first_packet(server: socket.socket) -> bytes:
    peer, _ = server.accept()
    with peer:
        peer.sendall(b"SSH-2.0-Reader\r\n")
        said = b""
        while len(said) < 3000 and (data := peer.recv(4096)):
            said += data
            _, _, packet = said.partition(b"\r\n")
            if len(packet) > 4 and len(packet) >= 4 + int.from_bytes(packet[:4], "big"):
                return packet
    return said


def _name_lists(packet: bytes) -> list[list[str]]:
    at, found = 4 + 1 + 1 + 16, []
    for _ in range(10):
        size = int.from_bytes(packet[at : at + 4], "big")
        found.append(packet[at + 4 : at + 4 + size].decode().split(","))
        at += 4 + size
    return found


@pytest.mark.bad("B81", "B83", "B84")
def test_the_users_ssh_config_has_no_say(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    touched = tmp_path / "touched"
    (tmp_path / ".ssh" / "config").write_text(
        f'Match exec "touch {touched}"\nHost *\n  ProxyCommand touch {touched}\n  ForwardAgent yes\n  User nobody\n'
    )
    (tmp_path / ".fabric.yaml").write_text("connect_kwargs: {password: x}\nforward_agent: true\n")
    assert gets_in(sshd)
    assert not os.path.exists(touched)


@pytest.mark.fault("F34", "F35")
def test_a_connection_master_of_the_users_is_not_used(sshd: Sshd, tmp_path: Path) -> None:
    """Deaf, as behind a cut network, it holds OpenSSH's client; dead, it leaves its socket. We open our own."""
    wire = Wire(sshd.port)
    sshd.known_hosts.write_text(sshd.line() + sshd.line().replace(str(sshd.port), str(wire.port)))
    mux = tmp_path / "mux"
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(f"Host *\n  ControlMaster auto\n  ControlPath {mux}\n")
    usual = ["-F", "none", "-o", f"UserKnownHostsFile={sshd.known_hosts}", "-i", str(sshd.client_key), "-S", str(mux)]
    usual += ["-p", str(wire.port), "127.0.0.1"]
    with subprocess.Popen(["ssh", "-MN", *usual], stderr=subprocess.DEVNULL) as master:
        while not mux.exists():
            assert master.poll() is None
        wire.links[0].held |= set(Way)
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(["ssh", *usual, "true"], timeout=1, check=False)
        assert gets_in(sshd, port=wire.port)
        master.kill()
    assert mux.exists()
    assert gets_in(sshd, port=wire.port)
    wire.close()
    sshd.trust()
