"""Policy files: what they say, what is wrong with them and where, and who may have written them."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from rollout.app.policyfile import found_policy, parsed
from rollout.engine.rules import Rules
from rollout.engine.weaker import COMPARISONS
from rollout.errors import InputError

GOOD = """\
keepers = ["ann@example.org ssh-ed25519 AAAA"]

[environments.production]
hosts = ["web*", "10.0.0.*"]
signers = ["ann@example.org"]
require_signature = true
not_weaker = ["floor", "checks"]
allow_local = [["make", "notes"]]

[environments.staging]
not_weaker = ["all"]
"""


def test_what_a_policy_says() -> None:
    found = parsed("p.toml", GOOD.encode())
    assert found.environments["production"] == Rules(
        hosts=("web*", "10.0.0.*"),
        signers=("ann@example.org",),
        require_signature=True,
        not_weaker=("floor", "checks"),
        allow_local=(("make", "notes"),),
    )
    assert found.environments["staging"].not_weaker == tuple(COMPARISONS)
    assert found.keepers == ("ann@example.org ssh-ed25519 AAAA",)


WRONG = [
    ("web*", "web*\x80", "p.toml: E_ENCODING"),
    ("hosts = [", "hosts = [[", "p.toml:5:1: E_SYNTAX: It is no TOML: Unclosed array."),
    ("keepers", "keeper", "p.toml:1:1: E_POLICY_FILE: There is no key `keeper`. Did you mean `keepers`?"),
    ('not_weaker = ["floor"', '\n  not_weaker = ["flor"', "p.toml:8:3: E_POLICY_FILE: There is no comparison `flor`"),
    ("hosts = [", "host = [", "p.toml:4:1: E_POLICY_FILE: There is no key `host`. Did you mean `hosts`?"),
    ('["make", "notes"]]', '"make notes"]', "p.toml:8:1: E_POLICY_FILE: `allow_local` is a list of lists of words"),
    ('["make", "notes"]]', "[]]", "p.toml:8:1: E_POLICY_FILE: `allow_local`"),
    ("true", "1", "p.toml:6:1: E_POLICY_FILE: `require_signature` is true or false."),
    ('["web*", "10.0.0.*"]', '"web*"', "p.toml:4:1: E_POLICY_FILE: `hosts` is a list of texts, not `web*`."),
    (GOOD, "", "p.toml:1:1: E_POLICY_FILE: A policy names environments."),
    ('not_weaker = ["all"]', 'not_weaker = ["al"]', "p.toml:11:1: E_POLICY_FILE: There is no comparison `al`"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as found:
        parsed("p.toml", GOOD.replace(old, new, 1).encode("latin-1"))
    assert str(found.value).startswith(said)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as found:
        parsed("p.toml", GOOD.replace("hosts", "host").replace("floor", "flor").encode())
    assert len(found.value.problems) == 2


def test_the_policy_in_the_docs_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/policy.md").read_text()
    text = textwrap.dedent(page[page.index("    # Who may put") : page.index("`plan` and `apply` refuse")])
    assert parsed("policy.md", text.encode()).environments["production"].allow_local == (("make", "notes"),)


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    """A playbook in a project of its own."""
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "site.yml").touch()
    return folder / "site.yml"


def written(path: Path, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GOOD)
    path.chmod(mode)
    return path


@pytest.mark.bad("B27")
@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_policy_that_others_may_write_to_is_refused(tmp_path: Path, playbook: Path, mode: int) -> None:
    with pytest.raises(InputError, match="E_PERM: Others may write to the policy"):
        found_policy(str(written(tmp_path / "p.toml", mode)), playbook)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_policy_of_another_user_is_refused(tmp_path: Path, playbook: Path) -> None:
    path = written(tmp_path / "p.toml")
    os.chown(path, 12345, 12345)
    with pytest.raises(InputError, match="E_PERM"):
        found_policy(str(path), playbook)


def test_a_policy_in_the_project_that_it_is_for_is_refused(tmp_path: Path, playbook: Path) -> None:
    written(playbook.parent / "policy.toml")
    (tmp_path / "link.toml").symlink_to(playbook.parent / "policy.toml")
    for name in (playbook.parent / "policy.toml", tmp_path / "link.toml"):
        with pytest.raises(InputError, match="lies in the project that it is for"):
            found_policy(str(name), playbook)


def test_the_controllers_own_policy_is_found_where_none_is_named(
    tmp_path: Path, playbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollout.app.policyfile.SYSTEM", tmp_path / "etc/policy.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert found_policy("", playbook) is None
    written(tmp_path / "etc/policy.toml")
    assert found_policy("", playbook).source == str(tmp_path / "etc/policy.toml")  # type: ignore[union-attr]
    written(tmp_path / "xdg/rollout/policy.toml")
    assert found_policy("", playbook).source == str(tmp_path / "xdg/rollout/policy.toml")  # type: ignore[union-attr]


def test_a_policy_at_a_revision_is_never_that_of_the_working_tree(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    written(folder / "ops/policy.toml")
    (folder / "site.yml").touch()
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm x", "branch reviewed"):
        subprocess.run(["git", "-C", str(folder), *words.split()], check=True)
    (folder / "ops/policy.toml").write_text("[environments.production]\n")
    found = found_policy("git:reviewed:ops/policy.toml", folder / "site.yml")
    assert found is not None
    assert found.text == GOOD
    for named, said in {
        "git:HEAD:ops/policy.toml": "names no file at a revision",
        "git:--output=x:y": "names no file at a revision",
        "git:reviewed:../x": "names no file at a revision",
        "git:gone:x": "cannot be read",
        "git:reviewed:gone.toml": "cannot be read",
    }.items():
        with pytest.raises(InputError, match=said):
            found_policy(named, folder / "site.yml")
