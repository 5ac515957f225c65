"""Whole rollouts through jump hosts: the lab's hosts have names that mean something there, and nothing here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import names
from tests.e2e.gates import Gates
from tests.e2e.lab import Lab
from tests.e2e.wires import journal

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long, names.NEEDS]

Before = Callable[..., Gates]
JUMP = "10s\n    jump: [{}]"


@pytest.fixture
def before(lab: Lab, tmp_path: Path) -> Iterator[Before]:
    """Put jump hosts before the lab, which every play goes through."""
    opened: list[Gates] = []

    def gates(*names: str) -> Gates:
        opened.append(Gates(lab, tmp_path / "gates", names or ("bastion",)))
        lab.words.update(connect_timeout=JUMP.format(", ".join(opened[-1].names)))
        return opened[-1]

    yield gates
    for one in opened:
        one.close()


def test_a_rollout_through_a_bastion_logs_in_to_it_once(lab: Lab, before: Before) -> None:
    """Who is behind it is reached by nobody else: the names mean nothing here."""
    gates = before()
    lab.words.update(connect_timeout="10s")
    straight = lab.apply("v1")
    assert straight.returncode == 6
    assert "its name does not resolve" in straight.stdout + straight.stderr
    lab.words.update(connect_timeout=JUMP.format("bastion"))
    done = lab.apply("v1", "--limit", "lab1:lab2:lab3:lab4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.all_on("v1")
    assert gates.logins() == 1


def test_two_hops_and_the_keys_of_all_of_them(lab: Lab, before: Before) -> None:
    gates = before("outer", "inner")
    recorded = gates.known.read_text()
    for name, sshd in gates.sshds.items():
        gates.forget(f":{sshd.port} ")
        refused = lab.apply("v1")
        said = refused.stdout + refused.stderr
        assert refused.returncode == 6, said
        assert f"its jump {name} (" in said
        assert f"the host key of [127.0.0.1]:{sshd.port} is unknown" in said
        gates.known.write_text(recorded)
    before_it = {name: gates.logins(name) for name in gates.sshds}
    done = lab.apply("v1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.all_on("v1")
    assert {name: gates.logins(name) - n for name, n in before_it.items()} == {"outer": 1, "inner": 1}


def test_keys_behind_a_bastion_are_shown_once_the_bastion_is_known(lab: Lab, before: Before) -> None:
    gates = before()
    gates.known.unlink()
    lab.playbook(connect_timeout=JUMP.format("bastion") + "\n    host_keys: accept-new")
    words = ("hostkeys", "scan", str(lab.folder / "shop.yml"), "-i", str(lab.reached_by), "-y")
    assert lab.type(*words[:-1]).returncode == 6
    assert not gates.known.exists(), "nobody was there to ask, and on the way to others a key was recorded"
    first = lab.type(*words)
    assert first.returncode == 6
    assert "bastion (127.0.0.1:" in first.stderr
    assert "recorded 1" in first.stderr
    second = lab.type(*words)
    assert "recorded 4" in second.stderr, second.stderr
    assert " through bastion): new: it shows ssh-ed25519 SHA256:" in second.stderr
    assert lab.type(*words).returncode == 0


def test_a_state_on_a_host_behind_a_bastion(lab: Lab, before: Before) -> None:
    gates = before()
    (bastion,), first = gates.sshds.values(), lab.fleet.hosts[0]
    there = f"ssh://{names.NAME.format(host=first.name)}:{first.ssh_port}{lab.folder}/kept"
    both = lab.folder / "both"  # the URL names one key for the whole way
    both.write_bytes(lab.fleet.client_key.read_bytes())
    both.chmod(0o600)
    bastion.authorized.write_text((lab.fleet.folder / "client_key.pub").read_text())
    url = f"{there}?identity={both}&known_hosts={gates.known}&jump=127.0.0.1:{bastion.port}"
    done = lab.type("history", "--state", url)
    assert (done.returncode, "E_NO_STATE" in done.stderr) == (8, True), done.stderr
    assert gates.logins() == 1
    bastion.stop()
    away = lab.type("history", "--state", url)
    assert (away.returncode, "its jump 127.0.0.1 (" in away.stderr) == (8, True), away.stderr


def killed_in_the_second_batch(lab: Lab, gates: Gates, allowed: int = 0) -> subprocess.Popen[str]:
    extra = f"min_in_service: 2\n  max_failures: {allowed}\n  limits: {{ step_timeout: 8s }}"
    lab.words.update(deadline="8s", balancers="none", extra=extra)
    assert lab.apply("v1").returncode == 0
    lab.release("v2", start_s=1.0)
    going = lab.begin("v2", "-y", "--output", "plain")
    lab.wait(lambda: lab.current("lab2") == "v2" == lab.current("lab3"), "the second batch")
    gates.sshds["bastion"].stop()
    return going


@pytest.mark.fault("F41")
def test_a_bastion_that_dies_in_mid_batch_is_one_cause_and_is_named(lab: Lab, before: Before) -> None:
    gates = before()
    going = killed_in_the_second_batch(lab, gates)
    said, _ = going.communicate(timeout=180)
    print(said)
    assert going.returncode == 5
    assert "3 hosts could not be reached any more (lab1, lab2, lab3), all through the jump host bastion" in said
    assert "its jump bastion (" in said
    assert "STRANDED lab2" in said
    assert [lab.serves(h) for h in lab.hosts] == ["v2", "v2", "v2", "v1"], "nothing was changed behind its back"
    gates.sshds["bastion"].start()
    assert lab.apply("v2", start_s=1.0).returncode == 0
    assert {lab.serves(h) for h in lab.hosts} == {"v2"}


@pytest.mark.fault("F41")
def test_a_bastion_that_comes_back_is_logged_in_to_anew_and_no_release_is_blamed(lab: Lab, before: Before) -> None:
    gates = before()
    going = killed_in_the_second_batch(lab, gates)
    seen = gates.logins()
    lab.wait(lambda: "host_sickened" in [e["kind"] for e in journal(lab.state)], "that a done host cannot be asked")
    gates.sshds["bastion"].start()
    said, _ = going.communicate(timeout=180)
    print(said)
    assert going.returncode == 3
    assert "cause: the connection" in said
    assert "STRANDED" not in said
    serving = [lab.serves(h) for h in lab.hosts]
    assert serving == [lab.current(h) for h in lab.hosts]
    assert (serving[0], serving[3]) == ("v2", "v1"), "who was done stays so, and who was not begun is left alone"
    assert 1 <= gates.logins() - seen <= 2
    assert lab.apply("v2", start_s=1.0).returncode == 0


@pytest.mark.fault("F41")
def test_a_bastion_that_dies_is_one_cause_within_any_budget(lab: Lab, before: Before) -> None:
    """Counted one by one they are all allowed to fail, and the last host would be rolled out to next."""
    gates = before()
    going = killed_in_the_second_batch(lab, gates, allowed=4)
    said, _ = going.communicate(timeout=180)
    print(said)
    assert going.returncode == 5
    (halt,) = [e for e in journal(lab.state) if e["kind"] == "halt_ordered"]
    assert (halt["cause"], halt["revert"]) == ("connection", False)
    assert set(halt["together"]) == {"lab1", "lab2", "lab3"}
    assert "3 hosts behind the jump host bastion were lost at once" in said
    assert "4 allowed" not in said
    begun = {e["host"] for e in journal(lab.state) if e["kind"] == "step_started" and e["action"]["kind"] == "switch"}
    assert begun == {"lab1", "lab2", "lab3"}
    assert [lab.serves(h) for h in lab.hosts] == ["v2", "v2", "v2", "v1"]
    gates.sshds["bastion"].start()
    assert lab.apply("v2", start_s=1.0).returncode == 0
    assert {lab.serves(h) for h in lab.hosts} == {"v2"}
