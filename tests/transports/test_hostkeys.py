"""Host keys: what the OpenSSH client does with the same files is the reference."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rollout.errors import HostKeyRefused
from rollout.transports import hostkeys
from rollout.transports.fabric import FabricTransport
from rollout.transports.hostkeyfiles import KnownHosts
from tests.sshd import Sshd, keygen
from tests.transports.conftest import WEB1


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return type and blob of a key that no server has."""
    key = keygen(tmp_path_factory.mktemp("other") / "key")
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def hashed(name: str) -> str:
    salt = b"01234567890123456789"
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(hmac.digest(salt, name.encode(), 'sha1')).decode()}"


# {name}: [127.0.0.1]:PORT  {key}: its key  {other}: another key  {rsa}: a key of another type
FILES = {
    "its own line": ("{name} {key}\n", True),
    "two spaces, a tab and a comment": ("  {name}  \t{key}   root@somewhere else\n", True),
    "no newline at the end": ("{name} {key}", True),
    "hashed": ("{hashed} {key}\n", True),
    "hashed, another host": ("{hashed_other} {key}\n", False),
    "several names": ("web1,{name},10.0.0.1 {key}\n", True),
    "wildcard": ("[127.0.0.*]:* {key}\n", True),
    "question marks": ("[127.?.0.1]:{port} {key}\n", True),
    "negated": ("[127.*]:*,!{name} {key}\n", False),
    "negated first": ("!{name},[127.*]:* {key}\n", False),
    "negated another": ("!web2,{name} {key}\n", True),
    "without a port": ("127.0.0.1 {key}\n", True),
    "without a port, another key": ("127.0.0.1 {other}\n", False),
    "another port": ("[127.0.0.1]:1 {key}\n", False),
    "another key": ("{name} {other}\n", False),
    "another key, then its own": ("{name} {other}\n{name} {key}\n", True),
    "its own, then another": ("{name} {key}\n{name} {other}\n", True),
    "a key of another type besides": ("{name} {rsa}\n{name} {key}\n", True),
    "only a key of another type": ("{name} {rsa}\n", False),
    "a comment line": ("# {name} {key}\n", False),
    "a broken line before": ("{name} ssh-ed25519 !!!\n@nonsense {name} {key}\n{name}\n\n{name} {key}\n", True),
    "a type that the key is not of": ("{name} ssh-rsa {blob}\n", False),
    "revoked": ("@revoked * {key}\n{name} {key}\n", False),
    "another revoked": ("@revoked * {other}\n{name} {key}\n", True),
    "an authority of others": ("@cert-authority *.example.org {other}\n{name} {key}\n", True),
    "an authority and its key": ("@cert-authority [127.*]:* {other}\n{name} {key}\n", True),
    "only an authority": ("@cert-authority [127.*]:* {key}\n", False),
    "bytes of no language": ("\udcff\udcfe {key}\n{name} {key}\n", True),
    "nothing": ("", False),
}


def written(server: Sshd, template: str, other: str, rsa: str, file: Path) -> None:
    name = f"[127.0.0.1]:{server.port}"
    key = " ".join(server.host_key.with_suffix(".pub").read_text().split()[:2])
    text = template.format(
        name=name,
        port=server.port,
        key=key,
        blob=key.split()[1],
        other=other,
        rsa=rsa,
        hashed=hashed(name),
        hashed_other=hashed("[127.0.0.1]:1"),
    )
    file.write_bytes(text.encode("utf-8", "surrogateescape"))


def openssh_accepts(server: Sshd, file: Path) -> bool:
    options = {
        "UserKnownHostsFile": file,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentityFile": server.client_key,
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
    }
    said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    ran = subprocess.run(["ssh", "-F", "none", *said, "-p", str(server.port), "127.0.0.1", "true"], capture_output=True)
    return ran.returncode == 0


def we_accept(server: Sshd, file: Path) -> bool:
    try:
        FabricTransport().open(WEB1, server.connection(known_hosts=(str(file),))).close()
    except HostKeyRefused:
        return False
    return True


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> str:
    key = keygen(tmp_path_factory.mktemp("rsa") / "key", "rsa", "-b", "2048")
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


@pytest.mark.parametrize("case", FILES)
@pytest.mark.fault("F39")
def test_a_file_means_what_openssh_takes_it_for(case: str, sshd: Sshd, other: str, rsa: str, tmp_path: Path) -> None:
    template, accepted = FILES[case]
    file = tmp_path / "known_hosts"
    written(sshd, template, other, rsa, file)
    assert openssh_accepts(sshd, file) == accepted, "the reference itself"
    assert we_accept(sshd, file) == accepted


def refusal(server: Sshd, text: str, tmp_path: Path, **changes: object) -> str:
    file = tmp_path / "refusing"
    file.write_text(text)
    with pytest.raises(HostKeyRefused) as refused:
        FabricTransport().open(WEB1, server.connection(known_hosts=(str(file),), **changes))
    return str(refused.value)


def fingerprint(blob: str) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode().rstrip("=")


@pytest.mark.fault("F38")
def test_a_swapped_key_is_refused_with_both_fingerprints_and_the_line(
    servers: Callable[..., Sshd], tmp_path: Path
) -> None:
    server = servers()
    before = server.line()
    server.stop()
    for file in server.folder.glob("host_*"):
        file.unlink()
    keygen(server.host_key)
    server.start()
    for mode in ("strict", "accept-new"):
        said = refusal(server, f"# a comment\n{before}", tmp_path, host_keys=mode)
        assert fingerprint(before.split()[2]) in said
        assert fingerprint(server.line().split()[2]) in said
        assert f"{tmp_path}/refusing:2" in said
        assert said.startswith("web1 (")
    assert (tmp_path / "refusing").read_text() == f"# a comment\n{before}"


