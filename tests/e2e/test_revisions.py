"""Rendered files on real hosts: a secret that is rotated is a revision, and goes back like any release."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.lab import Lab
from tests.e2e.test_offline import decided, planned

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

OLD, NEW = "horse-battery-1", "staple-correct-2"
ENV = """\
HOST={{ inventory_hostname }}
RELEASE={{ release.id }}
PASSWORD={{ secret('env:DB_PASSWORD') }}
{% for n in range(2) %}
WORKER_{{ n }}=it's
{% endfor %}
"""
TEMPLATES = "    templates: [{ src: templates/env.j2, dest: config/app/env }]\n"


def written(lab: Lab, templates: str = TEMPLATES, text: str = ENV) -> None:
    folder = lab.folder / "templates"
    folder.mkdir(exist_ok=True)
    (folder / "env.j2").write_text(text)
    play = lab.playbook()
    play.write_text(play.read_text().replace("    shared:\n", f"{templates}    shared:\n"))


def typed(lab: Lab, verb: str, secret: str, *more: str) -> subprocess.CompletedProcess[str]:
    return lab.type(*lab.words_of(verb, "v1", *more), env={"DB_PASSWORD": secret})


def on(lab: Lab, host: str) -> Path:
    return lab.fleet.host(host).root / "current" / "config/app/env"


def kept(lab: Lab) -> bytes:
    """Return all that the state keeps, and what hosts have on record of their steps."""
    files = [p for p in lab.state.parent.rglob("*") if p.is_file()]
    for host in lab.fleet.hosts:
        files += [p for p in (host.root / ".rollout").rglob("*") if p.is_file()]
    return b"".join(p.read_bytes() for p in files)


def digests(secret: str, host: str, release: str) -> set[bytes]:
    """Return what nobody may find: the secret, its plain hash, and that of the file that it stands in."""
    text = f"HOST={host}\nRELEASE={release}\nPASSWORD={secret}\n\nWORKER_0=it's\n\nWORKER_1=it's\n\n"
    return {secret.encode(), *(hashlib.sha256(t.encode()).hexdigest().encode() for t in (secret, text))}


def currents(lab: Lab) -> set[str]:
    return {lab.current(host) for host in lab.hosts}


def test_a_rotated_secret_is_a_revision_and_goes_back(lab: Lab) -> None:
    lab.release("v1")
    written(lab)
    plan = lab.folder / "plan.json"
    said = [typed(lab, "apply", OLD)]
    assert said[0].returncode == 0, said[0].stdout + said[0].stderr
    assert currents(lab) == {"v1"}
    for host in lab.hosts:
        text = on(lab, host).read_text()
        assert text == f"HOST={host}\nRELEASE=v1\nPASSWORD={OLD}\n\nWORKER_0=it's\n\nWORKER_1=it's\n\n"
        assert on(lab, host).stat().st_mode & 0o777 == 0o640
    said.append(typed(lab, "apply", OLD))
    assert said[-1].returncode == 0
    assert "every host is on v1 already" in said[-1].stdout + said[-1].stderr
    said.append(typed(lab, "plan", NEW, "--out", str(plan)))
    assert "revision  1 of v1" in said[-1].stdout
    said.append(typed(lab, "apply", OLD, "--plan", str(plan)))
    assert said[-1].returncode == 6, "the secret is not the one that was planned with"
    said.append(typed(lab, "apply", NEW, "--plan", str(plan)))
    assert said[-1].returncode == 0, said[-1].stdout + said[-1].stderr
    assert currents(lab) == {"v1~1"}
    assert all(f"PASSWORD={NEW}\n" in on(lab, host).read_text() for host in lab.hosts)
    said.append(typed(lab, "verify", NEW))
    assert said[-1].returncode == 0, said[-1].stdout + said[-1].stderr
    said.append(typed(lab, "plan", "gone", "--offline"))
    assert "which revision it is: secrets are in its templates" in said[-1].stdout, said[-1].stderr
    assert "every host is on v1~1 already" in said[-1].stdout, "the newest on record is taken"
    said.append(typed(lab, "rollback", "gone", "-y"))
    assert said[-1].returncode == 0, said[-1].stdout + said[-1].stderr
    assert currents(lab) == {"v1"}, "it was there, so nobody has to know the old secret any more"
    assert all(f"PASSWORD={OLD}\n" in on(lab, host).read_text() for host in lab.hosts)
    found = kept(lab) + plan.read_bytes() + "".join(one.stdout + one.stderr for one in said).encode()
    for secret, release in ((OLD, "v1"), (NEW, "v1~1")):
        for host in lab.hosts:
            assert not {d for d in digests(secret, host, release) if d in found}
    print("\n".join(f"$ {' '.join(map(str, one.args))}\n{one.stdout}{one.stderr}" for one in said))


def test_a_plan_without_a_look_names_the_revision_too(lab: Lab) -> None:
    lab.release("v1")
    written(lab, text="HOST={{ inventory_hostname }}\n")
    assert typed(lab, "apply", "").returncode == 0
    written(lab, text="NAME={{ inventory_hostname }}\n")
    assert decided(planned(lab, "--offline", version="v1")) == decided(looked := planned(lab, version="v1"))
    assert looked["plays"][0]["release"]["id"] == "v1~1"


@pytest.mark.long
def test_what_was_planned_is_gone_on_with_and_a_new_machine_is_given_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller dies, a secret is rotated meanwhile, and a host comes back with nothing on it."""
    lab.release("v1")
    written(lab)
    assert typed(lab, "apply", OLD).returncode == 0
    monkeypatch.setenv("DB_PASSWORD", NEW)
    begun = subprocess.Popen(
        lab.command(*lab.words_of("apply", "v1")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "CI": ""},
        start_new_session=True,
    )
    lab.wait(lambda: (lab.fleet.host("lab4").root / ".rollout/incoming").exists() or lab.current("lab1") != "v1", "it")
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    went_on = lab.type("resume", lab.last()["id"], "--state", str(lab.state))
    assert went_on.returncode == 0, went_on.stdout + went_on.stderr
    assert currents(lab) == {"v1~1"}
    assert all(f"PASSWORD={NEW}\n" in on(lab, host).read_text() for host in lab.hosts)

    root = lab.fleet.host("lab4").root
    for pid in lab.fleet.apps("lab4"):
        os.kill(pid, signal.SIGKILL)
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    other = typed(lab, "converge", "another", "-y")
    assert other.returncode != 0
    assert "E_CHANGED" in other.stdout + other.stderr, "what is on record for it cannot be made any more"
    back = typed(lab, "converge", NEW, "-y")
    assert back.returncode == 0, back.stdout + back.stderr
    assert currents(lab) == {"v1~1"}
    assert f"PASSWORD={NEW}\n" in on(lab, "lab4").read_text()


