"""A stolen key and a controller that lies, against a host with the helper: real sshd, real OpenSSH, real files."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.app import vouching
from rollout.model.release import Process, Release, ReleaseId, Shared, SharedFile, Site
from rollout.model.task import Task
from rollout.model.trust import Trust
from rollout.perform import steps
from rollout.posix import frame
from rollout.posix.op import Activate, Deed, Epoch, Install, Observe, Op, Prune, RunTask, Withdraw
from tests.sshd import Sshd
from tests.trust.bench import Bench
from tests.trust.gate import Gate
from tests.trust.test_refusals import edited, signed

pytestmark = pytest.mark.timeout(300)
NONCE = "n0nce" * 6
SERVICE = Process(command=("sh", "-c", "exec sleep 300"))
SHARED = Shared(dirs=("log",), files=(SharedFile(path="config/motto", content="it's $HOME\n`id`\n"),))


@pytest.fixture
def gate(bench: Bench, tmp_path: Path) -> Iterator[Gate]:
    """Give a host with the helper, made for the play of v1."""
    with_key = Gate(bench, Sshd(tmp_path / "sshd"))
    bench.sign("v1")
    with_key.play("v1")
    with_key.install()
    yield with_key
    with_key.stop()


def lie(monkeypatch: pytest.MonkeyPatch, *, text: str | None = None) -> None:
    """Have the controller skip every check of its own, and show the host this statement."""
    monkeypatch.setattr(vouching, "vouched_for", lambda plays, *_: [Trust() for _ in plays])
    monkeypatch.setattr("rollout.app.apply.vouched_for", lambda plays, *_: [Trust() for _ in plays])
    monkeypatch.setattr("rollout.app.vouching._against", lambda *_: None)
    if text is not None:
        monkeypatch.setattr(steps, "signed", lambda _trust: text)


def statement(gate: Gate, version: str) -> str:
    return (gate.bench.folder / f"shop-{version}.tar.rollout-sig").read_text()


def op(gate: Gate, deed: Deed, number: int = 10**9, sequence: int = 1) -> bytes:
    """Return a step as a thief who has the program sends it, newer than all rollouts."""
    site = Site(root=str(gate.bench.folder / "root"), app="shop", environment="default")
    epoch = Epoch(number=number, rollout="thief", sequence=sequence, over=("*",))
    return frame.render(Op(id=f"thief{sequence}", epoch=epoch, site=site, do=deed, timeout_s=20), NONCE)


def test_what_is_signed_goes_and_comes_back(gate: Gate) -> None:
    code, said = gate.apply()
    assert (code, gate.bench.current) == (0, "v1"), said
    time.sleep(1.1)
    gate.bench.sign("v2")
    gate.play("v2")
    code, said = gate.apply()
    assert (code, gate.bench.current) == (0, "v2"), said
    assert (gate.bench.folder / "root/shared/config/motto").read_text() == "it's $HOME\n`id`\n"
    (gate.host / "revoked").write_text(gate.bench.public("key") + "\n")
    state = ("--state", str(gate.bench.folder / "state.db"))
    back = gate.bench.type("rollback", str(gate.bench.folder / "play.yml"), "-i", gate.inventory, *state, "-y")
    assert (back.code, gate.bench.current) == (0, "v1"), back.text  # it was here before: nobody is asked


@pytest.mark.bad("B63")
def test_a_controller_that_lies_gets_nowhere(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    time.sleep(1.1)
    gate.bench.sign("v2")
    gate.play("v2")
    code, said = gate.apply()
    assert (code, gate.bench.current) == (0, "v2"), said
    old = statement(gate, "v1")
    signed(gate.bench, edited(gate.bench, "release v1", "release v3"), key="stranger", version="v3")
    stranger = statement(gate, "v3")
    gate.bench.sign("v3")
    good = statement(gate, "v3")
    gate.play("v3")
    changed = good.replace("app shop\n", "app shop\nexpires 2990-01-01T00:00:00Z\n")
    for text, why in (
        ("", "E_SIG_UNSIGNED"),
        (changed, "E_SIG_BAD"),
        (stranger, "E_SIG_BAD"),
        (old, "E_SIG_ID"),
    ):
        lie(monkeypatch, text=text)
        code, said = gate.apply("--allow-bad")
        assert why in said, (why, said)
        assert (code, gate.bench.current) == (6, "v2")
        assert not (gate.bench.folder / "root" / "releases" / "v3").exists()
    gate.bench.artifact("v1")
    gate.play("v1")
    lie(monkeypatch, text=old)
    code, said = gate.apply()
    assert (code, gate.bench.current) == (6, "v2")
    assert "E_SIG_REPLAY" in said
    (gate.host / "revoked").write_text(gate.bench.public("key") + "\n")
    gate.play("v3")
    lie(monkeypatch, text=good)
    code, said = gate.apply("--allow-bad")
    assert (code, gate.bench.current) == (6, "v2")
    assert "E_SIG_REVOKED" in said


def test_a_key_that_is_revoked_between_the_two_is_refused_at_the_switch(gate: Gate) -> None:
    step = gate.ssh(frame.CONSTANT, fed=op(gate, Observe(service=SERVICE, shared=SHARED)))
    assert b" end done -" in step.stdout
    release = _release(gate)
    data = (gate.bench.folder / "shop-v1.tar").read_bytes() + _manifest(gate).encode()
    fed = op(gate, Install(release=release, shared=SHARED, signed=statement(gate, "v1"))) + data
    assert b" end done -" in gate.ssh(frame.CONSTANT, fed=fed).stdout
    (gate.host / "revoked").write_text(gate.bench.public("key") + "\n")
    switch = Activate(release=release.id, manifest=release.manifest, expect="", service=SERVICE)
    assert b" end refused E_SIG_REVOKED" in gate.ssh(frame.CONSTANT, fed=op(gate, switch)).stdout
    assert gate.bench.current == ""


def _package(gate: Gate, version: str = "v1") -> tuple[str, int]:
    from rollout.app.request import package_of
    from rollout.model.play import ArtifactAsk

    package = package_of(ArtifactAsk(path=str(gate.bench.folder / f"shop-{version}.tar")))
    package.close()
    return package.manifest_text, package.size


def _manifest(gate: Gate, version: str = "v1") -> str:
    return _package(gate, version)[0]


def _release(gate: Gate, version: str = "v1") -> Release:
    text, size = _package(gate, version)
    said = dict(line.split(" ", 1) for line in statement(gate, version).splitlines()[1:6])
    return Release(
        id=ReleaseId(version),
        artifact=said["sent"],
        manifest=said["manifest"],
        size=size,
        manifest_size=len(text.encode()),
        unpacked=10,
        files=3,
    )


def test_a_stolen_key_gets_no_shell_no_command_no_file_and_no_forward(gate: Gate) -> None:
    canary = gate.bench.folder / "canary"
    for words in ((), ("id",), (f"touch {canary}",), (frame.CONSTANT + "; id",), ("sh", "-c", "id")):
        done = gate.ssh(*words, fed=f"touch {canary}\nid\n".encode())
        assert done.returncode != 0
        assert b"uid=" not in done.stdout
    assert gate.ssh("-tt", "id", fed=b"id\n").stdout.find(b"uid=") < 0
    for words in (["scp", "-O"], ["scp"]):
        copy = [*words, *gate.options("-P"), str(gate.sshd.client_key), f"root@127.0.0.1:{canary}"]
        assert subprocess.run(copy, capture_output=True, timeout=60, check=False).returncode != 0
    batch = ["sftp", *gate.options("-P"), "-b", "-", "root@127.0.0.1"]
    assert subprocess.run(batch, input=b"pwd\n", capture_output=True, timeout=60, check=False).returncode != 0
    forward = gate.ssh(options=("-W", f"127.0.0.1:{gate.sshd.port}"))
    assert b"SSH-2.0" not in forward.stdout
    assert b"administratively prohibited" in forward.stderr or forward.returncode != 0
    assert not canary.exists()


def test_a_step_that_is_not_one_of_ours_is_not_run(gate: Gate) -> None:
    canary = gate.bench.folder / "canary"
    good = op(gate, Observe(service=SERVICE, shared=SHARED)).partition(b"\n")[2]
    for script in (
        good.replace(b"finish done", b"finish d0ne", 1),
        good.replace(b"wait='20'", f"wait=$(touch {canary})".encode()),
    ):
        done = gate.ssh(frame.CONSTANT, fed=b"%d\n" % len(script) + script)
        assert (script != good, done.returncode, b" begin" in done.stdout) == (True, 77, False)
    task = op(gate, RunTask(task=Task(argv=("touch", str(canary))), release=ReleaseId("v1")))
    assert gate.ssh(frame.CONSTANT, fed=task).returncode == 77
    assert not canary.exists()


def test_what_was_kept_is_not_taken_away(gate: Gate) -> None:
    assert gate.apply()[0] == 0
    away = op(gate, Withdraw(release=ReleaseId("v1"), service=SERVICE))
    assert b" end refused E_SIG_UNSIGNED" in gate.ssh(frame.CONSTANT, fed=away).stdout
    assert gate.bench.current == "v1"


@pytest.mark.long
def test_checks_from_the_host_go_where_they_are_permitted(gate: Gate) -> None:
    path = gate.bench.folder / "play.yml"
    check = f"[{{ tcp: {{ port: {gate.sshd.port}, host: 127.0.0.1 }} }}]"
    path.write_text(path.read_text().replace("[{ command: [test, -f, hello] }]", check))
    gate.install(f',port-forwarding,permitopen="127.0.0.1:{gate.sshd.port}"')
    code, said = gate.apply()
    assert (code, gate.bench.current) == (0, "v1"), said


@pytest.mark.long
def test_a_release_is_compared_and_old_ones_go_as_the_play_keeps_them(gate: Gate) -> None:
    """What is removed is no way round a signature: what was signed later is still known."""
    state = ("--state", str(gate.bench.folder / "state.db"))
    play = str(gate.bench.folder / "play.yml")
    for version in ("v1", "v2", "v3"):
        if version != "v1":
            time.sleep(1.1)
            gate.bench.sign(version)
        gate.play(version)
        file = Path(play)
        file.write_text(file.read_text().replace("    root:", "    keep: 1\n    keep_for: 0s\n    root:"))
        if version == "v1":
            gate.install()
        if version == "v2":
            time.sleep(1.1)
            gate.bench.sign("v0")
        code, said = gate.apply()
        assert (code, gate.bench.current) == (0, version), said
        assert "could not be pruned" not in said
        time.sleep(1.1)
    releases = gate.bench.folder / "root/releases"
    assert sorted(path.name for path in releases.iterdir()) == ["v2", "v3"], "the way back stays too"
    (releases / "v3/hello").write_text("drifted\n")
    seen = gate.bench.type("verify", play, "-i", gate.inventory, *state)
    assert (seen.code, "hello" in seen.text) == (6, True), seen.text
    assert b" end refused E_KEEP" in gate.ssh(frame.CONSTANT, fed=_pruning(gate, "v3")).stdout
    assert gate.bench.type("rollback", play, "-i", gate.inventory, *state, "-y").code == 0
    assert gate.bench.current == "v2"
    shutil.rmtree(releases / "v3")
    assert b" end done -" in gate.ssh(frame.CONSTANT, fed=_pruning(gate, "v3", sequence=2)).stdout
    ledger = (gate.bench.folder / "root/.rollout/ledger").read_text()
    assert "v3 activated" not in ledger
    signed_between = gate.ssh(frame.CONSTANT, fed=_installing(gate, "v0", sequence=3)).stdout
    assert b" end refused E_SIG_REPLAY" in signed_between, "it was signed before v3, which is gone"
    was_here = gate.ssh(frame.CONSTANT, fed=_installing(gate, "v1", sequence=4)).stdout
    assert b" end done -" in was_here, "it is signed, and was what ran here"


def _installing(gate: Gate, version: str, sequence: int) -> bytes:
    """Return the step that brings a release, as it was signed."""
    data = (gate.bench.folder / f"shop-{version}.tar").read_bytes() + _manifest(gate, version).encode()
    deed = Install(release=_release(gate, version), shared=SHARED, signed=statement(gate, version))
    return op(gate, deed, sequence=sequence) + data


def _pruning(gate: Gate, *names: str, sequence: int = 1) -> bytes:
    return op(gate, Prune(releases=tuple(map(ReleaseId, names)), service=SERVICE), sequence=sequence)


def test_what_nobody_signed_is_refused_before_anybody_is_sent_anything(gate: Gate) -> None:
    play = gate.bench.folder / "play.yml"
    plain = play.read_text()
    (gate.bench.folder / "env.j2").write_text("A=1\n")
    play.write_text(plain.replace("    root:", "    templates: [{ src: env.j2, dest: env }]\n    root:"))
    code, said = gate.apply()
    assert (code, "E_SIG_TEMPLATES: nobody has signed what" in said) == (6, True), said
    play.write_text(plain.replace("    root:", "    prepare: [{ run: [id] }]\n    root:"))
    code, said = gate.apply()
    assert (code, "E_SIG_TASKS: the play has tasks" in said) == (6, True), said
    assert not (gate.bench.folder / "root/.rollout").exists(), "nothing was written there"
