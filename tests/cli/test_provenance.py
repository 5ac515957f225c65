"""What is written down of the command line holds no secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.app.provenance import fleet, without_values
from rollout.app.request import Request


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("--state postgresql://ann:hunter2@db/x", "--state postgresql://ann:***@db/x"),
        ("--state=postgres://ann:hun/t@er2@db:5432/x", "--state=postgres://ann:***@db:5432/x"),
        (
            "--state postgresql://ann@db/x?a=b&password=hunter2&c=d",
            "--state postgresql://ann@db/x?a=b&password=***&c=d",
        ),
        ("--artifact https://ci:hunter2@files/v1.tgz", "--artifact https://ci:***@files/v1.tgz"),
        ("--state postgresql://ann@db:5432/x", "--state postgresql://ann@db:5432/x"),
        ("--url http://127.0.0.1:80/a", "--url http://127.0.0.1:80/a"),
        ("--state postgresql://me@corp:hunter2@db/x", "--state postgresql://me@corp:***@db/x"),
        ("https://me@files:8443/npm/@scope/pkg.tgz", "https://me@files:8443/npm/@scope/pkg.tgz"),
        ("-m see https://ci:8080/job/1 for ann@corp", "-m see https://ci:8080/job/1 for ann@corp"),
        ("https://files:8443/npm/@scope/pkg.tgz", "https://files:8443/npm/@scope/pkg.tgz"),
        ("--state ssh://db:22/srv/s?jump=ops@bastion:2222", "--state ssh://db:22/srv/s?jump=ops@bastion:2222"),
        ("--state ssh://[fe80::1]:22/srv/s?jump=o@b", "--state ssh://[fe80::1]:22/srv/s?jump=o@b"),
        ("--state ssh://ann:hunter2@db:22/srv@x", "--state ssh://ann:***@db:22/srv@x"),
        ("--state ssh://ann@db:22/srv@x", "--state ssh://ann@db:22/srv@x"),
        ("-e token=hunter2 --extra-vars={hunter2}", "-e token=*** --extra-vars=***"),
        ("-ye token=hunter2 -bKetoken=hunter2 -y", "-ye token=*** -bKetoken=*** -y"),
    ],
)
def test_passwords_and_values_are_left_out(typed: str, kept: str) -> None:
    assert " ".join(without_values(typed.split())) == kept


@pytest.mark.parametrize("password", ["hun ter2", "hun\nter2", "hun@ter2"])
def test_a_password_with_anything_in_it_is_one(password: str) -> None:
    assert without_values([f"--state=postgresql://me:{password}@db/x"]) == ["--state=postgresql://me:***@db/x"]
    assert without_values([f"postgres://me@db/x?password={password}&a=b"])[0].endswith("password=***&a=b")


def test_what_says_which_fleet_is_meant_is_kept_to_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLLOUT_STATE", raising=False)
    plain = Request(playbook=Path("shop.yml"), inventory=("a b.ini", "web1,"))
    assert fleet(plain) == ["-i", "a b.ini", "-i", "web1,"]
    monkeypatch.setenv("ROLLOUT_STATE", "postgresql://me:hunter2@db/x")
    assert fleet(plain) == ["-i", "a b.ini", "-i", "web1,"], "a password that nobody typed is where it was"
    monkeypatch.setenv("ROLLOUT_STATE", "postgresql://me@db/x")
    more = replace(plain, inventory=(), environment="prod", user="deploy", private_key="k", become=True,
                   become_password="ref", extra_vars={"token": "hunter2"})  # fmt: skip
    said = ["--env", "prod", "-u", "deploy", "--private-key", "k", "-b", "-K", "--state", "postgresql://me@db/x"]
    assert fleet(more) == said
    for typed in ("://me:hunter2@db/x", "://me@db/x?password=hunter2", "://me:a@db/x?sslpassword=hunt@er2"):
        assert fleet(replace(more, state=f"postgresql{typed}")) == said, "its password is to be had elsewhere"
    two = fleet(replace(more, state="postgresql://me@db:5432/x?a=b&password=hun@ter2&c=d"))
    assert two[-1] == "postgresql://me@db:5432/x?a=b&c=d"
