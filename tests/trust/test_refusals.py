"""Row B63: each reason not to take a signature, by its own code and text. Nobody is contacted, nothing written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollout.trust.statement import parted
from tests.trust.bench import NAMESPACE, RELEASE, Bench

Alter = Callable[[Bench], object]


def signed(bench: Bench, text: str, *, key: str = "key", namespace: str = NAMESPACE, version: str = "v1") -> None:
    """Put a text and its signature where the release's signature is."""
    words = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(bench.key(key))]
    armour = subprocess.run(words, input=text.encode(), capture_output=True, check=True).stdout.decode()
    (bench.folder / f"shop-{version}.tar.rollout-sig").write_text(text + armour)


def edited(bench: Bench, was: str, now: str) -> str:
    """Return the statement with something else in it."""
    said = parted(bench.sign("v1").read_text())[0]
    assert was in said
    return said.replace(was, now)


def missing(bench: Bench) -> None:
    (bench.folder / "shop-v1.tar.rollout-sig").unlink()


def noise(bench: Bench) -> None:
    (bench.folder / "shop-v1.tar.rollout-sig").write_bytes(b"\xff" * 100)


def huge(bench: Bench) -> None:
    (bench.folder / "shop-v1.tar.rollout-sig").write_text("x" * 100_000)


def fifo(bench: Bench) -> None:
    missing(bench)
    os.mkfifo(bench.folder / "shop-v1.tar.rollout-sig")


def cut(bench: Bench) -> None:
    path = bench.folder / "shop-v1.tar.rollout-sig"
    path.write_text(path.read_text()[:-40])


def other_text(bench: Bench) -> None:
    path = bench.folder / "shop-v1.tar.rollout-sig"
    path.write_text(path.read_text().replace("release v1", "release v2"))


def other_namespace(bench: Bench) -> None:
    signed(bench, parted(bench.sign("v1").read_text())[0], namespace="file")


def stranger(bench: Bench) -> None:
    bench.sign("v1", key="stranger")


def other_identity(bench: Bench) -> None:
    bench.allow(f"dev@example.org {bench.public('key')}")


def not_yet(bench: Bench) -> None:
    bench.allow(f'{RELEASE} valid-after="20900101Z" {bench.public("key")}')


def no_longer(bench: Bench) -> None:
    bench.allow(f'{RELEASE} valid-before="20200101Z" {bench.public("key")}')


def for_others(bench: Bench) -> None:
    bench.allow(f'{RELEASE} namespaces="git" {bench.public("key")}')


def revoked_key(bench: Bench) -> None:
    (bench.folder / "revoked").write_text(bench.public("key") + "\n")


def revoked_krl(bench: Bench) -> None:
    words = ["ssh-keygen", "-q", "-k", "-f", str(bench.folder / "revoked"), str(bench.key("key")) + ".pub"]
    subprocess.run(words, check=True)


def other_app(bench: Bench) -> None:
    signed(bench, edited(bench, "app shop", "app till"))


def other_id(bench: Bench) -> None:
    signed(bench, edited(bench, "release v1", "release v2"))


def other_bytes(bench: Bench) -> None:
    with (bench.folder / "shop-v1.tar").open("ab") as file:
        file.write(b"\0" * 512)


def other_tree(bench: Bench) -> None:
    said = parted(bench.sign("v1").read_text())[0]
    manifest = said.partition("manifest ")[2][:64]
    signed(bench, said.replace(manifest, "0" * 64))


def expired(bench: Bench) -> None:
    bench.sign("v1", "--expires", "30d")
    said = parted((bench.folder / "shop-v1.tar.rollout-sig").read_text())[0]
    signed(bench, said.partition("expires ")[0] + "expires 2026-01-01T00:00:00Z\n")


def of_tomorrow(bench: Bench) -> None:
    said = parted(bench.sign("v1").read_text())[0]
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    signed(bench, said.partition("created ")[0] + f"created {tomorrow}\n")


def no_statement(bench: Bench) -> None:
    signed(bench, "let it pass\n")


