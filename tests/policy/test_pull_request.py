"""A hostile pull request, from a real rollout on: what validate, plan and apply say of it, to the letter."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.app.request import cache_dir
from rollout.artifacts.cache import folder_of
from rollout.cli import main

PLAY = """\
- name: Shop
  app: shop
  hosts: web
  release: {{ id: "{{{{ version }}}}", artifact: "{artifact}", root: {root} }}
  service: none
  load_balancers: none
  allow_outage: true
  health:
    identity: none
    checks: [{checks}]
    healthy_for: {healthy_for}
    interval: 50ms
    deadline: 20s
{more}"""
GOOD = {
    "artifact": "dist/{{ version }}.tar",
    "checks": '{ command: { run: ["true"] } }, { command: { run: [test, -e, f] } }',
    "healthy_for": "100ms",
    "more": "",
}
POLICY = """\
[environments.default]
hosts = ["web?", "127.0.0.1"]
not_weaker = ["checks"]
allow_local = [["host", "web1"], ["make", "notes"]]
"""
LOCAL_TASK = """\
  hooks:
    before_rollout:
      - { run: [touch, ran], where: controller, env: { WHO: "{{ env('CI_COMMIT_SHA') }}" } }
"""


@dataclass(slots=True)
class Change:
    """A project that is deployed, under a policy, to this very machine."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def write(self, another: str = "", **words: str) -> None:
        """Write the playbook and its inventory as a change has them."""
        text = PLAY.format(**{**GOOD, "root": str(self.folder / "srv"), **words})
        (self.folder / "project/site.yml").write_text(text)
        (self.folder / "project/hosts.ini").write_text(f"[web]\nweb1 ansible_connection=local\n{another}\n")

    def type(self, verb: str, version: str, *more: str) -> tuple[int, str, str]:
        """Type a command; return its exit code and what it said."""
        state = () if verb == "validate" else ("--state", str(self.folder / "state.db"))
        code = main([verb, "site.yml", "-i", "hosts.ini", "-e", f"version={version}", *state, *more])
        out, err = self.capsys.readouterr()
        return code, out, err.replace(str(self.folder), "DIR")

    def policed(self, verb: str, *more: str) -> tuple[int, str, str]:
        """Type a command for v2 under the policy."""
        return self.type(verb, "v2", "--policy", str(self.folder / "policy.toml"), *more)

    @property
    def current(self) -> str:
        """What the link names."""
        return (self.folder / "srv/current").readlink().name


@pytest.fixture
def change(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Change:
    """The project with v1 rolled out under its policy, and v2 built."""
    made = Change(folder=tmp_path, capsys=capsys)
    for name in ("project/.git", "project/dist", "srv", "outside", "home"):
        (tmp_path / name).mkdir(parents=True)
    for version in ("v1", "v2"):
        for folder in ("project/dist", "outside"):
            with tarfile.open(tmp_path / folder / f"{version}.tar", "w") as tar:
                tar.addfile(tarfile.TarInfo("app/f"), io.BytesIO())
                member = tarfile.TarInfo(f"app/{version}")
                tar.addfile(member, io.BytesIO())
    (tmp_path / "policy.toml").write_text(POLICY)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CI", "")
    monkeypatch.setenv("CI_COMMIT_SHA", "abc")
    monkeypatch.setattr("rollout.app.policyfile.SYSTEM", tmp_path / "etc/policy.toml")
    made.write()
    code, _, err = made.type("apply", "v1", "--policy", str(tmp_path / "policy.toml"))
    assert code == 0, err
    return made


pytestmark = pytest.mark.timeout(120)


def test_a_path_out_of_the_project_is_refused_by_every_command(change: Change) -> None:
    change.write(artifact="../outside/{{ version }}.tar")
    for verb in ("validate", "plan", "apply"):
        code, _, err = change.type(verb, "v2")
        assert code == 2
        assert err.splitlines()[0] == (
            "site.yml:4:45: E_INCLUDE: The artifact `../outside/v2.tar` lies outside the project. Whoever may change "
            "the project could send any file of this machine to the hosts. Give a path below the project's folder, or "
            "name the place when you type: `-e artifacts=/PATH`."
        )


def test_what_a_change_adds_is_listed_and_what_the_policy_does_not_allow_is_refused(change: Change) -> None:
    change.write(checks='{ command: { run: ["true"] } }', healthy_for="50ms", more=LOCAL_TASK)
    assert change.type("validate", "v2")[0] == 0
    code, out, err = change.policed("plan")
    assert code == 6
    listed = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "ID", out.partition("\nPlan ")[2]).partition("\n")[2]
    assert (
        listed
        == """
Commands that run on this machine:
  - shop, before_rollout: env WHO touch ran
  - shop, everything that it is told, for it is this machine: host web1
  - git rev-parse HEAD: to put the checkout's commit on record
  - git status --porcelain: to put the checkout's commit on record

Secrets and variables of the environment that are asked for:
  - env(CI_COMMIT_SHA)

Weaker than in the last rollout of shop that succeeded (ID):
  - checks: 1 checks are made of a host, and 2 were
  - healthy_for: a host has to be healthy for 0.05 s, and had to for 0.1 s
"""
    )
    why = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "ID", err)
    assert [line.strip() for line in why.splitlines() if "E_POLICY" in line] == [
        "E_POLICY: this may not run on this machine: shop, before_rollout: env WHO touch ran. "
        "Its `allow_local` names the first words of what may.",
        "E_POLICY: weaker than it may get: checks: 1 checks are made of a host, and 2 were. "
        "It is held against rollout ID, the last of shop that succeeded.",
        "E_POLICY: the policy is DIR/policy.toml. "
        "To let it pass by hand, for the record: --override-policy --reason WHY",
    ]
    assert change.policed("apply")[0] == 6
    assert change.current == "v1"
    assert not (change.folder / "project/ran").exists()


