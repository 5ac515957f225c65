"""What speaks to a balancer's socket from its host: every tool, in every shell, and what is said when none will."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout.model.release import Site
from rollout.posix import frame
from rollout.posix.converse import TOOLS
from rollout.posix.layout import HOME
from rollout.posix.op import AskBalancer, Close, Epoch, Op, Reply, TellBalancer
from rollout.testing.host import SimulatedHost

NONCE = "0123456789abcdef0123456789abcdef"
SHELLS = (["dash"], ["bash", "--posix"], ["busybox", "sh"])
HOSTILE = "# a,b\n\nx|y\n%s \\n\n# \n\x1b[31m\n\n"

# Stand-ins for tools that this machine has not, with the one use that is made of them: all else is an error.
STAND_IN = """\
import socket, sys
a = sys.argv[1:]
if a == ["-h"]:
    sys.exit("Command Summary: -U Use UNIX domain socket")
if "{tool}" == "socat":
    assert a[0] == "-t" and a[2] == "-T" and a[4] == "-", a
    kind, _, to = a[5].partition(":")
else:
    assert a[0] == "-w", a
    kind, to = ("UNIX-CONNECT", a[3]) if a[2] == "-U" else ("TCP", ":".join(a[2:]))
s = socket.socket(socket.AF_UNIX if kind == "UNIX-CONNECT" else socket.AF_INET)
s.settimeout(float(a[1]))
try:
    s.connect(to if kind == "UNIX-CONNECT" else (to.split(":")[0], int(to.split(":")[1])))
    s.sendall(sys.stdin.buffer.read())
    while d := s.recv(65536):
        sys.stdout.buffer.write(d)
except OSError as e:
    sys.exit(str(e))
