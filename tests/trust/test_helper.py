"""What the helper runs of what it gets, in each of the shells: the same script that sshd starts, without the sshd."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.model.release import (
    NoService,
    Process,
    Release,
    ReleaseId,
    RenderedFile,
    Service,
    Shared,
    SharedFile,
    Site,
)
from rollout.model.task import Task
from rollout.posix import frame
from rollout.posix.helper import FREE, Guard, assignments, text
from rollout.posix.op import Deed, Epoch, Install, Mark, Observe, Op, RunCheck, RunTask
from tests.posix.shells import NAMES, NONCE, shell

pytestmark = pytest.mark.timeout(180)
SERVICE = Process(command=("sh", "-c", "exec sleep 300"))
SHARED = Shared(files=(SharedFile(path="motto", content="it's $HOME\n`id`\n"),))
V1 = Release(id=ReleaseId("v1"), artifact="a" * 64, manifest="b" * 64)


@dataclass(frozen=True)
class Host:
    """A folder with a helper, and what is sent to it."""

    folder: Path
    shell: str

    def install(self) -> None:
        """Make the helper of a small play."""
        deeds = (
            Observe(service=SERVICE, shared=SHARED),
            Install(release=V1, shared=SHARED),
            Mark(release=ReleaseId("0"), mark="kept"),
            RunCheck(release=ReleaseId("0"), argv=("touch", "fine"), timeout_s=5),
            RunCheck(release=ReleaseId("0"), argv=("test", "canary"), timeout_s=5),
        )
        guard = Guard(
            root=f"{self.folder}/root",
            app="shop",
            environment="e",
            allowed_signers=f"{self.folder}/allowed",
            identity="a@x",
            revoked="",
            ops=tuple(map(self.op, deeds)),
        )
        (self.folder / "root").mkdir()
        (self.folder / "step").write_text(text(guard))

    def op(self, deed: Deed) -> Op:
        site = Site(root=f"{self.folder}/root", app="shop", environment="e")
        return Op(id="r.1", epoch=Epoch(number=1, rollout="r", sequence=1), site=site, do=deed, timeout_s=20)

    def script(self, deed: Deed) -> bytes:
        return frame.render(self.op(deed), NONCE).partition(b"\n")[2]

    def send(self, script: bytes, told: str = frame.CONSTANT) -> tuple[int, bytes, str]:
        used = shell(self.shell, self.folder)
        done = subprocess.run(
            [*used.argv, str(self.folder / "step")],
            input=b"%d\n" % len(script) + script,
            capture_output=True,
            env={**used.env, "SSH_ORIGINAL_COMMAND": told},
            cwd=self.folder,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path, "dash")
    made.install()
    return made


@pytest.mark.parametrize("name", NAMES)
def test_each_shell_runs_what_is_known_and_nothing_else(name: str, tmp_path: Path) -> None:
    host = Host(tmp_path, name)
    host.install()
    good = host.script(Observe(service=SERVICE, shared=SHARED))
    code, out, err = host.send(good)
    assert (code, b" end done -" in out) == (0, True), err
    for bad in (good.replace(b"finish done", b"finish d0ne", 1), good.replace(b"wait='20'", b"wait=`touch canary`")):
        code, out, _ = host.send(bad)
        assert (code, out) == (77, b"")
    assert host.send(good, "id")[:2] == (77, b"")
    assert not (tmp_path / "canary").exists()


WAIT = b"wait='20'"
EVIL = {
    "a text behind": lambda s: s + b"touch canary\n",
    "a text before": lambda s: b"touch canary\n" + s,
    "no first line": lambda s: s.partition(b"\n")[2],
    "one in double quotes": lambda s: s.replace(WAIT, b'wait="$(touch canary)"'),
    "one for arithmetic": lambda s: s.replace(WAIT, b"wait='a[$(touch canary)]'"),
    "a command behind a value": lambda s: s.replace(WAIT, b"wait='20'; touch canary"),
    "a command with a variable": lambda s: s.replace(WAIT, b"wait='20' touch canary"),
    "two on a line": lambda s: s.replace(WAIT + b"\n", WAIT + b";"),
    "a quote that ends": lambda s: s.replace(WAIT, b"wait='20''$(touch canary)'"),
    "a value without an end": lambda s: s.replace(WAIT, b"wait='20"),
    "another name": lambda s: s.replace(WAIT, b"wait='20'\nPATH='/tmp'"),
    "a name twice": lambda s: s.replace(WAIT, b"wait='20'\nwait='20'"),
    "another root": lambda s: s.replace(b"/root'\n", b"/r00t'\n"),
    "another user": lambda s: s.replace(b"become=''", b"become='root'"),
    "another list": lambda s: s.replace(b"shared_n='0'", b"shared_n='1'"),
    "a byte that is none": lambda s: s.replace(WAIT, b"wait='2\x000'"),
    "a line in a number": lambda s: s.replace(WAIT, b"wait='20\n1'"),
    "a number of many digits": lambda s: s.replace(WAIT, b"wait='" + b"2" * 16 + b"'"),
}


@pytest.mark.parametrize("what", EVIL)
def test_a_step_that_is_not_one_of_ours_is_not_run(what: str, host: Host) -> None:
    good = host.script(Observe(service=SERVICE, shared=SHARED))
    bad = EVIL[what](good)
    assert bad != good
    code, out, err = host.send(bad)
    assert (code, out) == (77, b""), err
    assert err.startswith("rollout-step: ")
    assert not (host.folder / "canary").exists()


def services() -> dict[str, Service]:
    return {"another service": NoService(), "another command": Process(command=("sh", "-c", "touch canary"))}


@pytest.mark.parametrize(
    "deed",
    [
        *(Observe(service=service, shared=SHARED) for service in services().values()),
        Install(release=V1, shared=Shared(files=(SharedFile(path="motto", content="other"),))),
        Install(release=V1, shared=Shared(files=(SharedFile(path="../x", content="it's $HOME\n`id`\n"),))),
        Install(release=V1, shared=Shared()),
        Install(release=V1, shared=SHARED, rendered=(RenderedFile(path="bin/serve", content="touch canary"),)),
        Mark(release=ReleaseId("../../x"), mark="kept"),
        Mark(release=ReleaseId(""), mark="kept"),
        RunCheck(release=ReleaseId("v1"), argv=("touch", "canary"), timeout_s=5),  # words of two that are known
        RunTask(task=Task(argv=("touch", "canary")), release=ReleaseId("v1")),
    ],
    ids=lambda deed: deed.kind,
)
def test_what_the_host_was_not_set_up_for_is_refused(deed: Deed, host: Host) -> None:
    code, out, _ = host.send(host.script(deed))
    assert (code, out) == (77, b"")


def test_an_unsigned_release_is_refused_in_the_words_of_a_step(host: Host) -> None:
    _, out, _ = host.send(host.script(Install(release=V1, shared=SHARED)))
    reply = frame.parse(NONCE, out)
    assert reply is not None
    assert (reply.status, reply.code) == ("refused", "E_SIG_UNSIGNED")


def test_assignments_are_taken_apart_as_the_helper_does_it(host: Host) -> None:
    script = frame.said(host.op(Install(release=V1, shared=SHARED)), NONCE)
    found = dict(assignments(script.values))
    assert "".join(found.values()) == script.values
    assert found["content_1"] == "content_1='it'\\''s $HOME\n`id`\n'\n"
    assert {"id", "artifact", "signed"} <= set(FREE) & set(found)
