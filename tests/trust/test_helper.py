"""What the helper runs of what it gets, in each of the shells: the same script that sshd starts, without the sshd."""

from __future__ import annotations

import hashlib
import subprocess
import time
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
from rollout.posix.op import Deed, Epoch, Inspect, Install, Mark, Observe, Op, Prune, Reply, RunCheck, RunTask, Withdraw
from tests.posix.shells import NAMES, NONCE, shell

pytestmark = pytest.mark.timeout(180)
SERVICE = Process(command=("sh", "-c", "exec sleep 300"))
SHARED = Shared(files=(SharedFile(path="motto", content="it's $HOME\n`id`\n"),))
V1 = Release(id=ReleaseId("v1"), artifact="a" * 64, manifest="b" * 64)


@dataclass
class Host:
    """A folder with a helper, and what is sent to it."""

    folder: Path
    shell: str
    said: int = 0

    def install(self) -> None:
        """Make the helper of a small play."""
        deeds = (
            Observe(service=SERVICE, shared=SHARED),
            Install(release=V1, shared=SHARED),
            Mark(release=ReleaseId("0"), mark="kept"),
            Withdraw(release=ReleaseId("0"), service=SERVICE),
            RunCheck(release=ReleaseId("0"), argv=("touch", "fine"), timeout_s=5),
            RunCheck(release=ReleaseId("0"), argv=("test", "canary"), timeout_s=5),
            Inspect(release=ReleaseId("0"), shared=SHARED),
            Prune(releases=(ReleaseId("0"),), service=SERVICE),
        )
        guard = Guard(
            root=f"{self.folder}/root",
            app="shop",
            environment="e",
            allowed_signers=f"{self.folder}/allowed",
            identity="a@x",
            revoked="",
            keep=2,
            keep_for_s=0.0,
            ops=tuple(map(self.op, deeds)),
        )
        (self.folder / "root").mkdir(mode=0o755)
        (self.folder / "step").write_text(text(guard))

    def op(self, deed: Deed) -> Op:
        site = Site(root=f"{self.folder}/root", app="shop", environment="e")
        self.said += 1  # what was said before is answered from its record
        epoch = Epoch(number=1, rollout="r", sequence=self.said)
        return Op(id=f"r.{self.said}", epoch=epoch, site=site, do=deed, timeout_s=20)

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
        Inspect(release=ReleaseId("../../x"), shared=SHARED),
        Inspect(shared=Shared()),
        Prune(releases=(ReleaseId("../../x"),), service=SERVICE),
        Prune(releases=(ReleaseId(""),), service=SERVICE),
        Prune(releases=(ReleaseId("v1/x"),), service=SERVICE),
        Prune(releases=(ReleaseId("v1"),), service=NoService()),
        Prune(releases=(ReleaseId("v1"),), service=SERVICE, add=("log",)),
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


def released(host: Host, *ledger: str) -> None:
    """Have releases lie there, as installed, with a ledger; each is one file and its manifest."""
    root = host.folder / "root"
    for name in dict.fromkeys(line.split()[0] for line in ledger):
        (root / "releases" / name).mkdir(parents=True, exist_ok=True)
        (root / "releases" / name / "motto").write_text(name)
        digest = hashlib.sha256(name.encode()).hexdigest()
        (root / "releases" / name / ".rollout-manifest").write_text(f"# rollout manifest 1\n0644 {digest}  ./motto\n")
    (root / ".rollout").mkdir(mode=0o700, exist_ok=True)
    (root / ".rollout/identity").write_text("e/shop\n")
    (root / ".rollout/ledger").write_text("".join(f"{line}\n" for line in ledger))


def answered(host: Host, deed: Deed) -> Reply:
    code, out, err = host.send(host.script(deed))
    reply = frame.parse(NONCE, out)
    assert reply is not None, (code, out, err)
    return reply


def pruning(*names: str) -> Prune:
    return Prune(releases=tuple(map(ReleaseId, names)), service=SERVICE)


def there(host: Host) -> list[str]:
    return sorted(path.name for path in (host.folder / "root/releases").iterdir())


KEPT = tuple(f"v{n} {mark} 100{n}" for n in range(1, 6) for mark in ("installed", "activated", "verified", "kept"))


@pytest.mark.parametrize("name", NAMES)
def test_each_shell_compares_a_release_and_prunes_down_to_what_the_play_keeps(name: str, tmp_path: Path) -> None:
    host = Host(tmp_path, name)
    host.install()
    released(host, *KEPT)
    (tmp_path / "root/releases/v5/motto").write_text("drifted")
    drift = answered(host, Inspect(release=ReleaseId("v5"), shared=SHARED))
    assert (drift.status, drift.fields["differing"]) == ("done", "2")
    refused = answered(host, pruning("v1", "v4"))
    assert (refused.status, refused.code) == ("refused", "E_KEEP")
    assert refused.summary == "release v4 stays: by its play this host keeps 2 that were proven here"
    assert there(host) == ["v1", "v2", "v3", "v4", "v5"]
    done = answered(host, pruning("v1", "v2"))
    assert (done.status, done.fields["pruned"]) == ("done", "v1 v2")
    assert there(host) == ["v3", "v4", "v5"]