"""


@dataclass
class Listener:
    """A unix socket and a TCP port that answer each line they know, and hang up; others they leave waiting."""

    path: Path
    answers: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    def __enter__(self) -> Listener:
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(self.path))
        self.inet = socket.create_server(("127.0.0.1", 0))
        self.tcp = f"127.0.0.1:{self.inet.getsockname()[1]}"
        for sock in (self.unix, self.inet):
            sock.listen()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.unix.close()
        self.inet.close()

    def _serve(self, listening: socket.socket) -> None:
        held = []
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            line = sock.makefile("r").readline().rstrip("\n")
            self.heard.append(line)
            if line in self.answers:
                sock.sendall(self.answers[line].encode())
                sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            else:
                held.append(sock)


@pytest.fixture
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    with Listener(tmp_path_factory.mktemp("s") / "s", {"one": HOSTILE, "two": "\n", "long": "x" * 500_000}) as made:
        yield made


def _op(
    deed: AskBalancer | TellBalancer | Close,
    number: int = 1,
    rollout: str = "r1",
    sequence: int = 1,
    become: str = "",
) -> Op:
    return Op(
        id=f"{rollout}.{sequence}",
        epoch=Epoch(number=number, rollout=rollout, sequence=sequence, closing=isinstance(deed, Close)),
        site=Site(root=HOME, app="shop", environment="default"),
        do=deed,
        become=become,
        timeout_s=10,
    )


@dataclass
class Place:
    """A host with chosen tools only."""

    folder: Path
    shell: list[str]

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def furnish(self, *tools: str) -> None:
        """Lay out the ordinary commands, and these tools."""
        self.bin.mkdir()
        for name in (
            "head",
            "sed",
            "grep",
            "id",
            "mkdir",
            "mv",
            "rm",
            "ls",
            "sync",
            "sleep",
            "flock",
            "tr",
            "cat",
            "dd",
        ):
            if found := shutil.which(name):
                (self.bin / name).symlink_to(found)
        path = os.environ["PATH"]
        for tool in tools:
            real = shutil.which(tool)
            # Not in the first line of a file: a kernel reads so much of that, and then runs the file itself, for ever.
            runs = real or f"{shlex.quote(sys.executable)} -c {shlex.quote(STAND_IN.format(tool=tool))}"
            (self.bin / tool).write_text(f'#!/bin/sh\nPATH={path} exec {runs} "$@"\n')
            (self.bin / tool).chmod(0o755)

    def say(
        self,
        deed: AskBalancer | TellBalancer,
        number: int = 1,
        rollout: str = "r1",
        sequence: int = 1,
        become: str = "",
    ) -> Reply:
        op = _op(deed, number, rollout, sequence, become)
        script = frame.render(op, NONCE).split(b"\n", 1)[1]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        env = {"PATH": str(self.bin), "HOME": str(home)}
        shell = [shutil.which(self.shell[0]) or "", *self.shell[1:], "-c", f"s=\n{script.decode()}"]
        done = subprocess.run(shell, env=env, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        reply = frame.parse(NONCE, done.stdout)
        assert reply is not None, done
        return reply


@pytest.fixture(params=SHELLS, ids=lambda s: s[0])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, request.param)


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_brings_back_every_line_as_it_was_said(place: Place, tool: str, listener: Listener) -> None:
    place.furnish(tool)
    for where in ({"socket": str(listener.path)}, {"tcp": listener.tcp}):
        reply = place.say(AskBalancer(lines=("one", "two"), patience_s=3, **where))
        assert (reply.status, reply.fields) == ("done", {"tool": tool})
        assert reply.tail == ("#", *(f"|{line}" for line in HOSTILE.split("\n")[:-1]), "#", "|")
    assert listener.heard == ["one", "two"] * 2
    assert not (place.folder / "home" / ".rollout").exists(), "a question leaves nothing behind"


def test_the_tool_that_spoke_last_is_tried_first(place: Place, listener: Listener) -> None:
    place.furnish("perl", "python3")
    said = [
        place.say(AskBalancer(lines=("two",), socket=str(listener.path), tool=t)).fields["tool"]
        for t in ("python3", "", "nc")
    ]
    assert said == ["python3", "perl", "perl"]


def test_a_host_without_any_of_them_names_what_to_install(place: Place, listener: Listener) -> None:
    place.furnish()
    reply = place.say(AskBalancer(lines=("one",), socket=str(listener.path)))
    assert (reply.status, reply.code) == ("refused", "E_LB_TOOL")
    assert "apt-get install socat" in reply.summary
    assert not listener.heard


@pytest.mark.parametrize("tool", TOOLS)
def test_who_does_not_answer_is_given_up_and_not_asked_the_next(place: Place, tool: str, listener: Listener) -> None:
    place.furnish(tool)
    reply = place.say(AskBalancer(lines=("mute", "one"), socket=str(listener.path), patience_s=1))
    assert reply.status == "done"
    assert not any(line.startswith("|") for line in reply.tail)
    assert listener.heard == ["mute"]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_socket_that_is_not_there_is_complained_of(place: Place, tool: str) -> None:
    place.furnish(tool)
    reply = place.say(AskBalancer(lines=("one",), socket=str(place.folder / "none"), patience_s=1))
    assert any("No such file" in line for line in reply.tail)


def test_an_answer_without_an_end_is_cut(place: Place, listener: Listener) -> None:
    place.furnish("perl")
    reply = place.say(AskBalancer(lines=("long",), socket=str(listener.path)))
    assert sum(len(line) for line in reply.tail) < 500_000


def test_writes_are_fenced_and_questions_are_not(place: Place, listener: Listener) -> None:
    place.furnish("perl")
    tell = TellBalancer(lines=("two",), socket=str(listener.path))
    assert place.say(tell, 2, "r2", 5).status == "done"
    assert place.say(tell, 1, "r1", 9).code == "E_FENCED", "an older rollout"
    assert place.say(tell, 2, "r9", 9).code == "E_FENCED", "another rollout of the same number"
    assert place.say(tell, 2, "r2", 4).code == "E_STALE", "a late delivery"
    assert listener.heard == ["two"], "what is refused is not said"
    assert place.say(AskBalancer(lines=("two",), socket=str(listener.path)), 0, "r0", 0).status == "done"
    assert place.say(tell, 3, "r3", 1).code == "E_FENCED", "another one, while the first is not over"
    assert place.say(Close(), 2, "r2", 6).status == "done"
    assert place.say(tell, 3, "r3", 1).status == "done"
    kept = place.folder / "home" / ".rollout" / "default" / "shop"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert (kept / ".rollout" / "epoch").read_text() == "3 r3 1 open\n"


@pytest.fixture(params=[*SHELLS, "simulated"], ids=lambda s: s if isinstance(s, str) else s[0])
def either(request: pytest.FixtureRequest, tmp_path: Path, listener: Listener) -> Callable[..., Reply]:
    """A real host and the simulated one: what is said to them is answered alike."""
    if isinstance(request.param, list):
        real = Place(tmp_path, request.param)
        real.furnish("socat")
        return real.say
    answer = {**listener.answers}
    host = SimulatedHost(sockets={str(listener.path): lambda line: answer.get(line, "")})
    return lambda deed, number=1, rollout="r1", sequence=1: host.execute(_op(deed, number, rollout, sequence))


def test_the_simulated_host_answers_as_real_ones_do(either: Callable[..., Reply], listener: Listener) -> None:
    here = {"socket": str(listener.path), "patience_s": 1.0}
    said = either(AskBalancer(lines=("one", "two"), **here), 0, "r0", 0)
    assert (said.status, said.fields["tool"]) == ("done", "socat")
    assert said.tail == ("#", *(f"|{line}" for line in HOSTILE.split("\n")[:-1]), "#", "|")
    tell = TellBalancer(lines=("two",), **here)
    tried = [(2, "r2", 5), (1, "r1", 9), (2, "r9", 9), (2, "r2", 4), (2, "r2", 6), (3, "r3", 1)]
    replies = [either(tell, *epoch) for epoch in tried]
    assert [r.code for r in replies] == ["", "E_FENCED", "E_FENCED", "E_STALE", "", "E_FENCED"]
    assert [r.fields.get("epoch", "") for r in replies][1:4] == ["2 r2 open"] * 3
    assert either(Close(), 2, "r2", 7).status == "done"
    assert either(tell, 3, "r3", 1).status == "done"
    mute = either(AskBalancer(lines=("mute", "one"), **here))
    assert [line for line in mute.tail if line[:1] in "#|"] == ["#"]
    nowhere = either(AskBalancer(lines=("one",), socket="/run/none-of-that-name.sock", patience_s=1.0))
    assert any("No such file" in line for line in nowhere.tail)
