"""A stats socket that misbehaves: what it does with each line is a function of the test's."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Behaviour = Callable[[str, socket.socket], None]


class Stub:
    """Listens on a unix socket and serves one connection after the other in a thread."""

    def __init__(self, path: Path, behaviour: Behaviour) -> None:
        self.path, self.behaviour = str(path), behaviour
        self.lines: list[str] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(20)
                    line = connection.makefile("r").readline().rstrip("\n")
                    self.lines.append(line)
                    self.behaviour(line, connection)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(20)
        assert not self.thread.is_alive()


@contextmanager
def stub(behaviour: Behaviour) -> Iterator[Stub]:
    """Run a stub for as long as the test needs it."""
    folder = Path(tempfile.mkdtemp(prefix="stub-"))
    server = Stub(folder / "s", behaviour)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)


def saying(replies: Mapping[str, str | bytes]) -> Behaviour:
    """Answer each `;`-separated command by its longest known beginning, otherwise as success."""

    def behave(line: str, connection: socket.socket) -> None:
        for command in line.split(";"):
            reply = replies.get(max((k for k in replies if command.startswith(k)), key=len, default=""), "\n")
            connection.sendall(reply if isinstance(reply, bytes) else reply.encode())

    return behave


INFO = "Name: HAProxy\nVersion: 2.6.12\nPid: 77\nStopping: 0\nStart_time_sec: 1700000000\n\n"
STATE = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_check_state srv_port
3 shop 1 a 127.0.0.1 2 0 1 1 6 8081
3 shop 2 b 127.0.0.1 2 0 1 1 6 8082

"""
STAT = """\
# pxname,svname,qcur,scur,used_conn_cur,bck,tracked,last_chk,
shop,a,0,0,0,0,,,
shop,b,1,2,3,0,,,

"""
GOOD: Mapping[str, str | bytes] = {
    "show info": INFO,
    "show cli level": "admin\n\n",
    "show servers state": STATE,
    "show stat": STAT,
}
