"""A whole life of an app whose files are neither the SSH user's nor the service's: three real users on real machines.

`deploy` logs in, `keeper` owns the files, `shop` runs the service. What is so is asked past rollout, as root.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.fleet import ROOT, SUDOERS
from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.xdist_group("systemd"), pytest.mark.timeout(400)]

OWNER = "    owner: { user: keeper, group: crew }\n"
THERE = """\
id keeper >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin keeper
getent group crew >/dev/null || groupadd --system crew
usermod -a -G crew keeper
usermod -a -G crew shop
"""
# Whatever is not the owner's, but for what the service itself wrote where it may.
OTHERS = f"find {ROOT} ! -user keeper ! -path '{ROOT}/shared/uploads/*' | head -n 3"
# Where the service may write, below the root.
OPEN = f'find {ROOT} ! -type l -exec su shop -s /bin/sh -c \'test -w "$1" && echo "$1"\' sh {{}} \\;'


class OwnedLab(SystemdLab):
    """The lab's words for an app that has an owner."""

    owner = OWNER

    def playbook(self, **words: Any) -> Path:
        """Write the playbook, with an owner and a directory that is shared."""
        path = super().playbook(**words)
        text = path.read_text().replace(
            "    shared:\n", f"{self.owner}    keep: 1\n    keep_for: 0s\n    shared:\n      dirs: [uploads]\n"
        )
        path.write_text(text)
        return path

    def others(self) -> dict[str, str]:
        """Return what is not the owner's, by host."""
        found = {h: self.machine(h).run("sh", "-c", OTHERS).strip() for h in self.hosts}
        return {h: files for h, files in found.items() if files}

    def known(self) -> set[str]:
        """Return who began a step on the machines, by what sudo has on record."""
        return {self.machine(h).run("stat", "-c", "%U %a", f"{ROOT}/.rollout").strip() for h in self.hosts}


@pytest.fixture
def owned(lab: SystemdLab) -> Iterator[OwnedLab]:
    """Machines whose root is keeper's, with the rights that `rollout sudoers` prints."""
    made = OwnedLab(fleet=lab.fleet, folder=lab.folder)
    made.playbook()
    made.release("v1")
    printed = made.type(*[w for w in made.words_of("sudoers", "v1") if w not in ("--state", str(made.state))])
    assert printed.returncode == 0, said(printed)
    for host in made.hosts:
        made.machine(host).run("sh", "-c", THERE)
        made.machine(host).run("chown", "keeper:", ROOT)
        made.machine(host).set_up(sudoers=printed.stdout)
        made.machine(host).run("visudo", "-c")
    yield made
    for host in made.hosts:
        made.machine(host).clean()
        made.machine(host).run("chown", "deploy:", ROOT)
        made.machine(host).set_up()


def test_a_whole_life(owned: OwnedLab) -> None:
    planned = owned.plan("v1")
    assert (
        "owner     keeper, whom every step becomes by sudo; the group crew writes in shared directories"
        in planned.stdout
    )
    for version in ("v1", "v2"):
        done = owned.apply(version)
        assert done.returncode == 0, said(done)
        assert owned.all_on(version)
    assert owned.others() == {}
    assert owned.known() == {"keeper 700"}
    for host in owned.hosts:
        machine = owned.machine(host)
        assert machine.run("stat", "-c", "%U %G %a", f"{ROOT}/shared/uploads").strip() == "keeper crew 2775"
        assert machine.run("sh", "-c", OPEN).split() == [f"{ROOT}/shared/uploads"]
        machine.run("su", "shop", "-s", "/bin/sh", "-c", f"echo 1 >{ROOT}/current/uploads/one")
        assert machine.run("stat", "-c", "%U %G", f"{ROOT}/shared/uploads/one").strip() == "shop crew"
        assert machine.shown("User") == "shop"
    assert owned.type(*owned.words_of("rollback", "v2", "-y")).returncode == 0
    assert owned.all_on("v1")
    assert owned.type(*owned.words_of("restart", "v1", "-y")).returncode == 0
    failed = owned.apply("v3", broken="unhealthy")
    assert failed.returncode == 4, said(failed)
    assert owned.all_on("v1")
    for version in ("v4", "v5"):
        done = owned.apply(version)
        assert done.returncode == 0, said(done)
    kept = {owned.machine(h).run("ls", f"{ROOT}/releases") for h in owned.hosts}
    assert all("v2" not in names and "v5" in names for names in kept), kept
    seen = owned.type("verify", "shop", "--state", str(owned.state))
    assert seen.returncode == 0, said(seen)
    assert owned.others() == {}
    assert owned.machine("web1").run("cat", f"{ROOT}/shared/uploads/one").strip() == "1"