@pytest.mark.fault("F39")
def test_an_unknown_key_is_refused_with_the_line_to_add(sshd: Sshd, tmp_path: Path) -> None:
    said = refusal(sshd, "", tmp_path)
    assert fingerprint(sshd.line().split()[2]) in said
    assert sshd.line().strip() in said


@pytest.mark.fault("F39")
def test_an_authority_is_named_and_never_replaced_by_trust_on_first_use(sshd: Sshd, other: str, tmp_path: Path) -> None:
    said = refusal(sshd, f"@cert-authority * {other}\n", tmp_path, host_keys="accept-new")
    assert f"@cert-authority at {tmp_path}/refusing:1" in said
    assert "openssh" in said


@pytest.mark.fault("F39")
def test_a_revoked_key_is_named(sshd: Sshd, tmp_path: Path) -> None:
    key = " ".join(sshd.line().split()[1:])
    said = refusal(sshd, f"{sshd.line()}@revoked * {key}\n", tmp_path, host_keys="accept-new")
    assert f"@revoked at {tmp_path}/refusing:2" in said


@pytest.mark.fault("F39")
def test_another_type_than_the_recorded_is_refused_even_on_accept_new(sshd: Sshd, rsa: str, tmp_path: Path) -> None:
    assert "not the recorded one" in refusal(sshd, f"[127.0.0.1]:{sshd.port} {rsa}\n", tmp_path, host_keys="accept-new")


@pytest.mark.bad("B26", "B82")
def test_a_file_that_cannot_be_read_refuses(sshd: Sshd, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for file in (str(tmp_path), str(tmp_path / "fifo"), "/dev/null"):
        with pytest.raises(HostKeyRefused, match="is not a regular file"):
            FabricTransport().open(WEB1, sshd.connection(known_hosts=(file, str(sshd.known_hosts))))


@pytest.mark.bad("B27")
def test_a_file_that_anybody_may_write_to_says_nothing(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "open").write_text(sshd.line())
    (tmp_path / "open").chmod(0o666)
    with pytest.raises(HostKeyRefused, match="may be written to by anybody"):
        FabricTransport().open(WEB1, sshd.connection(known_hosts=(str(tmp_path / "open"),)))


def test_accept_new_records_one_line_and_is_strict_afterwards(sshd: Sshd, tmp_path: Path) -> None:
    file = tmp_path / "new" / "known_hosts"
    transport = FabricTransport()
    connection = sshd.connection(known_hosts=(str(file),), host_keys="accept-new")
    with ThreadPoolExecutor(6) as pool:
        for session in pool.map(lambda _: transport.open(WEB1, connection), range(6)):
            session.close()
    assert file.read_text() == sshd.line()
    assert file.stat().st_mode & 0o777 == 0o600
    assert openssh_accepts(sshd, file)
    assert we_accept(sshd, file)


def test_of_two_new_keys_at_once_only_one_is_accepted(tmp_path: Path, other: str) -> None:
    file = tmp_path / "known_hosts"
    shown = hostkeys.Key(type="ssh-ed25519", blob=b"\0\0\0\x0bssh-ed25519" + bytes(36))
    with ThreadPoolExecutor(1) as pool, file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as another process does that records another key
        answer = pool.submit(KnownHosts().judge, shown, (str(file),), "web1", 22, accept_new=True)
        time.sleep(0.3)
        assert not answer.done()
        held.write(f"web1 {other}\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_UN)
        with pytest.raises(HostKeyRefused, match="not the recorded one"):
            answer.result(10)
    assert file.read_text() == f"web1 {other}\n"


def test_a_new_line_never_joins_a_torn_one(sshd: Sshd, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("[web9]:22 ssh-ed25519 torn")
    connection = sshd.connection(known_hosts=(str(file),), host_keys="accept-new")
    FabricTransport().open(WEB1, connection).close()
    assert file.read_text() == "[web9]:22 ssh-ed25519 torn\n" + sshd.line()


def test_a_file_that_changes_is_read_again(sshd: Sshd, other: str, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(sshd.line())
    transport = FabricTransport()
    connection = sshd.connection(known_hosts=(str(file),))
    transport.open(WEB1, connection).close()
    file.write_text(f"[127.0.0.1]:{sshd.port} {other}\n")
    with pytest.raises(HostKeyRefused):
        transport.open(WEB1, connection)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_the_recorded_type_is_asked_for(kind: str, servers: Callable[..., Sshd], tmp_path: Path) -> None:
    keys = {k: keygen(tmp_path / k, k) for k in ("rsa", "ecdsa", "ed25519")}
    server = servers(*(f"HostKey {path}" for path in keys.values()))
    file = tmp_path / "known_hosts"
    file.write_text(server.line(keys[kind]))
    assert we_accept(server, file)


def test_a_wild_pattern_cannot_take_long() -> None:
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519" + os.urandom(36)).decode()
    (entry,) = hostkeys.parse(f"{'*a' * 200}b ssh-ed25519 {blob}\n", "file")
    assert not entry.speaks_of("a" * 300)
