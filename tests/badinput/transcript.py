"""Transcripts: files that lie in a folder, what is typed there, and the very answer.

::

    B36: what the transcript is about; the rows of the table come first
    -- hosts.ini --
    [web]
    a ansible_host=h
    $ rollout validate play.yml -i hosts.ini
    exit 2
    hosts.ini:2:1: E_CODE: what. Why. What to write instead.

A folder has a good ``play.yml``, ``hosts.ini``, ``app.tar`` and ``data.yml`` from the beginning. Words behind a
file's name say more about it: ``escaped`` (``\\x00`` is one byte), ``mode=0666``, ``size=5MB``, ``fifo``,
``directory``, ``link=PATH``, ``gone``, ``append``, and ``journals``: a state with two finished rollouts.
Files and commands may alternate; three dots in an answer stand for anything.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.badinput.finished import written

INVENTORY = """\
[web]
web1
web2
web3
web4

[db]
db1
"""
PLAY = """\
- name: Shop
  app: shop
  hosts: web
  release: { id: v1, artifact: app.tar, root: /srv/shop }
  service: { systemd: shop.service }
  load_balancers: none
  health: { checks: [{ tcp: { port: 80 } }] }
"""
SIZES = {"kB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to be made; ``options`` as in the module's docstring."""

    name: str
    text: str
    options: tuple[str, ...] = ()

    def make(self, folder: Path) -> None:
        """Put it into the folder, over what is there."""
        path = folder / self.name
        said = dict(o.partition("=")[::2] for o in self.options)
        path.parent.mkdir(parents=True, exist_ok=True)
        if "append" not in said:
            path.unlink(missing_ok=True)
        if "fifo" in said:
            os.mkfifo(path)
        elif "directory" in said:
            path.mkdir()
        elif "link" in said:
            path.symlink_to(said["link"])
        elif "journals" in said:
            written(path)
        elif "gone" not in said:
            self._write(path, said)

    def _write(self, path: Path, said: dict[str, str]) -> None:
        data = self.text.encode()
        if "escaped" in said:
            data = data.rstrip(b"\n").decode("unicode_escape").encode("latin-1")
        with path.open("ab") as file:
            file.write(data)
        if "size" in said:
            number, unit = re.fullmatch(r"(\d+)(\w+)", said["size"]).groups()  # type: ignore[union-attr]
            os.truncate(path, int(number) * SIZES[unit])
        path.chmod(int(said.get("mode", "0644"), 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is typed; ``answer`` is what has to come of it: the exit code's line, stdout (``> ``) and stderr."""

    line: str
    answer: str

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables that are set before the command's name."""
        words = shlex.split(self.line)
        return dict(w.split("=", 1) for w in words[: words.index("rollout")])

    @property
    def argv(self) -> list[str]:
        """Return the arguments of ``rollout``."""
        words = shlex.split(self.line)
        return words[words.index("rollout") + 1 :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One file of ``typed/``."""

    name: str
    rows: tuple[str, ...]
    about: str
    steps: tuple[File | Command, ...]


BEGINNING = (
    File(name="hosts.ini", text=INVENTORY),
    File(name="play.yml", text=PLAY),
    File(name="app.tar", text=""),
    File(name="data.yml", text="{}\n"),
)


def read(path: Path) -> Transcript:
    """Read a transcript."""
    head, *rest = re.split(r"^(?=-- .* --$|\$ )", path.read_text(), flags=re.MULTILINE)
    rows, _, about = head.partition(": ")
    return Transcript(name=path.stem, rows=tuple(rows.split()), about=about.strip(), steps=tuple(map(_step, rest)))


def _step(text: str) -> File | Command:
    first, _, rest = text.partition("\n")
    if first.startswith("$ "):
        return Command(line=first[2:], answer=rest.rstrip("\n"))
    name, *options = first[3:-3].split()
    return File(name=name, text=rest, options=tuple(options))


def retold(transcript: Transcript, answers: Iterator[str]) -> str:
    """Return the transcript's text with other answers."""
    parts = [f"{' '.join(transcript.rows)}: {transcript.about}\n"]
    for step in transcript.steps:
        if isinstance(step, File):
            parts.append(f"-- {' '.join((step.name, *step.options))} --\n{step.text}")
        else:
            parts.append(f"$ {step.line}\n{next(answers)}\n")
    return "".join(parts)
