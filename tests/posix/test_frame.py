"""What comes back: noise, forgeries and torn replies around one frame."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.model.release import NoService, Process, ReleaseId, Site, Systemd, SystemdUnit
from rollout.posix import frame
from rollout.posix.frame import parse, render
from rollout.posix.op import Activate, Deed, Epoch, Install, Mark, Observe, Op, Reply
from rollout.testing.contracts import RELEASES

N = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
GOOD = f"\n{N} begin\n{N} f current v1\n{N} t a line\n{N} s all is well\n{N} end done -\n"
REPLY = Reply(status="done", summary="all is well", fields={"current": "v1"}, tail=("a line",))

WHOLE = {
    "alone": GOOD,
    "a message of the day": "Welcome!\nhave fun\n" + GOOD,
    "noise without its newline": "Last login" + GOOD[1:],
    "noise between": GOOD.replace(f"{N} t", f"broken\n{N} t"),
    "noise behind": GOOD + "logout\n",
    "a trailer of somebody else's": f"\n{OTHER} begin\n{OTHER} end failed E_X\n" + GOOD,
    "a second trailer": GOOD + f"{N} end failed E_SERVICE\n",
    "carriage returns and escapes around": "\x1b]0;title\x07\r\n" + GOOD,
    "zero bytes around": "\0\0" + GOOD + "\0",
}


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
@pytest.mark.fault("F45", "F49")
def test_the_reply_is_found(text: str) -> None:
    assert parse(N, text.encode()) == REPLY


NOTHING = {
    "nothing": "",
    "only noise": "done\nend done -\n",
    "no begin": GOOD.replace(f"{N} begin\n", ""),
    "no end": GOOD.replace(f"{N} end done -\n", ""),
    "end before begin": f"{N} end done -\n{N} begin\n",
    "another nonce": GOOD.replace(N, OTHER),
    "part of the nonce": GOOD.replace(N, N[:-1]),
    "an unknown status": GOOD.replace("end done -", "end splendid -"),
    "no code": GOOD.replace("end done -", "end done"),
    "a code that is none": GOOD.replace("end done -", "end failed rm -rf"),
}


@pytest.mark.parametrize("text", NOTHING.values(), ids=NOTHING)
@pytest.mark.fault("F49")
def test_without_a_trailer_the_outcome_is_unknown(text: str) -> None:
    assert parse(N, text.encode()) is None


@pytest.mark.parametrize("cut", range(len(GOOD) - 2))
@pytest.mark.fault("F29")
def test_a_torn_reply_proves_nothing(cut: int) -> None:
    assert parse(N, GOOD.encode()[:cut]) is None


@given(st.binary(max_size=400), st.binary(max_size=400))
@pytest.mark.fault("F49")
def test_hostile_bytes_are_only_data(before: bytes, value: bytes) -> None:
    value = value.replace(b"\n", b"")
    text = before + f"\n{N} begin\n{N} f key ".encode() + value + f"\n{N} end done -\n".encode()
    reply = parse(N, text)
    assert reply is not None
    assert reply.fields == {"key": value.decode("utf-8", "replace")}


@pytest.mark.fault("F49")
def test_values_are_bounded() -> None:
    lines = [f"{N} begin"]
    lines += [f"{N} f k{i} {'v' * 100}" for i in range(frame.MAX_FIELDS + 5)]
    lines += [f"{N} f k0 {'v' * (frame.MAX_VALUE + 5)}"]
    lines += [f"{N} t {'t' * (frame.MAX_LINE + 5)}"] * (frame.MAX_TAIL + 5)
    reply = parse(N, "\n".join([*lines, f"{N} end done -", ""]).encode())
    assert reply is not None
    assert (len(reply.fields), len(reply.tail)) == (frame.MAX_FIELDS, frame.MAX_TAIL)
    assert max(map(len, reply.tail)) == frame.MAX_LINE
    assert max(map(len, reply.fields.values())) <= frame.MAX_VALUE


OP = Op(
    id="r1.1.1",
    epoch=Epoch(number=1, rollout="r1", sequence=1),
    site=Site(root="/srv/shop", app="shop", environment="default"),
    do=Mark(release=ReleaseId("v1"), mark="kept"),
)


@pytest.mark.parametrize("root", ["", "/", "srv", "./srv", "/srv/\nshop", "/srv/\x1b"])
def test_a_root_that_no_script_may_enter(root: str) -> None:
    site = Site(root=root, app="shop", environment="default")
    with pytest.raises(ValueError, match="root"):
        render(dataclasses.replace(OP, site=site), N)


@pytest.mark.parametrize("nonce", ["", "short", "x" * 65, "has a space in it!!", "$(touch canary)xx"])
def test_a_nonce_is_plain(nonce: str) -> None:
    with pytest.raises(ValueError, match="nonce"):
        render(OP, nonce)


@pytest.mark.parametrize("rollout", ["", "two words", "line\nbreak"])
def test_an_epoch_is_one_word(rollout: str) -> None:
    with pytest.raises(ValueError, match="epoch"):
        render(dataclasses.replace(OP, epoch=Epoch(number=1, rollout=rollout, sequence=1)), N)


def test_a_unit_cannot_be_an_option() -> None:
    deed = Observe(service=Systemd(units=(SystemdUnit(unit="--root=/"),)))
    with pytest.raises(ValueError, match="unit"):
        render(dataclasses.replace(OP, do=deed), N)


def test_the_payload_is_what_was_announced() -> None:
    built = RELEASES["v1"]
    op = dataclasses.replace(OP, do=Install(release=built.release))
    assert render(op, N, len(built.payload))
    with pytest.raises(ValueError, match="payload"):
        render(op, N, len(built.payload) + 1)


@pytest.mark.parametrize(
    "deed",
    [
        Observe(service=NoService()),
        Install(release=RELEASES["v1"].release),
        Activate(release=ReleaseId("v1"), manifest="0" * 64, expect="", service=Process(command=("x",))),
        Activate(
            release=ReleaseId("v1"), manifest="0" * 64, expect="", service=Systemd(units=(SystemdUnit(unit="x"),))
        ),
    ],
    ids=lambda d: f"{d.kind} {d.service.kind}" if hasattr(d, "service") else d.kind,
)
@pytest.mark.fault("F51")
def test_a_script_is_small_counted_and_calls_last(deed: Deed) -> None:
    counted, _, script = render(dataclasses.replace(OP, do=deed), N).partition(b"\n")
    assert int(counted) == len(script) < 18_432
    assert b"main" in script.splitlines()[-1]
    assert not [line for line in script.splitlines() if line.startswith((b" ", b"#"))]


@pytest.mark.fault("F51")
def test_the_command_is_one_constant_word_list() -> None:
    assert "\n" not in frame.CONSTANT
    assert len(frame.CONSTANT) < 256
