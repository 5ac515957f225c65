"""States to hold the contract of stores up to: SQLite, and a PostgreSQL server that the tests start themselves."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from rollout.errors import OutcomeUnknown
from rollout.model.release import Site
from rollout.posix import frame
from rollout.posix.op import Epoch, Op, Reply
from rollout.posix.stateop import ReadState, WriteState
from rollout.store.copied import header
from rollout.store.remote import RemoteDatabase
from rollout.store.store import Store, open_store
from tests.ports import free_port
from tests.posix.shells import NONCE, Shell

CHANGED = "UPDATE records SET body = replace(body, 'kind', 'mind') WHERE rollout = '{rollout}' AND seq = {seq}"
CUT = "DELETE FROM records WHERE rollout = '{rollout}' AND seq >= {seq}"
BACK = "UPDATE rollouts SET head = (SELECT hash FROM records WHERE rollout = '{rollout}' AND seq = {seq} - 1)"
ELSEWHERE = "UPDATE leases SET machine = 'elsewhere', heartbeat = '{at}'"


@dataclass(slots=True)
class SqliteBench:
    """A file."""

    folder: Path
    opened: list[Store] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.folder / "state.db")

    def open(self) -> Store:
        self.opened.append(open_store(self.url))
        return self.opened[-1]

    def sql(self, said: str) -> None:
        with contextlib.closing(sqlite3.connect(self.url)) as raw, raw:
            assert raw.execute(said).rowcount != 0

    def doctor(self, rollout: str, seq: int, how: str) -> None:
        self.sql({"changed": CHANGED, "cut": CUT}[how].format(rollout=rollout, seq=seq))

    def go_back(self, rollout: str, seq: int) -> None:
        for said in (CUT, BACK):
            self.sql(said.format(rollout=rollout, seq=seq))

    def elsewhere(self, heartbeat: str) -> None:
        self.sql(ELSEWHERE.format(at=heartbeat))

    def break_off(self) -> None:
        """The disk is full for whoever was first."""
        database: Any = self.opened[0].database
        with database.reading() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1")
            connection.exec_driver_sql(
                "CREATE TEMP TRIGGER broken BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'the disk refused'); END"
            )


@dataclass(slots=True)
class FilesBench:
    """A folder as a host keeps it, written to by a real shell."""

    folder: Path
    shell: Shell
    opened: int = 0
    told: int = 0
    broken: int = 0  # the one that cannot be reached any more

    @property
    def root(self) -> Path:
        return self.folder / "kept"

    def open(self) -> Store:
        self.opened += 1
        return Store(RemoteDatabase("ssh://lab/kept", partial(self._tell, self.opened), fresh_s=0.0))

    def _tell(self, who: int, deed: ReadState | WriteState, payload: bytes) -> Reply:
        self.told += 1
        if who == self.broken:
            raise OutcomeUnknown("the line is cut")
        site = Site(root=str(self.root), app="state", environment="rollout")
        op = Op(id="state", epoch=Epoch(number=0, rollout="-", sequence=0), site=site, do=deed, timeout_s=20)
        reply = frame.parse(NONCE, self.shell.send(frame.render(op, NONCE, len(payload)) + payload))
        assert reply is not None
        return reply

    def doctor(self, rollout: str, seq: int, how: str) -> None:
        """Change or cut lines, each of which is a transaction."""
        path = self.root / "journal.jsonl"
        kept = []
        for line in path.read_bytes().splitlines(keepends=True):
            rows = json.loads(line).get("records", [])
            mine = [n for n, row in enumerate(rows) if row["rollout"] == rollout and row["seq"] >= seq]
            if mine and how == "cut":
                break
            if any(rows[n]["seq"] == seq for n in mine):
                rows[mine[0]]["body"] = rows[mine[0]]["body"].replace("kind", "mind")
                line = json.dumps({"records": rows}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
            kept.append(line)
        path.write_bytes(b"".join(kept))

    def go_back(self, rollout: str, seq: int) -> None:
        self.doctor(rollout, seq, "cut")
        left, path = (self.root / "journal.jsonl").read_bytes(), self.root / "leases.jsonl"
        path.write_bytes(header(len(left), hashlib.sha256(left).hexdigest()) + path.read_bytes().partition(b"\n")[2])

    def elsewhere(self, heartbeat: str) -> None:
        path = self.root / "leases.jsonl"
        first, *held = map(json.loads, path.read_text().splitlines())
        held = [{**lease, "machine": "elsewhere", "heartbeat": heartbeat} for lease in held]
        path.write_text("".join(json.dumps(line) + "\n" for line in (first, *held)))

    def break_off(self) -> None:
        self.broken = 1


@dataclass(slots=True, kw_only=True)
class Server:
    """A PostgreSQL server of our own, as an ordinary user, on loopback."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def up(cls) -> Server:
        server = cls(folder=Path(tempfile.mkdtemp(prefix="rollout-pg-", dir="/tmp")), port=free_port())
        if os.getuid() == 0:
            shutil.chown(server.folder, "postgres", "postgres")
        server.run("initdb", "-D", str(server.data), "-A", "trust", "-U", "rollout", "-E", "UTF8", "--locale=C.UTF-8")
        server.start()
        return server

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def command(self, name: str, *words: str) -> list[str]:
        newest = sorted(Path("/usr/lib/postgresql").iterdir(), key=lambda p: int(p.name))[-1]
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []
        return [*as_user, str(newest / "bin" / name), *words]

    def run(self, name: str, *words: str) -> None:
        done = subprocess.run(self.command(name, *words), cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        words = ("-D", str(self.data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c")
        log = (self.folder.with_suffix(".log")).open("ab")
        command = self.command("postgres", *words, f"unix_socket_directories={self.folder}")
        self.process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            with contextlib.suppress(psycopg.OperationalError), self.connect("postgres"):
                return
            time.sleep(0.05)
        raise AssertionError(self.folder.with_suffix(".log").read_text())

    def kill(self) -> None:
        """As a power cut would: the postmaster and all its children."""
        assert self.process is not None
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        assert pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name != "root"
        os.kill(pid, signal.SIGQUIT)
        self.process.wait(30)

    def down(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".log").unlink(missing_ok=True)

    def connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="rollout", dbname=database, autocommit=True, connect_timeout=3
        )


@dataclass(slots=True)
class PostgresBench:
    """A database of a server."""

    server: Server
    name: str

    @classmethod
    def fresh(cls, server: Server, name: str) -> PostgresBench:
        with server.connect("postgres") as admin:
            admin.execute(f"CREATE DATABASE {name}")
        return cls(server, name)

    @property
    def url(self) -> str:
        return f"postgresql://rollout:hunter2@127.0.0.1:{self.server.port}/{self.name}"

    def open(self) -> Store:
        return open_store(self.url)

    def sql(self, said: str) -> None:
        with self.server.connect(self.name) as raw:
            assert raw.execute(said).rowcount != 0

    def doctor(self, rollout: str, seq: int, how: str) -> None:
        self.sql({"changed": CHANGED, "cut": CUT}[how].format(rollout=rollout, seq=seq))

    def go_back(self, rollout: str, seq: int) -> None:
        for said in (CUT, BACK):
            self.sql(said.format(rollout=rollout, seq=seq))

    def elsewhere(self, heartbeat: str) -> None:
        self.sql(ELSEWHERE.format(at=heartbeat))

    def break_off(self) -> None:
        """The server loses every connection, as in a failover."""
        with self.server.connect("postgres") as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self.name])
