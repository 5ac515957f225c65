"""Steps that run as the owner of an app's files: the real sudo, two users, and what each of them owns afterwards.

Users, groups and rights are those of a mount namespace: nothing of this machine is changed.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rollout.model.release import Commands, NoService, Shared, SharedFile, Site
from rollout.model.task import Task
from rollout.posix import frame
from rollout.posix.op import (
    Activate,
    Close,
    Collect,
    Epoch,
    Identify,
    Inspect,
    Install,
    Observe,
    Op,
    Prune,
    Reply,
    RunTask,
    Settle,
    Withdraw,
)
from rollout.posix.sudoers import way_to
from rollout.testing.contracts import RELEASES, SERVICE, activate, install, mark
from rollout.testing.renderings import FILES, OWN
from tests.posix.elsewhere import ASKED, NEEDS, PASSWORD, UNASKED, USER, Elsewhere, etc, hashed
from tests.posix.shells import NAMES, NONCE, ShellHost, shell

OPERATOR, KEEPER, CREW = USER, 47_112, 47_113
WAY = way_to("operator", "keeper") + "\n"

pytestmark = [NEEDS, pytest.mark.timeout(180)]


@dataclass(slots=True)
class OwnedHost(ShellHost):
    """A root of keeper's, at which operator works."""

    owner: str = "keeper"

    @property
    def site(self) -> Site:
        return replace(super(OwnedHost, self).site, owner=self.owner)


def host_with(folder: Path, name: str = "dash", sudoers: str = WAY, owner: int = KEEPER) -> OwnedHost:
    root, home = folder / "srv", folder / "home"
    for made in (root, home):
        made.mkdir()
    shutil.chown(home, OPERATOR, OPERATOR)
    home.chmod(0o700)
    more = {
        "passwd": f"operator:x:{OPERATOR}:{OPERATOR}::{home}:/bin/sh\n"
        f"keeper:x:{KEEPER}:{KEEPER}::/nonexistent:/usr/sbin/nologin\n",
        "shadow": f"operator:{hashed()}:19000:0:99999:7:::\nkeeper:*:19000:0:99999:7:::\n",
        "group": f"operator:x:{OPERATOR}:\nkeeper:x:{KEEPER}:\ncrew:x:{CREW}:keeper\nstrange:x:{CREW + 1}:\n",
    }
    files = etc(folder, "Defaults use_pty\nroot ALL=(ALL) ALL\n" + sudoers, more)
    shutil.chown(root, owner, owner)
    plain = shell(name, folder)
    host = OwnedHost(Elsewhere(plain.name, plain.argv, plain.env, files=files, at=str(home)), root)
    for release in ("v1", "v2"):
        host.provide(RELEASES[release])
    return host


def owners(root: Path) -> set[int]:
    """Return whom everything at and below a path belongs to."""
    return {p.lstat().st_uid for p in (root, *root.rglob("*"))}


def test_everything_that_is_made_is_the_owners_and_its_state_is_closed_to_others(place: Path) -> None:
    host = host_with(place)
    shared = Shared(dirs=("up/loads",), files=(SharedFile(path="conf/env", content="A=1\n"),), group="crew")
    assert host.do(replace(install("v1"), shared=shared)).fields["installed"] == "new"
    assert host.do(activate("v1", service=NoService())).status == "done"
    assert host.do(mark("v1", "kept")).status == "done"
    assert host.current() == "v1"
    assert owners(host.root) == {KEEPER}
    assert stat.S_IMODE((host.root / ".rollout").stat().st_mode) == 0o700
    given = (host.root / "shared/up/loads").stat()
    assert (stat.S_IMODE(given.st_mode), given.st_gid) == (0o2775, CREW)
    read = (host.root / "shared/conf/env").stat()
    assert (stat.S_IMODE(read.st_mode), read.st_gid) == (0o640, CREW)


def every_deed(host: OwnedHost, **more: object) -> Iterator[tuple[str, Reply]]:
    """Say one of each, as a rollout and its way back do; yield what each of them led to."""
    two = RELEASES["v2"].release
    for deed in (
        Observe(service=SERVICE),
        install("v1"),
        activate("v1"),
        Identify(release=RELEASES["v1"].release.id, service=SERVICE),
        mark("v1", "kept"),
        install("v2"),
        RunTask(task=Task(shell="id -un >>made"), release=two.id),
        Activate(release=two.id, manifest=two.manifest, expect=RELEASES["v1"].release.id, service=SERVICE),
        Settle(op="r1-1"),
        Inspect(),
        Collect(service=SERVICE),
        activate("v1", "v2"),
        Prune(releases=(two.id,), service=SERVICE),
        Withdraw(release=RELEASES["v1"].release.id, service=SERVICE),
        Close(),
    ):
        yield type(deed).__name__, host.do(deed, **more)