@pytest.mark.parametrize(("verb", "ends_on"), [("resume", {"v2"}), ("heal", {"v1", "v2"}), ("revert", {"v1"})])
def test_who_takes_over_without_a_playbook_goes_on_as_the_owner(owned: OwnedLab, verb: str, ends_on: set[str]) -> None:
    assert owned.apply("v1").returncode == 0
    owned.release("v2")
    begun = owned.begin("v2", "-y", healthy_for="3s")
    first = owned.hosts[0]
    owned.wait(lambda: owned.current(first) == "v2", "the first switch")
    begun.kill()
    begun.communicate()
    (owned.folder / "shop.yml").unlink()
    done = owned.type(verb, owned.last()["id"], "--state", str(owned.state))
    assert done.returncode in (0, 3, 4), said(done)
    assert {owned.serves(host) for host in owned.hosts} <= ends_on, said(done)
    assert all(in_rotation for *_, in_rotation in owned.truth().values())
    assert owned.others() == {}


def refused(owned: OwnedLab, code: str, *words: str) -> None:
    before = {h: owned.machine(h).run("find", ROOT, "-ls") for h in owned.hosts}
    done = owned.apply("v2")
    assert done.returncode == 6, said(done)
    for word in (code, *words):
        assert word in done.stderr, said(done)
    assert {h: owned.machine(h).run("find", ROOT, "-ls") for h in owned.hosts} == before


def test_an_app_of_another_user_is_refused_with_what_to_chown(owned: OwnedLab) -> None:
    owned.owner = ""
    for host in owned.hosts:
        owned.machine(host).run("chown", "deploy:", ROOT)
        owned.machine(host).set_up(sudoers=SUDOERS)
    assert owned.apply("v1").returncode == 0
    owned.owner = OWNER
    refused(
        owned, "E_SUDO: hosts web1, web2: sudo does not let deploy become keeper without a password.", "rollout sudoers"
    )
    rights = owned.type("sudoers", str(owned.folder / "shop.yml"), "-i", str(owned.fleet.inventory), "-e", "version=v2")
    for host in owned.hosts:
        owned.machine(host).set_up(sudoers=rights.stdout)
    mine = " ".join(
        f"{ROOT}{path}" for path in ("", "/shared", "/shared/config", "/shared/config/port", "/shared/uploads")
    )
    give = f"chown keeper {mine} && chown -hR keeper {ROOT}/releases {ROOT}/.rollout"
    refused(owned, "E_ROOT: host web1:", "belongs to uid", give)
    for host in owned.hosts:
        owned.machine(host).run("sh", "-c", give)
    done = owned.apply("v2")
    assert done.returncode == 0, said(done)
    assert owned.all_on("v2")
    assert set(owned.others().values()) <= {f"{ROOT}/current"}, "a link is nobody's who cannot write where it lies"


def test_a_user_or_a_group_that_is_missing_is_named_with_the_line_that_makes_it(owned: OwnedLab) -> None:
    owned.owner = OWNER.replace("keeper", "nobody-here")
    refused(owned, "E_OWNER: hosts web1, web2: there is no user nobody-here here.", "useradd --system")
    owned.owner = OWNER.replace("crew", "games-not-here")
    refused(owned, "E_OWNER: host web1: there is no group games-not-here there.", "groupadd --system games-not-here")
    owned.owner = OWNER.replace("crew", "games")
    refused(owned, "E_OWNER: host web2: keeper is not in the group games", "usermod -a -G games keeper")


def test_a_root_that_is_missing_is_refused_with_the_line_that_makes_it(owned: OwnedLab) -> None:
    for host in owned.hosts:
        owned.machine(host).run("rmdir", ROOT)
    done = owned.apply("v1")
    assert done.returncode == 6, said(done)
    assert f"install -d -o keeper -m 0755 {ROOT}" in done.stderr
    for host in owned.hosts:
        owned.machine(host).run("install", "-d", "-o", "keeper", "-m", "0755", ROOT)
    assert owned.apply("v1").returncode == 0
