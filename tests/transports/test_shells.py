"""A payload sent right behind the script, to every shell that a host may have."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from rollout.model.host import Connection
from rollout.posix.frame import CONSTANT
from rollout.transports.fabric import FabricTransport
from rollout.transports.local import LocalTransport
from tests.sshd import Sshd
from tests.transports.conftest import WEB1, framed

SHELLS = ("/bin/dash", "/bin/bash", "/bin/busybox sh")
PAYLOAD = bytes(range(256)) * 64  # more than the 8 KiB that some shells read ahead
SCRIPT = "a='it'\\''s \\ $x \"q\"\n'\nprintf '%s' \"$a\"\ncat\n# " + "x" * 20_000 + "\n"
PRINTED = b'it\'s \\ $x "q"\n' + PAYLOAD


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_of_the_host_leaves_the_payload_alone(shell: str) -> None:
    transport = LocalTransport(command=CONSTANT.replace("/bin/sh", shell))
    session = transport.open(WEB1, Connection(address="127.0.0.1", transport="local"))
    for _ in range(5):
        assert session.run(framed(SCRIPT), io.BytesIO(PAYLOAD), deadline_s=20).stdout == PRINTED


@pytest.mark.fault("F45", "F46")
@pytest.mark.bad("B88")
@pytest.mark.parametrize("login", [*SHELLS, "/bin/tcsh", "/usr/bin/fish"])
def test_any_login_shell_runs_the_constant_command(login: str, servers: object, tmp_path: Path) -> None:
    forced = tmp_path / "login"
    forced.write_text(f'#!/bin/sh\necho said by an rc file\nexec {login} -c "$SSH_ORIGINAL_COMMAND"\n')
    forced.chmod(0o755)
    server: Sshd = servers(f"ForceCommand {forced}")  # type: ignore[operator]
    for inner in SHELLS:
        session = FabricTransport(command=CONSTANT.replace("/bin/sh", inner)).open(WEB1, server.connection())
        for _ in range(3):
            raw = session.run(framed(SCRIPT), io.BytesIO(PAYLOAD), deadline_s=20)
            assert raw.stdout == b"said by an rc file\n" + PRINTED
        session.close()


@pytest.mark.fault("F46")
@pytest.mark.parametrize(("login", "says"), [("/usr/sbin/nologin", "not available"), ("/bin/rbash", "restricted")])
def test_a_login_shell_that_runs_nothing_is_told_by_what_it_says(login: str, says: str, servers: object) -> None:
    server: Sshd = servers(f'ForceCommand exec {login} -c "$SSH_ORIGINAL_COMMAND"')  # type: ignore[operator]
    session = FabricTransport().open(WEB1, server.connection())
    raw = session.run(framed(SCRIPT), io.BytesIO(PAYLOAD), deadline_s=20)
    session.close()
    assert raw.exit_status not in (0, None)
    assert says in (raw.stdout + raw.stderr).decode()
