"""What was signed before binds what comes after: replay, downgrade, and what is let pass with a reason."""

from __future__ import annotations

import json
import subprocess
import time
import zipfile

import pytest

from tests.trust.bench import RELEASE, Bench
from tests.trust.test_refusals import signed

pytestmark = pytest.mark.timeout(120)


def apply(bench: Bench, version: str, *more: str, signature: str | None = "") -> tuple[int, list[str]]:
    bench.play(version, signature)
    said = bench.roll("apply", "-y", *more)
    return said.code, said.codes


def two(bench: Bench) -> None:
    """Roll v1 and then v2 out, v2 signed a second later."""
    bench.sign("v1")
    time.sleep(1.1)
    bench.sign("v2")
    assert apply(bench, "v1") == (0, [])
    assert apply(bench, "v2") == (0, [])


def test_who_signed_is_shown_and_journaled(bench: Bench) -> None:
    bench.sign("v1", "--expires", "30d")
    bench.play("v1", named=False)
    said = bench.roll("apply", "-y")
    assert f"signed    by {RELEASE}, SHA256:" in said.text
    assert (said.code, bench.current) == (0, "v1")  # the play names none: it is the id that is signed
    assert f"Signed     by {RELEASE} at 20" in bench.past("show")
    first = json.loads(bench.past("events", "--json").splitlines()[0])
    trust = first["event"]["plan"]["plays"][0]["trust"]
    assert (trust["of"], trust["identity"], trust["release"]) == ("statement", RELEASE, "v1")
    assert "BEGIN SSH SIGNATURE" in trust["text"]


@pytest.mark.bad("B63")
def test_an_older_release_is_a_replay_unless_somebody_says_why(bench: Bench) -> None:
    two(bench)
    bench.play("v1")
    for verb in ("plan", "apply"):
        said = bench.roll(verb)
        assert (said.code, said.codes) == (6, ["E_SIG_REPLAY"])
        assert "it may be an old one that somebody sends again" in said.text
    assert bench.current == "v2"
    assert apply(bench, "v1", "--allow-unsigned", "not this one") == (6, ["E_SIG_REPLAY"])
    assert apply(bench, "v2") == (0, [])  # the newest itself is no replay
    assert apply(bench, "v1", "--allow-downgrade", "v2 has a leak") == (0, ["E_SIG_REPLAY"])
    assert bench.current == "v1"
    assert "Let pass   E_SIG_REPLAY: v2 has a leak" in bench.past("show")


@pytest.mark.bad("B63")
def test_a_way_back_that_is_on_record_needs_nobody(bench: Bench) -> None:
    two(bench)
    for gone in ("key", "allowed", "shop-v1.tar", "shop-v1.tar.rollout-sig", "shop-v2.tar.rollout-sig"):
        (bench.folder / gone).unlink()
    said = bench.roll("rollback", "-y")
    assert (said.code, bench.current) == (0, "v1"), said.text


def test_what_was_reverted_makes_nothing_older(bench: Bench) -> None:
    bench.sign("v1")
    time.sleep(1.1)
    path = bench.sign("v2")
    assert path.exists()
    assert apply(bench, "v1") == (0, [])
    play = bench.play("v2")
    play.write_text(play.read_text().replace("[test, -f, hello]", "['false']").replace("20s", "1s"))
    assert bench.roll("apply", "-y").code == 4
    assert apply(bench, "v1") == (0, [])


@pytest.mark.bad("B63")
def test_what_was_signed_once_is_not_rolled_out_unsigned(bench: Bench) -> None:
    bench.sign("v1")
    bench.artifact("v2")
    assert apply(bench, "v1") == (0, [])
    assert apply(bench, "v2", signature=None) == (6, ["E_SIG_UNSIGNED"])
    assert apply(bench, "v2", "--allow-downgrade", "not this", signature=None) == (6, ["E_SIG_UNSIGNED"])
    assert apply(bench, "v2", "--allow-unsigned", "the signer is ill", signature=None)[0] == 0
    assert bench.current == "v2"


def test_an_app_that_was_never_signed_goes_on_as_ever(bench: Bench) -> None:
    bench.artifact("v1")
    assert apply(bench, "v1", signature=None) == (0, [])


@pytest.mark.bad("B63")
def test_a_signature_over_the_bytes_alone_says_what_is_not_checked(bench: Bench) -> None:
    data = bench.artifact("v1").read_bytes()
    signed(bench, "", namespace="file")  # of nothing
    plain = ", of: artifact"
    assert apply(bench, "v1", signature=plain) == (2, ["E_SIG_BAD"])
    words = ["ssh-keygen", "-Y", "sign", "-q", "-n", "file", "-f", str(bench.key("key"))]
    armour = subprocess.run(words, input=data, capture_output=True, check=True).stdout
    (bench.folder / "shop-v1.tar.rollout-sig").write_bytes(armour)
    bench.play("v1", plain)
    said = bench.roll("plan")
    assert said.code == 0
    assert "its app, its id, its age and what came before it are not checked" in said.text
    assert ", over the artifact alone" in said.text
    assert apply(bench, "v1", signature=", of: artifact, namespace: other") == (2, ["E_SIG_NAMESPACE"])
    bench.sign("v2")
    assert apply(bench, "v2") == (0, [])
    (bench.folder / "shop-v1.tar.rollout-sig").write_bytes(armour)
    assert apply(bench, "v1", signature=plain) == (6, ["E_SIG_UNSIGNED"])  # less than what was asked for before


@pytest.mark.bad("B63")
def test_an_archive_that_is_packed_again_is_signed_as_it_is_sent(bench: Bench) -> None:
    with zipfile.ZipFile(bench.folder / "shop-v1.zip", "w") as made:
        made.writestr("hello", "v1\n")
    made_of = bench.folder / "shop-v1.zip"
    words = ["sign", str(made_of), "--app", "shop", "--id", "v1", "--key", str(bench.key("key"))]
    assert bench.type(*words).code == 0
    play = bench.play("v1")
    play.write_text(play.read_text().replace("shop-v1.tar", "shop-v1.zip"))
    assert bench.roll("apply", "-y").code == 0
    text = (bench.folder / "shop-v1.zip.rollout-sig").read_text()
    assert text.partition("artifact ")[2][:64] != text.partition("sent ")[2][:64]