def test_a_host_that_is_not_of_the_environment_is_refused_before_it_is_asked(change: Change) -> None:
    change.write(another="web2 ansible_host=192.0.2.1")
    for verb in ("plan", "apply"):
        code, out, err = change.policed(verb)
        assert code == 6
        assert "E_POLICY: these are no hosts of the environment by its policy: web2 (192.0.2.1). " in err
        assert "looking at" not in err
        assert not out


def test_a_host_that_is_new_is_listed(change: Change) -> None:
    skip = "  unreachable: skip\n  max_failures: 1\n  min_in_service: 0\n  connection: { connect_timeout: 1s }\n"
    change.write(another="web2 ansible_host=127.0.0.1 ansible_port=1", more=skip)
    code, out, err = change.policed("plan", "--json")
    assert code == 0, err
    review = json.loads(out)["review"]
    assert review["new_hosts"] == ["web2"]
    assert [w["name"] for w in review["weaker"]] == ["floor", "unreachable", "max_failures"]


def test_an_override_goes_on_and_is_said_and_on_record(change: Change) -> None:
    change.write(more=LOCAL_TASK)
    assert change.policed("apply", "--override-policy")[0] == 2
    assert change.policed("apply", "--reason", "fire")[0] == 2
    code, _, err = change.policed("apply", "--override-policy", "--reason", "fire")
    assert code == 0, err
    said = "this may not run on this machine: shop, before_rollout: env WHO touch ran."
    assert f"POLICY OVERRIDDEN (fire): {said}" in err
    assert change.current == "v2"
    state = ("--state", str(change.folder / "state.db"))
    assert main(["history", "--json", *state]) == 0
    newest = json.loads(change.capsys.readouterr().out)[0]["id"]
    assert main(["show", newest, *state]) == 0
    assert f"OVERRIDDEN fire: {said}" in change.capsys.readouterr().out


def test_the_policy_is_part_of_the_plan_and_remembered_from_the_first_rollout_on(change: Change) -> None:
    file = change.folder / "v2.plan"
    assert change.policed("plan", "--out", str(file))[0] == 0
    assert "E_POLICY: default is held to a policy" in change.type("apply", "v2")[2]
    (change.folder / "policy.toml").write_text(POLICY + "\n")
    assert "E_POLICY: this is not the policy of default" in change.policed("apply", "--plan", str(file))[2]
    words = [
        "policy",
        "pin",
        "--policy",
        str(change.folder / "policy.toml"),
        "--state",
        str(change.folder / "state.db"),
    ]
    assert main(words) == 6
    assert main([*words, "--reason", "moved"]) == 0
    assert "E_DRIFT: policy: " in change.policed("apply", "--plan", str(file))[2]
    assert change.policed("apply")[0] == 0
    assert change.current == "v2"


