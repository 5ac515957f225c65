"""What is written down of the command line holds no secret."""

from __future__ import annotations

import pytest

from rollout.app.provenance import without_values


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
        ("-e token=hunter2 --extra-vars={hunter2}", "-e token=*** --extra-vars=***"),
    ],
)
def test_passwords_and_values_are_left_out(typed: str, kept: str) -> None:
    assert " ".join(without_values(typed.split())) == kept