REASONS: dict[str, tuple[Alter, str, str]] = {
    "missing": (missing, "E_SIG_MISSING", "is not there. Make it: rollout sign ARTIFACT"),
    "noise": (noise, "E_SIG_UNREADABLE", "it is far too long, or no text."),
    "huge": (huge, "E_SIG_UNREADABLE", "it is far too long, or no text."),
    "a FIFO": (fifo, "E_SIG_UNREADABLE", "it is not a regular file."),
    "cut": (cut, "E_SIG_UNREADABLE", "it holds no SSH signature."),
    "no statement": (no_statement, "E_SIG_UNREADABLE", "what is signed is no statement of ours."),
    "changed": (other_text, "E_SIG_BAD", "what was signed is not what is here: bytes were changed since."),
    "another purpose": (other_namespace, "E_SIG_NAMESPACE", f"it was made for 'file', and not for '{NAMESPACE}'."),
    "a key for others": (for_others, "E_SIG_NAMESPACE", "may sign for 'git' alone."),
    "a stranger": (stranger, "E_SIG_SIGNER", "is none of the allowed signers."),
    "another identity": (other_identity, "E_SIG_IDENTITY", f"is that of dev@example.org, and not of {RELEASE}."),
    "a key of tomorrow": (not_yet, "E_SIG_NOT_YET", "counts from 20900101Z on, and not yet."),
    "a key of yesterday": (no_longer, "E_SIG_KEY_EXPIRED", "has counted until 20200101Z."),
    "revoked": (revoked_key, "E_SIG_REVOKED", "is revoked."),
    "revoked by a KRL": (revoked_krl, "E_SIG_REVOKED", "is revoked."),
    "another app": (other_app, "E_SIG_APP", "it is about the app till, and this is shop."),
    "another id": (other_id, "E_SIG_ID", "it is about release v2, and the play names v1."),
    "other bytes": (other_bytes, "E_SIG_BYTES", "it is about the artifact"),
    "unpacked otherwise": (other_tree, "E_SIG_BYTES", "the same artifact unpacked in another way."),
    "expired": (expired, "E_SIG_EXPIRED", "it was to be rolled out before 2026-01-01T00:00:00Z."),
    "of tomorrow": (of_tomorrow, "E_SIG_CREATED", "which is not yet."),
}


@pytest.mark.bad("B63")
@pytest.mark.parametrize(
    ("why", "verb"), [*((why, "plan") for why in REASONS), ("changed", "apply"), ("revoked", "apply")]
)
def test_each_reason_has_its_own_code_and_text(why: str, verb: str, bench: Bench) -> None:
    alter, code, text = REASONS[why]
    bench.sign("v1")
    bench.play("v1", ", revoked: revoked")
    (bench.folder / "revoked").touch()
    alter(bench)
    said = bench.roll(verb, *(["-y"] if verb == "apply" else []))
    assert (said.code, said.codes[:1]) == (2, [code]), said.text
    assert text in " ".join(said.text.split())
    assert f"{bench.folder}/play.yml:7:" in said.text
    assert not list((bench.folder / "root").iterdir())
    assert not (bench.folder / "state.db").exists()


@pytest.mark.bad("B63")
def test_everything_that_a_statement_is_wrong_about_is_said_at_once(bench: Bench) -> None:
    said = edited(bench, "app shop\nrelease v1", "app till\nrelease v9")
    signed(bench, said + "expires 2026-01-01T00:00:00Z\n")
    bench.play("v1")
    assert bench.roll("plan").codes == ["E_SIG_APP", "E_SIG_ID", "E_SIG_EXPIRED"]


@pytest.mark.bad("B27", "B63")
@pytest.mark.parametrize(
    ("name", "make", "code"),
    [
        ("allowed", lambda p: p.chmod(0o666), "E_PERM"),
        ("revoked", lambda p: p.chmod(0o602), "E_PERM"),
        ("allowed", Path.unlink, "E_NOT_FILE"),
        ("revoked", Path.unlink, "E_NOT_FILE"),
        ("revoked", lambda p: p.write_text("nonsense\n"), "E_SIG_REVOKED"),
    ],
)
def test_files_that_say_whom_we_trust(name: str, make: Callable[[Path], object], code: str, bench: Bench) -> None:
    bench.sign("v1")
    bench.play("v1", ", revoked: revoked")
    (bench.folder / "revoked").touch()
    make(bench.folder / name)
    said = bench.roll("plan")
    assert (said.code, said.codes) == (2, [code]), said.text


@pytest.mark.bad("B63")
def test_without_ssh_keygen_nothing_is_taken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.sign("v1")
    bench.play("v1")
    monkeypatch.setenv("PATH", str(bench.folder))
    assert bench.roll("plan").codes == ["E_SIG_TOOL"]
    assert bench.type("sign", str(bench.artifact("v2")), "--app", "shop", "--id", "v2", "--key", "k").codes == ["E_KEY"]
