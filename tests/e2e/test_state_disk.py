"""The disk of the state is full, read-only or broken in the middle of a rollout, while a host is out."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rollout.store.patient import EVERY_S
from tests.disks import ext4
from tests.e2e.lab import Lab
from tests.e2e.refusing import Disk, refusing
from tests.e2e.test_second_signal import audited, in_order
from tests.e2e.wires import at_work

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]
TRIED_AGAIN_S = 2 * EVERY_S + 1  # in which a way back that may not begin would be over


class Going:
    """A rollout to v2 whose first host is out, and whose hook after the switch waits to be told to go on."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.go = lab.folder / "go"
        self.go.unlink(missing_ok=True)
        self.log = lab.folder / "said"
        lab.release("v2")
        waits = f"until test -e {self.go}; do sleep 0.1; done"
        lab.playbook(extra=f"min_in_service: 2\n  hooks: {{ after_service: {{ shell: '{waits}' }} }}")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                lab.command(*lab.words_of("apply", "v2", "-y", "--output", "plain")),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "CI": ""},
                start_new_session=True,
            )
        lab.wait(lambda: (step := at_work(lab.state, "lab1")) and step.action == "run", "the hook of the first host")

    @property
    def said(self) -> str:
        return self.log.read_text()

    def hears(self, words: str) -> None:
        """Let the hook end, and wait until these words are said."""
        self.go.touch()
        with suppress(AssertionError):
            self.lab.wait(lambda: words in self.said or self.process.poll() is not None, words)
        assert words in self.said, self.said

    def stopped(self, code: int) -> None:
        """Tell it twice to stop, as somebody does who cannot wait."""
        for n, words in enumerate(("takes at most", "stopped without waiting")):
            self.process.send_signal(signal.SIGINT)
            self.lab.wait(lambda words=words: words in self.said, f"an answer to signal {n + 1}")
        self.ended(code)

    def ended(self, code: int) -> None:
        assert self.process.wait(120) == code, self.said
        assert "Traceback" not in self.said

    def close(self) -> None:
        self.go.touch()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)


@contextmanager
def going(lab: Lab) -> Iterator[Going]:
    made = Going(lab)
    try:
        yield made
    finally:
        made.close()


def others_untouched(lab: Lab) -> bool:
    return {lab.truth()[h] for h in lab.hosts[1:]} == {("v1", "v1", True)}


def waits(lab: Lab, rollout: Going, code: str) -> None:
    """It halts before its next effect: its host stays out, nobody else leaves, and it says what is so."""
    rollout.hears("this command tries again for 10m 00s")
    assert code in rollout.said
    time.sleep(TRIED_AGAIN_S)
    assert not lab.member("lab1").in_rotation, "what is not on record is not begun, not even the way back"
    assert others_untouched(lab)
    assert rollout.process.poll() is None


def healed_by_itself(lab: Lab, rollout: Going) -> None:
    rollout.ended(8)
    assert "the state could be reached again, and knows how it ended" in rollout.said
    assert in_order(lab), lab.truth()
    assert others_untouched(lab), lab.truth()
    assert lab.last()["end"] == "halted"
    audited(lab)


def stopped_there(rollout: Going) -> None:
    """It was stopped where it stood; what it said of its host is so, and who takes over puts it right."""
    rollout.stopped(8)
    assert "1 host NOT KNOWN TO BE IN ORDER, perhaps out of rotation, on v1 or v2: lab1" in rollout.said
    assert "3 hosts not touched, on v1: lab2, lab3, lab4" in rollout.said