@pytest.mark.long
def test_a_state_that_is_lost_is_made_anew_as_it_says_to_type(lab: Lab) -> None:
    for version in ("v1", "v2"):
        lab.release(version)
    written(lab)
    assert typed(lab, "apply", OLD).returncode == 0
    shutil.rmtree(lab.state.parent)
    refused = typed(lab, "adopt", OLD, "-y", "--state-lost")
    assert (refused.returncode, "E_UNEQUAL" in refused.stderr) == (6, True), refused.stderr
    assert "Different: config/app/env." in refused.stderr
    said = " ".join(refused.stderr.split())
    assert "/releases/v1/.rollout-manifest; then rollout adopt" in said
    assert "--state-lost --leave-out config/app/env" in said
    for host in lab.fleet.hosts:
        (host.root / "releases/v1/.rollout-manifest").unlink()
    begun = typed(lab, "adopt", OLD, "-y", "--state-lost", "--leave-out", "config/app/env")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    later = lab.type(*lab.words_of("apply", "v2"), env={"DB_PASSWORD": NEW})
    assert later.returncode == 0, later.stdout + later.stderr
    assert lab.all_on("v2")
    back = lab.type(*lab.words_of("rollback", "v2", "-y"), env={"DB_PASSWORD": NEW})
    assert back.returncode == 0, back.stdout + back.stderr
    assert lab.all_on("v1")
    assert f"PASSWORD={OLD}" in on(lab, "lab1").read_text(), "what was left out lies there as it did"