# --- secrets that are read before there is a plan

TOLD = "{{{{ secret('cmd:touch {folder}/told') }}}}"  # its command leaves a file, and ends without a value
FORBIDS = POLICY.replace('["make", "notes"]', '["make", "notes"], ["tou"]')
ALLOWS = POLICY.replace('["make", "notes"]', '["touch"]')


def with_header(change: Change, version: str) -> None:
    """Have the artifact come from a URL that nobody answers at, with a secret in a header."""
    digest = hashlib.sha256((change.folder / f"project/dist/{version}.tar").read_bytes()).hexdigest()
    header = f'headers: {{ Authorization: "{TOLD.format(folder=change.folder)}" }}'
    artifact = f'artifact: {{ url: "https://127.0.0.1:1/app.tar", {header} }}, sha256: {digest}, root'
    change.write()
    file = change.folder / "project/site.yml"
    file.write_text(file.read_text().replace('artifact: "dist/{{ version }}.tar", root', artifact))


def with_template(change: Change, _: str) -> None:
    """Have a rendered file hold a secret."""
    change.write()
    (change.folder / "project/env.j2").write_text(f"PW={TOLD.format(folder=change.folder)}\n")
    file = change.folder / "project/site.yml"
    file.write_text(file.read_text().replace("root:", "templates: [{ src: env.j2, dest: env }], root:"))


def with_sudo(change: Change, _: str) -> None:
    """Have sudo on the hosts be told a secret."""
    password = f'password: "{TOLD.format(folder=change.folder)}"'
    change.write(more=f"  connection: {{ become: {{ user: nobody, {password} }} }}\n")


@pytest.mark.parametrize(
    ("asks", "verbs"),
    [
        (with_header, {"plan": "v2", "apply": "v2", "converge": "v1"}),
        (with_template, {"plan": "v2", "apply": "v2"}),
        (with_sudo, dict.fromkeys(("adopt", "verify", "releases"), "v1")),
    ],
)
def test_a_policy_is_asked_before_a_secret_is_read(
    change: Change, asks: Callable[[Change, str], None], verbs: dict[str, str]
) -> None:
    """The control is the same command under a policy that allows it: then the file is there."""
    for verb, version in verbs.items():
        asks(change, version)
        held = [typed_under(policy, change, verb, version) for policy in (FORBIDS, ALLOWS)]
        assert [there for there, _, _ in held] == [False, True], verb
        assert held[0][1] == 6
        assert "this may not run on this machine: shop, for the value of a secret: touch DIR/told." in held[0][2]


def typed_under(policy: str, change: Change, verb: str, version: str) -> tuple[bool, int, str]:
    """Type a command under a policy; return whether the secret's command ran, the exit code and what was said."""
    (change.folder / "policy.toml").write_text(policy)
    (change.folder / "told").unlink(missing_ok=True)
    named = ("--policy", str(change.folder / "policy.toml"))
    assert main(["policy", "pin", *named, "--reason", "a test", "--state", str(change.folder / "state.db")]) == 0
    code, _, err = change.type(verb, version, *(() if verb in ("verify", "releases") else named))
    return (change.folder / "told").exists(), code, err


def test_what_runs_for_a_header_is_listed_though_no_plan_has_it(change: Change) -> None:
    with_header(change, "v2")
    artifact = (change.folder / "project/dist/v2.tar").read_bytes()
    cached = folder_of(cache_dir())
    cached.mkdir(parents=True, exist_ok=True)
    (cached / hashlib.sha256(artifact).hexdigest()).write_bytes(artifact)
    code, out, err = change.policed("plan", "--override-policy", "--reason", "a test")
    assert code == 0, err
    assert f"  - shop, for the value of a secret: touch {change.folder}/told\n" in out
    assert err.count("POLICY OVERRIDDEN (a test): this may not run on this machine: shop, for the value of") == 1
    assert not (change.folder / "told").exists(), "the cache has it: nobody is asked"
