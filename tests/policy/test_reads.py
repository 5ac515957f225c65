"""``validate`` runs nothing, asks nobody, and reads nothing but the project: what the kernel saw of it, and links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import rollout
from rollout.cli import main
from tests.policy.project import HOSTILE, HOSTS, PLAY, Project, made

CALLS = "execve,execveat,connect,sendto,sendmsg,open,openat,openat2"
SYSTEM = ("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/lib/", "/lib64/", "/usr/lib")  # what Python itself asks for
SYSTEM += ("/usr/share/locale/", "/usr/share/zoneinfo/", "/etc/ld.so.cache", "/etc/localtime", "/etc/locale.alias")
SYSTEM += ("/etc/ssl/openssl.cnf",)
TYPED = """\
from rollout.cli import main
words = "validate playbooks/site.yml -i inventories/"
assert main((words + "production.ini").split()) == 0
assert main((words + "hosts.sh").split()) == 2
"""
CALLED = re.compile(r'\b(\w+)\((?:AT_FDCWD, )?"([^"]*)"')


def validated(project: Project, *words: str) -> int:
    """Validate the project's playbook."""
    return main(["validate", str(project.playbook), "-i", str(project.folder / "inventories/production.ini"), *words])


@pytest.mark.timeout(120)
def test_the_kernel_saw_no_command_nobody_asked_and_no_file_but_the_projects(tmp_path: Path) -> None:
    project = made(tmp_path)
    project.write("playbooks/site.yml", PLAY + HOSTILE)
    project.write("inventories/hosts.sh", "#!/bin/sh\ntouch ran\n")
    (project.folder / "inventories/hosts.sh").chmod(0o755)
    trace = tmp_path / "trace"
    program = [sys.executable, "-B", "-c", TYPED]
    done = subprocess.run(
        ["strace", "-f", "-qq", "-s", "4096", "-o", str(trace), "-e", f"trace={CALLS}", *program],
        cwd=project.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = [line for line in trace.read_text().splitlines() if not line.endswith("ENOENT (No such file or directory)")]
    assert [line for line in seen if re.search(r"\b(connect|sendto|sendmsg)\(", line)] == []
    calls = [found.groups() for line in seen if (found := CALLED.search(line))]
    assert {path for call, path in calls if call.startswith("exec")} == {sys.executable}
    opened = {os.path.realpath(project.folder / path) for call, path in calls if call.startswith("open")}
    assert {str(project.folder / f"inventories/{name}") for name in ("production.ini", "hosts.sh")} <= opened
    ours = (str(project.folder), *pythons(), *SYSTEM)
    assert [path for path in opened if not path.startswith(ours)] == []
    assert not (project.folder / "ran").exists()


def pythons() -> set[str]:
    """Return the folders of Python, its packages, and ourselves."""
    paths = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, str(Path(rollout.__file__).parents[1])}
    return paths | {os.path.realpath(path) for path in paths}


LINKS = {
    "playbooks/site.yml": "secret.yml",
    "inventories/production.ini": "secret.ini",
    "inventories/host_vars/web1.yml": "secret.yml",
    "playbooks/group_vars/web.yml": "secret.yml",
    "vars.yml": "secret.yml",
    "dist/SHA256SUMS": "secret.yml",
}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_out_of_the_project_is_refused_unread(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project = made(tmp_path)
    assert validated(project) == 0
    project.link(name, project.outside / LINKS[name])
    assert validated(project) == 2
    said = capsys.readouterr().err
    assert "E_INCLUDE" in said
    assert os.path.basename(name) in said
    assert "hunter2" not in said


@pytest.mark.parametrize("name", ["playbooks", "inventories", "playbooks/group_vars"])
def test_a_folder_that_is_a_link_out_of_the_project_is_refused_too(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project = made(tmp_path)
    (project.folder / name).rename(project.outside / "moved")
    project.link(name, project.outside / "moved")
    assert validated(project) == 2
    assert "E_INCLUDE" in capsys.readouterr().err


def test_a_link_that_stays_in_the_project_is_followed(tmp_path: Path) -> None:
    project = made(tmp_path)
    project.link("inventories/host_vars/web1.yml", project.folder / "vars.yml")
    assert validated(project) == 0


def test_without_a_mark_the_files_of_an_inventory_may_link_to_each_other_and_nowhere_else(tmp_path: Path) -> None:
    project = made(tmp_path, marked=False)
    project.write("playbooks/site.yml", PLAY.replace("../", ""))
    project.write("playbooks/vars.yml", "colour: blue\n")
    project.write("playbooks/dist/app.tar", "")
    project.write("inventories/shared.yml", "zone: a\n")
    project.link("inventories/host_vars/web1.yml", project.folder / "inventories/shared.yml")
    assert validated(project) == 0
    project.link("inventories/host_vars/web1.yml", project.outside / "secret.yml")
    assert validated(project) == 2


def artifact(project: Project, path: str) -> None:
    """Have the play release something else."""
    project.write("playbooks/site.yml", PLAY.replace("../dist/app.tar", path))


@pytest.mark.parametrize(
    "path", ["../../outside/app.tar", "OUTSIDE/app.tar", "OUTSIDE", "~/app.tar", "../linked/app.tar"]
)
def test_an_artifact_outside_of_the_project_is_refused_at_its_place(
    tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = made(tmp_path)
    monkeypatch.setenv("HOME", str(project.outside))
    project.link("linked", project.outside)
    artifact(project, f'"{path.replace("OUTSIDE", str(project.outside))}"')
    assert validated(project) == 2
    assert re.search(r"site.yml:5:\d+: E_INCLUDE: The artifact .* lies outside the project", capsys.readouterr().err)


def test_what_a_person_typed_may_lie_anywhere_and_a_file_of_variables_cannot_say_so(tmp_path: Path) -> None:
    project = made(tmp_path)
    artifact(project, '"{{ builds }}/app.tar"')
    project.write("typed.yml", f"builds: {project.outside}\n")
    assert validated(project, "-e", f"builds={project.outside}") == 0
    assert validated(project, "-e", f'{{"builds": "{project.outside}"}}') == 0
    assert validated(project, "-e", f"@{project.folder}/typed.yml") == 2
    assert validated(project, "-e", f"other={project.outside}/dist", "-e", f"@{project.folder}/typed.yml") == 2


def test_an_inventory_of_ones_own_may_name_a_folder_and_the_projects_may_not(tmp_path: Path) -> None:
    project = made(tmp_path)
    artifact(project, '"{{ builds }}/app.tar"')
    said = f"[web:vars]\nbuilds={project.outside}\n"
    project.write("inventories/production.ini", HOSTS + said)
    assert validated(project) == 2
    project.write("inventories/production.ini", HOSTS)
    (project.outside / "own.ini").write_text(HOSTS + said)
    words = ["validate", str(project.playbook), "-i", str(project.outside / "own.ini")]
    assert main(words) == 0
    project.write("playbooks/group_vars/web.yml", f"builds: {tmp_path}/elsewhere\n")  # lies over the inventory's
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/app.tar").touch()
    assert main(words) == 2


def test_a_file_of_variables_that_was_typed_is_read_where_it_lies_and_not_where_a_link_leads(tmp_path: Path) -> None:
    project = made(tmp_path)
    assert validated(project, "-e", f"@{project.outside}/secret.yml") == 0
    project.link("typed.yml", project.outside / "secret.yml")
    assert validated(project, "-e", f"@{project.folder}/typed.yml") == 2