@pytest.mark.parametrize(
    ("name", "sudoers", "password"),
    [
        pytest.param("dash", WAY, "", id="just that line"),
        pytest.param("bash", UNASKED, "", id="unasked", marks=pytest.mark.long),
        pytest.param("dash", ASKED, PASSWORD, id="asked"),
        pytest.param("bash", UNASKED, PASSWORD, id="a password that nobody asks for", marks=pytest.mark.long),
    ],
)
def test_every_step_of_a_rollout_is_taken_by_the_owner(place: Path, name: str, sudoers: str, password: str) -> None:
    host = host_with(place, name, sudoers)
    for deed, reply in every_deed(host, password=password):
        assert reply.status == "done", (deed, reply)
        assert owners(host.root) == {KEEPER}, deed
        if deed == "RunTask":
            assert (host.root / "releases/v2/made").read_text() == "keeper\n"
    assert host.current() == ""
    assert [p.name for p in (host.root / "releases").iterdir()] == ["v1"]


def gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has asked for its end yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_process_outlives_the_sudo_that_started_it(place: Path) -> None:
    host = host_with(place)
    host.do(install("v1"))
    assert host.do(activate("v1")).status == "done"
    pid = int((host.root / ".rollout/pid").read_text().split()[0])
    time.sleep(0.3)
    assert os.stat(f"/proc/{pid}").st_uid == KEEPER
    assert host.do(Withdraw(release=RELEASES["v1"].release.id, service=SERVICE)).status == "done"
    assert gone(pid)


@pytest.mark.parametrize(
    ("sudoers", "password", "why"),
    [
        ("", "", "sudo does not let operator become keeper without a password"),
        (ASKED, "", "sudo does not let operator become keeper without a password"),
        ("operator ALL=(root) NOPASSWD: ALL\n", "", "sudo does not let operator become keeper without a password"),
        (ASKED, "wrong", "sudo does not take the password of operator, or does not let it become keeper"),
        ("", PASSWORD, "sudo does not take the password of operator, or does not let it become keeper"),
    ],
    ids=["no rights", "asked", "rights for another", "a wrong password", "a password, and no rights"],
)
def test_who_cannot_become_the_owner_says_so_and_does_nothing(
    place: Path,
    sudoers: str,
    password: str,
    why: str,
) -> None:
    host = host_with(place, sudoers=sudoers)
    steps = (Observe(service=SERVICE), install("v1"), Settle(op="r1-2"))
    for deed in steps[: 1 if password else 3]:  # who is wrong waits
        reply = host.do(deed, password=password)
        assert (reply.status, reply.code, reply.summary) == ("refused", "E_SUDO", why)
    assert not list(host.root.iterdir())


@pytest.mark.long
def test_a_sudo_that_does_not_answer_is_given_up_within_its_ten_seconds(place: Path) -> None:
    host = host_with(place)
    (place / "slow").mkdir()
    (place / "slow/sudo").write_text("#!/bin/sh\nexec sleep 60\n")
    (place / "slow/sudo").chmod(0o755)
    host.shell = replace(host.shell, env={**host.shell.env, "PATH": f"{place}/slow:/usr/bin:/bin"})
    began = time.monotonic()
    reply = host.do(Observe(service=SERVICE))
    assert (reply.code, reply.summary) == ("E_SUDO", "sudo gives no answer within 10 s")
    assert time.monotonic() - began < 50


def test_the_password_opens_the_way_to_the_owner_and_goes_no_further(place: Path) -> None:
    host = host_with(place, sudoers=ASKED)
    told = "id -un; cat; env; cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' ' ' | grep -c 'pass w'"
    reply = host.do(RunTask(task=Task(shell=told, stdin="its own\n")), password=PASSWORD)
    assert reply.tail[:2] == ("keeper", "its own")
    assert reply.tail[-1] == "1", "the line that looks for it is the only one"
    assert not any(PASSWORD in line for line in reply.tail)
    other = host.do(RunTask(task=Task(argv=("id", "-un"), user="root")), password=PASSWORD)
    assert other.status != "done", "who logs in may become root, and the owner may not"


def test_a_service_is_controlled_with_the_owners_rights(place: Path) -> None:
    out = place / "out"
    service = Commands(restart=("/usr/bin/touch", str(out)))
    host = host_with(place, sudoers=WAY + f"keeper ALL=(root) NOPASSWD: /usr/bin/touch {out}\n")
    host.do(install("v1"))
    assert host.do(Observe(service=service), become="root").fields["sudo"] == "ok"
    assert host.do(activate("v1", service=service), become="root").status == "done"
    assert out.stat().st_uid == 0
    assert owners(host.root) == {KEEPER}
    refused = host.do(Observe(service=Commands(restart=("/usr/bin/touch", "/x"))), become="root")
    assert refused.fields["sudo"] == "refused"


def test_a_root_of_another_user_is_seen_before_anything_is_made(place: Path) -> None:
    host = host_with(place, owner=OPERATOR)
    seen = host.do(Observe(service=SERVICE)).fields
    assert (seen["root"], seen["root_why"]) == ("unsafe", f"{host.root} belongs to uid {OPERATOR}")
    assert host.do(install("v1")).code == "E_ROOT"
    assert not list(host.root.iterdir())


