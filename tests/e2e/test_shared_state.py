"""State that several machines reach: one begins, is killed, and another goes on."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from rollout.testing.store_contract import LONG_AGO
from tests.e2e.lab import Lab
from tests.posix.shells import shell
from tests.sshd import Sshd
from tests.store.benches import FilesBench, PostgresBench, Server

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
SLOW = "min_in_service: 3\n  hooks: { after_service: { shell: 'sleep 1' } }"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    made = Server.up()
    yield made
    made.down()


def test_in_postgresql(lab: Lab, server: Server, tmp_path: Path) -> None:
    bench = PostgresBench.fresh(server, f"t{uuid.uuid4().hex[:12]}")
    goes_on_elsewhere(lab, bench, tmp_path)
    with server.connect(bench.name) as raw:
        secret = raw.execute("SELECT count(*) FROM records WHERE body LIKE '%hunter2%'").fetchone()
    assert secret == (0,), "the password of --state stands in the journal"


@pytest.mark.long
@pytest.mark.fault("F20")
def test_a_server_that_is_away_for_a_while_leaves_nobody_half_way(lab: Lab, tmp_path: Path) -> None:
    """No step is begun that is not on record; who is half-way goes back when it can be written that he does."""
    server = Server.up()
    try:
        bench = PostgresBench.fresh(server, "shop")
        state = ("--state", bench.url)
        lab.playbook(extra=SLOW)
        for version in ("v1", "v2"):
            lab.release(version)
        assert lab.type(*lab.words_of("apply", "v1", *state, "-y")).returncode == 0
        process = lab.begin("v2", *state, "-y", "--output", "plain", extra=SLOW)
        lab.wait(lambda: lab.current(lab.hosts[1]) == "v2", "the second host is on it")
        server.kill()
        time.sleep(4)
        on = {h: lab.current(h) for h in lab.hosts}
        assert "v1" in on.values(), "nobody else left"
        server.start()
        said, _ = process.communicate(timeout=90)
        assert process.returncode == 8, said
        assert "E_JOURNAL_OPEN" in said
        assert "knows how it ended" in said
        assert all(there for _, _, there in lab.truth().values()), "nobody is left out"
        (last,) = [r for r in json.loads(lab.type("history", *state, "--json").stdout) if r["release"] == "v2"]
        assert last["end"] == "halted"
        audited = lab.type("audit", "verify", last["id"], *state)
        assert audited.returncode == 0, audited.stderr
        assert lab.type(*lab.words_of("apply", "v2", *state, "-y")).returncode == 0
        assert lab.all_on("v2")
    finally:
        server.down()


@dataclass(slots=True, kw_only=True)
class OverSsh(FilesBench):
    """The same files, reached through a real sshd."""

    sshd: Sshd

    @property
    def url(self) -> str:
        sshd = self.sshd
        asked = f"identity={sshd.client_key}&known_hosts={sshd.known_hosts}"
        return f"ssh://127.0.0.1:{sshd.port}{self.root}?{asked}"


def test_in_files_on_a_host(lab: Lab, tmp_path: Path) -> None:
    """No server is needed but the sshd that is there anyway."""
    sshd = Sshd(tmp_path / "sshd")
    try:
        bench = OverSsh(tmp_path, shell("dash", tmp_path), sshd=sshd)
        goes_on_elsewhere(lab, bench, tmp_path)
        assert {p.name for p in bench.root.iterdir()} == {".rollout", "journal.jsonl", "leases.jsonl"}
        nobody = lab.type("history", "--state", bench.url.replace("/kept?", "/nothing?"))
        assert (nobody.returncode, "E_NO_STATE" in nobody.stderr) == (8, True), nobody.stderr
    finally:
        sshd.stop()
    away = lab.type("history", "--state", bench.url)
    assert (away.returncode, "E_JOURNAL_OPEN" in away.stderr) == (8, True), away.stderr


class Shared(Protocol):
    """A state that is reached by its URL."""

    @property
    def url(self) -> str: ...

    def elsewhere(self, heartbeat: str) -> None: ...


def goes_on_elsewhere(lab: Lab, bench: Shared, folder: Path) -> None:
    """Roll out, kill a controller, and resume with nothing of the first machine but the state, and the artifact."""
    state = ("--state", bench.url)
    for version in ("v1", "v2"):
        lab.release(version)
    lab.playbook(extra=SLOW)
    first = lab.type(*lab.words_of("apply", "v1", *state, "-y"))
    assert first.returncode == 0, first.stdout + first.stderr
    process = lab.begin("v2", *state, "-y", extra=SLOW)
    lab.wait(lambda: lab.current(lab.hosts[0]) == "v2", "the first host is on it")
    process.kill()
    said, _ = process.communicate(timeout=20)
    assert "hunter2" not in said
    held = lab.type(*lab.words_of("apply", "v2", *state))
    assert (held.returncode, "E_HELD" in held.stderr) == (7, True), held.stderr
    bench.elsewhere(LONG_AGO)
    another = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "s"), "XDG_CACHE_HOME": str(folder / "c")}
    unfinished = lab.type("status", *state, env=another)
    assert "is unfinished" in unfinished.stdout
    rollout = unfinished.stdout.split("Rollout ")[1].split()[0]
    done = lab.type("resume", rollout, *state, "--output", "plain", env=another)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.all_on("v2")
    audited = lab.type("audit", "verify", rollout, *state, env=another)
    assert (audited.returncode, "chain and order hold" in audited.stdout) == (0, True), audited.stderr
