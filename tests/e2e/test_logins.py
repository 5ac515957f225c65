"""What sshds, login shells and their start-up files do before a step begins, under whole rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]

SWALLOWED = {
    "lab1": "exit 3\n",
    "lab2": "read -r line\n",
    "lab3": "exec dash\n",  # which takes the script, and then the artifact, for its own commands
    "lab4": "echo 'this account is \033[2Jclosed' >&2; exec false\n",
}
HARMLESS = {
    "lab1": "echo 'welcome to lab1'; printf '\\033[2J\\r'; echo careful >&2\n",
    "lab2": "sleep 1\n",
    "lab3": "yes noise | head -c 3000000; yes worse | head -c 300000 >&2\n",
}
NARROW = ("MaxSessions 1", "MaxStartups 1:100:1")
LOST = ("HOME=/nowhere PATH=/nowhere/bin", 'ForceCommand cd / && eval "$SSH_ORIGINAL_COMMAND"')


@contextmanager
def start_up_files(lab: Lab, texts: Mapping[str, str]) -> Iterator[None]:
    """Have the login shell of these hosts read a file of ours first, as bash does under sshd."""
    files = {lab.fleet.host(host).folder / "home" / ".bashrc": text for host, text in texts.items()}
    for file, text in files.items():
        file.write_text(text)
    try:
        yield
    finally:
        for file in files:
            file.unlink()


@contextmanager
def configured(lab: Lab, host: str, *lines: str, environment: str = "") -> Iterator[None]:
    """Have a host's sshd say more than the lab wants, for a while."""
    file = lab.fleet.host(host).folder / "sshd_config"
    before = file.read_text()
    home = f"HOME={lab.fleet.host(host).folder}/home"
    try:
        lab.fleet.stop_host(host)
        file.write_text("".join(f"{line}\n" for line in lines) + before.replace(home, environment or home))
        lab.fleet.start_host(host)
        yield
    finally:
        lab.fleet.stop_host(host)
        file.write_text(before)
        lab.fleet.start_host(host)


@pytest.mark.fault("F45")
def test_start_up_files_that_swallow_what_is_said_are_named_before_anything_is_touched(lab: Lab) -> None:
    with start_up_files(lab, SWALLOWED):
        done = lab.apply("v1")
    print(done.stdout, done.stderr)
    assert done.returncode == 6
    assert done.stderr.count("E_SHELL: host lab") == 4
    assert "host lab1: its login shell does not run what it is told" in done.stderr
    assert "(exit status 3)" in done.stderr
    assert r"it said: this account is \x1b[2Jclosed" in done.stderr
    assert "~/.bashrc" in done.stderr
    for host in lab.hosts:
        assert not list(lab.fleet.host(host).root.iterdir()), "nothing of it was run by another shell"


@pytest.mark.fault("F36", "F45", "F47")
def test_noise_slowness_few_sessions_and_a_bare_environment_are_got_over(lab: Lab) -> None:
    with (
        start_up_files(lab, HARMLESS),
        configured(lab, "lab4", *NARROW, environment="HOME=/nowhere PATH=/nowhere/bin"),
    ):
        done = lab.apply("v1")
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert lab.all_on("v1")
