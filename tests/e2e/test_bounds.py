"""Whatever a host prints: its exit status counts, and neither memory nor journal nor terminal feel anything of it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.lab import Lab
from tests.sampling import sampled

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
MOST_KB = 200_000
FLOODS = {
    "one endless line": "head -c {bytes} /dev/zero | tr '\\\\0' a",
    "lines": "yes 'a line that is nothing much' | head -c {bytes}",
    "nothing but zeros": "head -c {bytes} /dev/zero",
    "noise on both streams": "head -c {bytes} /dev/urandom >&2 & head -c {bytes} /dev/urandom; wait",
}
BAIT = f"{7:032d}"  # what is looked for is found where it is shown
# It looks for the nonce wherever it might be seen, and writes ends to whatever its ancestors write to.
FORGER = r"""
export BAIT=%s
sleep 60 & lure=$!
until tr '\0' ' ' </proc/$lure/environ | grep -q $BAIT; do :; done
for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ $(find ../../.rollout -type f); do
    tr '\0' ' ' <$f 2>/dev/null
done | grep -ao '[0-9a-f]\{32\}' | sort -u >../../shared/guesses
kill $lure
p=$$
while [ "$p" -gt 1 ] && ! grep -q sshd /proc/$p/comm; do
    while read -r n; do
        printf '\n%%s begin\n%%s end done -\n' "$n" "$n"
    done <../../shared/guesses >>/proc/$p/fd/1
    p=$(sed 's/.*) //' /proc/$p/stat | cut -d ' ' -f 2)
done
exit 7
"""
ESCAPES = (
    "printf '\\\\033]52;c;aGFoYQ==\\\\007\\\\033]0;owned\\\\007\\\\033[2J\\\\033]8;;http://x\\\\007see\\\\rEVIL"
    "\\\\033[6n\\\\033[?47h \\\\342\\\\200\\\\256 error \\\\233 31m \\\\173\\\\173 7*7 \\\\175\\\\175 [bold]::error::x"
    "\\\\n'; exit 1"
)
CHECKED = 10_000_000  # bytes, each time that a check is asked


def play(shell: str) -> dict[str, str]:
    return {"extra": f'min_in_service: 2\n  hooks: {{ after_service: {{ shell: "{shell}", timeout: 5m }} }}'}


def peak_kb(process: subprocess.Popen[str], seen: list[int]) -> None:
    """Note the most memory that a process has had, until it is gone."""
    while process.poll() is None:
        try:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    seen.append(int(line.split()[1]))
        except (OSError, ValueError):
            return
        time.sleep(0.05)


def watched(lab: Lab, words: list[str]) -> tuple[int, str, int, int]:
    """Return the exit code of a command, what it showed, its peak of memory in kB, and how much the state grew."""
    before = lab.state.stat().st_size
    with subprocess.Popen(
        lab.command(*words),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "CI": ""},
    ) as process:
        seen: list[int] = []
        watching = threading.Thread(target=peak_kb, args=(process, seen))
        watching.start()
        said, _ = process.communicate(timeout=500)
        watching.join()
    return process.returncode, said, max(seen), lab.state.stat().st_size - before


def flooded(lab: Lab, shell: str) -> tuple[int, str, int, int]:
    """Roll a release out whose task prints."""
    lab.release("v2")
    lab.playbook(**play(shell))
    return watched(lab, lab.words_of("apply", "v2", "-y", "--output", "plain"))


@pytest.mark.fault("F49")
@pytest.mark.parametrize("kind", sampled(FLOODS, ("one endless line", "noise on both streams")))
def test_a_flood_changes_nothing(served: Lab, kind: str) -> None:
    unharmed(served, kind, 60_000_000)


@pytest.mark.long
@pytest.mark.fault("F49")
@pytest.mark.parametrize("kind", ["one endless line", "lines"])
def test_ten_gigabytes_change_nothing(served: Lab, kind: str) -> None:
    unharmed(served, kind, 2_500_000_000)  # from each of four hosts


def unharmed(served: Lab, kind: str, amount: int) -> None:
    code, said, peak, journal = flooded(served, FLOODS[kind].format(bytes=amount))
    assert code == 0, said[-3000:]
    assert served.all_on("v2")
    assert peak < MOST_KB, f"{peak} kB"
    assert journal < 3_000_000
    assert len(said) < 1_000_000
    kept = [p.lstat().st_size for h in served.hosts for p in (served.fleet.host(h).root / ".rollout").rglob("*")]
    assert max(kept) < 5_000_000, "and the hosts' disks do not fill up"


@pytest.mark.fault("F49")
def test_a_flood_before_a_failure_is_cut_and_says_so(served: Lab) -> None:
    code, said, peak, _ = flooded(served, "yes loud | head -c 30000000; echo the reason; exit 3")
    assert code == 4, said[-3000:]
    assert "the reason" in said
    assert "truncated" in said
    assert peak < MOST_KB
    assert served.all_on("v1")


@pytest.mark.fault("F49")
def test_a_forged_end_is_not_believed(served: Lab) -> None:
    (served.folder / "forge.sh").write_text(FORGER % BAIT)
    code, said, *_ = flooded(served, f"exec sh {served.folder}/forge.sh")
    assert code == 4, said[-3000:]
    assert "status 7" in said, said[-3000:]
    assert served.all_on("v1")
    assert BAIT in (served.fleet.host("lab1").root / "shared" / "guesses").read_text().split()


@pytest.mark.fault("F49")
@pytest.mark.bad("B74")
def test_what_a_host_prints_is_inert_on_a_terminal(served: Lab) -> None:
    served.release("v2")
    served.playbook(**play(ESCAPES))
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        served.command(*served.words_of("apply", "v2", "-y")),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "CI": "", "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(theirs)
    shown = bytearray()
    while process.poll() is None or select.select([mine], [], [], 0.2)[0]:
        if select.select([mine], [], [], 0.2)[0]:
            try:
                shown += os.read(mine, 65_536)
            except OSError:
                break
    os.close(mine)
    assert process.wait() == 4, bytes(shown)[-3000:].decode(errors="replace")
    for evil in (b"\x1b]52", b"\x1b]0;", b"\x1b]8;", b"\x1b[6n", b"\x1b[?47h", b"\rEVIL", b"\xe2\x80\xae", b"\x9b"):
        assert evil not in shown, evil
    assert b"7*7" in shown
    assert b"49 }" not in shown


@pytest.mark.fault("F49")
def test_what_checks_and_services_print_is_bounded_too(served: Lab) -> None:
    """A check that floods and passes, beside one that fails; the evidence is of a service that has flooded its log."""
    served.release("v2", "unhealthy")
    flood = f"head -c {CHECKED} /dev/zero | tr '\\\\0' a"
    book = served.playbook(
        deadline="3s",
        service=f'{{ process: {{ command: [sh, -c, "{flood}; echo the last word; exec ./bin/serve"] }} }}',
    )
    check = f'- command: [sh, -c, "{flood}; {flood} >&2"]'
    book.write_text(book.read_text().replace("    checks:\n", f"    checks:\n      {check}\n"))
    code, said, peak, journal = watched(served, served.words_of("apply", "v2", "-y", "--output", "plain"))
    print(said[-3000:])
    assert code == 4
    assert served.all_on("v1")
    assert peak < MOST_KB
    assert journal < 3_000_000
    assert len(said) < 1_000_000
