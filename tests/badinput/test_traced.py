"""What the kernel saw: neither we nor the child that renders templates contact anybody or write anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.badinput.transcript import BEGINNING, PLAY

CALLS = (
    "%network,openat,creat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,symlink,symlinkat,link,linkat,chmod"
)
TYPED = """\
from rollout.cli import main
for words in ("validate good.yml -i hosts.ini", "validate bad.yml -i hosts.ini", "plan bad.yml -i hosts.ini",
              "apply bad.yml -i hosts.ini -y", "validate good.yml -i hosts.ini -l web9"):
    main(words.split())
"""
OTHERS = re.compile(r'"/dev/(null|tty)"|__pycache__')


@pytest.mark.bad("B31", "B67")
@pytest.mark.timeout(180)
def test_the_kernel_saw_nobody_contacted_and_nothing_written(tmp_path: Path) -> None:
    for file in BEGINNING:
        file.make(tmp_path)
    (tmp_path / "good.yml").write_text(PLAY.replace("name: Shop", 'name: "{{ 1 + 1 }}"'))
    (tmp_path / "bad.yml").write_text(PLAY.replace("name: Shop", 'name: "{{ gone }}"').replace("web", "-oProxy=x"))
    (tmp_path / "typed.py").write_text(TYPED)
    argv = ["strace", "-f", "-qq", "-s", "200", "-o", "trace", "-e", f"trace={CALLS}", sys.executable, "-B", "typed.py"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("E_TEMPLATE: `gone` is undefined.") == 3
    seen = (tmp_path / "trace").read_text().splitlines()
    assert any("sandbox" in line for line in seen)  # the child was traced too
    changing = [line for line in seen if "openat(" not in line or re.search(r"O_(WRONLY|RDWR|CREAT)", line)]
    assert [line for line in changing if not OTHERS.search(line) and " +++ " not in line and " --- " not in line] == []
