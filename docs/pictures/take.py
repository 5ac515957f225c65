"""Take the README's pictures: real rollouts of a lab, in a real terminal (tmux), as they looked at that moment.

.venv/bin/python docs/pictures/take.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from rollout.lab.loopback import Fleet

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
WIDTH, HEIGHT = 108, 44
SESSION = "rollout-pictures"


def tmux(*words: str) -> str:
    done = subprocess.run(["tmux", "-L", SESSION, *words], capture_output=True, text=True, check=True)
    return done.stdout


def screen() -> str:
    return tmux("capture-pane", "-e", "-p", "-t", SESSION)


def typed(line: str) -> None:
    tmux("send-keys", "-t", SESSION, line, "Enter")


def seen(until: Callable[[str], bool], limit_s: float = 60.0) -> str:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        shown = screen()
        if until(Text.from_ansi(shown).plain):
            return shown
        time.sleep(0.05)
    raise SystemExit(f"never seen; the screen was:\n{shown}")


def save(shown: str, name: str, title: str) -> None:
    console = Console(record=True, width=WIDTH, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(shown.rstrip()), no_wrap=True, crop=True)
    path = HERE / f"{name}.svg"
    console.save_svg(str(path), title=title)
    print(path)


def apply(version: str) -> str:
    return f"rollout apply playbooks/demo.yml -i .lab/inventory.ini -e version={version}"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rollout = Path(sys.executable).with_name("rollout")
        (folder / "playbooks").symlink_to(PROJECT / "playbooks")
        state = f"ROLLOUT_STATE={folder}/state.db"
        with Fleet.up(folder / ".lab", 6):
            first = ["env", state, rollout, *apply("v1").split()[1:], "-y", "--output", "quiet"]
            subprocess.run(first, cwd=folder, check=True)
            size = ("-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(folder))
            path = f"PATH={rollout.parent}:/usr/bin:/bin"
            tmux("new-session", "-d", "-s", SESSION, *size, "env", path, state, "sh")
            try:
                pictures()
            finally:
                tmux("kill-server")


def pictures() -> None:
    typed("PS1='$ '; clear")
    typed(apply("v2"))
    save(seen(lambda text: "Go on?" in text), "plan", "rollout plan")
    typed("y")
    save(
        seen(lambda text: len(re.findall(r"lab\d +2 +checking", text)) > 1),
        "rollout",
        "rollout apply: v2, batch 2 of 3",
    )
    seen(lambda text: "DONE:" in text)
    time.sleep(1.0)
    typed("clear")
    typed(apply("v3") + " -y")
    save(seen(lambda text: "REVERTED:" in text and "journal " in text), "revert", "rollout apply: a broken v3")


if __name__ == "__main__":
    main()