def test_what_was_given_over_in_part_is_seen_before_anything_is_made(place: Path) -> None:
    host = host_with(place, owner=OPERATOR)
    before = replace(host.op(install("v1")), site=replace(host.site, owner=""))
    assert host.execute(before).status == "done"
    assert owners(host.root) == {OPERATOR}
    for part in (host.root, host.root / ".rollout", host.root / "releases"):
        shutil.chown(part, KEEPER)
    seen = host.do(Observe(service=SERVICE)).fields
    assert (seen["root"], seen["writable"]) == ("ok", "0")
    subprocess.run(["chown", "-hR", str(KEEPER), host.root], check=True)
    assert host.do(Observe(service=SERVICE)).fields["writable"] == "1"


@pytest.mark.parametrize(("group", "said"), [("crew", ""), ("strange", "outside"), ("no-such-group", "missing")])
def test_a_group_that_the_owner_can_give_nothing_to_is_seen(place: Path, group: str, said: str) -> None:
    host = host_with(place)
    shared = Shared(dirs=("up",), group=group)
    assert host.do(Observe(service=SERVICE, shared=shared)).fields.get("group", "") == said
    reply = host.do(replace(install("v1"), shared=shared))
    assert reply.code == ("E_SHARED" if said else "")


def test_a_shared_directory_that_was_there_gets_the_group_or_is_refused(place: Path) -> None:
    host = host_with(place)
    shared = Shared(dirs=("up",), files=(SharedFile(path="env", content="A=1\n"),), group="crew")
    old = host.root / "shared/up"
    old.mkdir(parents=True)
    written = host.root / "shared/env"
    written.write_text("A=1\n")
    for part in (old.parent, old, written):
        shutil.chown(part, KEEPER, KEEPER)
    assert host.do(replace(install("v1"), shared=shared)).status == "done"
    assert (stat.S_IMODE(old.stat().st_mode), old.stat().st_gid) == (0o2775, CREW)
    assert (stat.S_IMODE(written.stat().st_mode), written.stat().st_gid) == (0o640, CREW)
    shutil.chown(old, OPERATOR, OPERATOR)
    reply = host.do(replace(install("v2"), shared=shared))
    assert reply.code == "E_SHARED"
    assert f"chgrp crew {old} && chmod 2775 {old}" in reply.summary
    shutil.chown(old, OPERATOR, CREW)
    old.chmod(0o2775)
    assert host.do(replace(install("v2"), shared=shared)).status == "done"
    assert old.stat().st_uid == OPERATOR


def test_a_rendered_file_is_read_by_the_group_and_by_nobody_else(place: Path) -> None:
    host = host_with(place)
    host.provide(OWN)
    deed = Install(release=OWN.release, rendered=FILES, shared=Shared(group="crew"))
    assert host.do(deed).status == "done"
    written = (host.root / "releases" / OWN.release.id / FILES[0].path).stat()
    assert (written.st_uid, written.st_gid) == (KEEPER, CREW)
    assert stat.S_IMODE(written.st_mode) == int(FILES[0].mode, 8)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_the_group_cannot_be_given_is_refused_and_open_to_nobody(place: Path, name: str) -> None:
    host = ShellHost(replace(shell(name, place), user=KEEPER), place / "srv")
    host.root.mkdir()
    shutil.chown(host.root, KEEPER, KEEPER)
    host.provide(OWN)
    reply = host.do(Install(release=OWN.release, rendered=FILES, shared=Shared(group="daemon")))
    assert (reply.status, reply.code) == ("refused", "E_SHARED"), reply
    assert "cannot let the group daemon read config/app/env" in reply.summary
    assert not (host.root / "releases").exists()
    assert not list((host.root / ".rollout/incoming").iterdir())
    written = host.root / "shared/env"
    written.parent.mkdir()
    written.write_text("A=1\n")
    written.chmod(0o644)
    for part in (written.parent, written):
        shutil.chown(part, KEEPER, KEEPER)
    host.provide(RELEASES["v2"])
    shared = Shared(files=(SharedFile(path="env", content="A=1\n"),), group="daemon")
    reply = host.do(replace(install("v2"), shared=shared))
    assert (reply.code, "read shared/env" in reply.summary) == ("E_SHARED", True), reply
    assert stat.S_IMODE(written.stat().st_mode) == 0o640
    shutil.chown(written, KEEPER, "daemon")
    assert host.do(replace(install("v2"), shared=shared)).status == "done", "it is right already"


def test_a_step_with_a_group_stays_small_and_the_way_to_an_owner_too() -> None:
    site = Site(root="/srv", app="a", environment="e")
    bare = Op(id="1", epoch=Epoch(number=1, rollout="r", sequence=1), site=site, do=install("v1"))
    grouped = replace(bare, do=replace(install("v1"), shared=Shared(group="crew")))
    assert 0 < len(frame.render(grouped, NONCE)) - len(frame.render(bare, NONCE)) < 600
    owned = replace(grouped, site=replace(site, owner="keeper"))
    assert len(frame.render(owned, NONCE)) - len(frame.render(grouped, NONCE)) < 6_000
    assert frame.render(owned, NONCE).endswith(frame.render(grouped, NONCE)), "the step is the same, whoever takes it"