def test_an_age_counts_as_the_play_says_it_and_one_that_nobody_knows_keeps(host: Host) -> None:
    old, young = int(time.time()) - 5000, int(time.time()) - 100
    released(host, f"v1 kept {old}", f"v2 kept {young}", "v3 kept", f"v4 kept {old}", f"v5 kept {old}")
    step = host.folder / "step"
    step.write_text(step.read_text().replace("h_keep_for='0'", "h_keep_for='3000'"))
    assert answered(host, pruning("v2")).code == "E_KEEP"
    assert answered(host, pruning("v3")).code == "E_KEEP"
    assert answered(host, pruning("v1")).fields["pruned"] == "v1"


def test_what_was_proven_here_is_not_forgotten_for_what_a_thief_says_of_it(host: Host) -> None:
    """Marks are free: whoever has the key could say of all releases that they are bad, and have them removed."""
    released(host, *KEPT)
    for n in range(1, 6):
        assert answered(host, Mark(release=ReleaseId(f"v{n}"), mark="kept")).status == "done"
    for n in range(3, 6):
        assert answered(host, Mark(release=ReleaseId(f"v{n}"), mark="unverified")).status == "done"
        assert answered(host, Mark(release=ReleaseId(f"v{n}"), mark="bad")).status == "done"
    time.sleep(1.1)  # what was proven within this second stays in any case
    assert answered(host, pruning("v5")).code == "E_KEEP"
    assert answered(host, pruning("v4")).code == "E_KEEP"
    assert answered(host, pruning("v3")).code == ""
    for n in range(1, 3):
        assert answered(host, Mark(release=ReleaseId(f"v{n}"), mark="unverified")).status == "done"
    assert " kept" not in (host.folder / "root/.rollout/ledger").read_text()
    assert answered(host, Withdraw(release=ReleaseId("v5"), service=SERVICE)).code == "E_SIG_UNSIGNED"
    memory = (host.folder / "root/.rollout/remembered").read_text().splitlines()
    assert "v3 activated" in memory, "so that nothing older can be sent in its place"
    assert not [line for line in memory if line.startswith("v9")]


CHANGED = {
    "text": (b"refuse E_NO_RELEASE", b"refuse E_NO_RELEASF"),
    "end": (b'printf "\\n%s', b'printf "\\r%s'),
    "root": (b"/root'\n", b"/roou'\n"),
    "app": (b"app='shop'", b"app='shoq'"),
    "identity": (b"'e/shop'", b"'e/shoq'"),
    "user": (b"become=''", b"become='a'"),
    "id": (b"id='v1'", b"id='v/'"),
    "listed": (b"gone_1='v1'", b"gone_1='v/'"),
    "how many": (b"gone_n='1'", b"gone_n='-'"),
    "name": (b"gone_1='v1'", b"gonf_1='v1'"),
    "shared": (b"'motto'", b"'mottp'"),
    "aims": (b"'../../shared/motto'", b"'../../shared/mottp'"),
    "pattern": (b"'./motto'", b"'./mottp'"),
    "widest": (b"widest='600'", b"widest='601'"),
    "service": (b"exec sleep 300", b"exec sleep 301"),
    "moved": (b".rollout/pruned", b".rollout/prunee"),
    "time": (b"wait='20'", b"wait='2x'"),
    "quote": (b"wait='20'", b"wait='20x"),
}
BOTH = {
    "inspect": (Inspect(release=ReleaseId("v1"), shared=SHARED), 11),
    "prune": (Prune(releases=(ReleaseId("v1"),), service=SERVICE), 11),
}


@pytest.mark.parametrize("kind", BOTH)
def test_one_byte_of_a_step_that_is_another_has_it_refused(kind: str, host: Host) -> None:
    deed, least = BOTH[kind]
    released(host, "v1 installed 1", "v1 bad 1")
    good, tried = host.script(deed), 0
    for what, (was, now) in CHANGED.items():
        if was in good:
            bad = good.replace(was, now, 1)
            assert [a != b for a, b in zip(good, bad, strict=False)].count(True) == 1 or what == "user"
            code, out, err = host.send(bad)
            assert (code, out) == (77, b""), (what, err)
            tried += 1
    assert tried >= least
    assert there(host) == ["v1"]
    assert answered(host, deed).status == "done"