def taken_over(lab: Lab) -> None:
    rollout = audited(lab)
    assert lab.last()["end"] == "", "nothing false was recorded"
    done = lab.type("heal", rollout, "--state", str(lab.state), "--output", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    assert in_order(lab), lab.truth()
    assert others_untouched(lab), lab.truth()
    assert lab.last()["end"]
    audited(lab)


@contextmanager
def on_a_disk(lab: Lab, size_mb: int = 16) -> Iterator[tuple[Path, str]]:
    """Keep the state of a lab on a disk of its own, and roll v1 out."""
    lab.state.parent.mkdir(mode=0o700)
    image = lab.folder / "disk"
    with ext4(lab.state.parent, image, size_mb=size_mb) as device:
        lab.state.parent.chmod(0o700)
        done = lab.apply("v1")
        assert done.returncode == 0, done.stdout + done.stderr
        yield image, device


@pytest.mark.fault("F5")
def test_a_disk_that_becomes_read_only_is_waited_for_and_read_when_it_is_back(lab: Lab) -> None:
    """An error of the disk closes its file system for writes, under the open files of the rollout."""
    with on_a_disk(lab) as (image, device):
        with going(lab) as rollout:
            Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("broken")
            waits(lab, rollout, "E_JOURNAL_READONLY")
            second = lab.type(*lab.words_of("apply", "v2"))
            assert second.returncode == 8, second.stdout + second.stderr
            assert "E_STATE_PLACE" in second.stderr
            assert "Read-only file system" in second.stderr
            status = lab.type("status", "--state", str(lab.state))
            assert "UNFINISHED" in status.stdout, "it can be read all the same: " + status.stderr
            stopped_there(rollout)
        mended(lab, image)
        taken_over(lab)


def mended(lab: Lab, image: Path) -> None:
    """Do what somebody does with such a disk."""
    copy = image.with_name("mended")  # where something else still holds the old one, it is the old one that is mounted
    subprocess.run(["umount", lab.state.parent], check=True)
    shutil.copyfile(image, copy)
    subprocess.run(["e2fsck", "-fy", copy], check=False, capture_output=True)
    subprocess.run(["mount", "-o", "loop", copy, lab.state.parent], check=True)


REFUSALS = {
    "read-only": ("write", "EROFS", "E_JOURNAL_READONLY"),
    "broken": ("write", "EIO", "E_JOURNAL_IO"),
    "unsynced": ("sync", "EIO", "E_JOURNAL_IO"),
    "full": ("write", "ENOSPC", "E_JOURNAL_FULL"),
}
NUMBERS = {"read-only": "F5", "broken": "F6", "unsynced": "F6", "full": "F4"}
refusals = pytest.mark.parametrize(
    ("call", "error", "code"),
    [pytest.param(*REFUSALS[name], id=name, marks=pytest.mark.fault(NUMBERS[name])) for name in REFUSALS],
)


@contextmanager
def refused(served: Lab, call: str, error: str, code: str) -> Iterator[tuple[Disk, Going]]:
    """Have the disk refuse in the middle of a rollout, which waits for it."""
    with refusing(served) as disk, going(served) as rollout:
        disk.refuse(call, error)
        waits(served, rollout, code)
        yield disk, rollout


@refusals
@pytest.mark.usefixtures("referee")
def test_one_that_works_again_is_written_first_and_then_all_is_healed(
    served: Lab, call: str, error: str, code: str
) -> None:
    with refused(served, call, error, code) as (disk, rollout):
        disk.obey()
        rollout.ended(8)
    healed_by_itself(served, rollout)


@refusals
def test_one_that_never_works_again_is_left_as_it_is_and_read_by_who_takes_over(
    served: Lab, call: str, error: str, code: str
) -> None:
    with refused(served, call, error, code) as (_, rollout):
        stopped_there(rollout)
    taken_over(served)


@pytest.mark.fault("F6")
@pytest.mark.parametrize("good", [0, 1, 2, 4])
def test_a_sync_that_fails_once_is_never_taken_for_a_good_one(served: Lab, good: int) -> None:
    """What it had to bring to the disk is lost, and the next one succeeds: Linux says it once."""
    with refusing(served) as disk, going(served) as rollout:
        disk.refuse("sync", "EIO", 1, after=good)
        rollout.go.touch()
        rollout.ended(8)
    assert "E_JOURNAL_IO" in rollout.said
    healed_by_itself(served, rollout)


@pytest.mark.fault("F4")
def test_a_full_disk_is_waited_for_and_gone_on_with_when_there_is_room(lab: Lab) -> None:
    with on_a_disk(lab), going(lab) as rollout:
        filler = lab.state.with_name("filler")
        filled(filler)
        waits(lab, rollout, "E_JOURNAL_FULL")
        filler.unlink()
        rollout.ended(8)
        healed_by_itself(lab, rollout)


@pytest.mark.fault("F4")
def test_a_disk_that_is_full_soon_after_the_beginning_is_not_noticed(lab: Lab) -> None:
    """Room for the records of a rollout was taken when it began."""
    with on_a_disk(lab, size_mb=96), going(lab) as rollout:
        filled(lab.state.with_name("filler"))
        rollout.go.touch()
        rollout.ended(0)
        assert lab.all_on("v2")
        lab.state.with_name("filler").unlink()
        audited(lab)


@pytest.mark.fault("F4")
def test_a_disk_that_is_full_before_the_beginning_is_refused_with_nothing_touched(lab: Lab) -> None:
    with on_a_disk(lab):
        filled(lab.state.with_name("filler"))
        refused = lab.apply("v2")
        assert refused.returncode == 8, refused.stdout + refused.stderr
        assert "E_JOURNAL_FULL" in refused.stdout + refused.stderr
        assert lab.all_on("v1")
        lab.state.with_name("filler").unlink()
        assert lab.apply("v2").returncode == 0


def filled(filler: Path) -> None:
    """Take all the room that there is, to the last block."""
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 512):
            with suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass
        with suppress(OSError):
            os.fsync(file.fileno())
