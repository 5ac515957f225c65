"""``ssh-keygen -Y``: it alone decides whether a signature is good."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, cast

from rollout.trust.sshsig import Signature

Message = Callable[[], Iterable[bytes]]  # what was signed, read anew each time


class NoKeygen(Exception):
    """ssh-keygen is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What ssh-keygen is asked about: a signature, whom it may be by, and what is revoked ("" for nothing)."""

    signature: Signature
    allowed: str
    identity: str
    namespace: str
    revoked: str = ""


def verifies(asked: Asked, message: Message, *, revoked: bool = True) -> bool:
    """Whether ssh-keygen takes the signature of the message; ``revoked``: with what is revoked left out."""
    words = ["verify", "-f", asked.allowed, "-I", asked.identity, "-n", asked.namespace]
    words += ["-r", asked.revoked] if revoked and asked.revoked else []
    return _asked(asked.signature, words, message)


def fits(asked: Asked, message: Message) -> bool:
    """Whether the signature is of these bytes by the key that it names, whoever's that is."""
    return _asked(asked.signature, ["check-novalidate", "-n", asked.namespace], message)


def _asked(signature: Signature, words: list[str], message: Message) -> bool:
    with written(signature.armour) as file:
        return run(["-Y", *words, "-s", file], message)[0] == 0


@contextmanager
def written(text: str) -> Iterator[str]:
    """Give a file with this text, which nobody else can read or exchange."""
    with tempfile.TemporaryDirectory(prefix="rollout-") as folder:
        path = os.path.join(folder, "signature")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        yield path


def run(words: list[str], message: Message) -> tuple[int, str, str]:
    """Run ssh-keygen, fed with the message; return its code and what it printed. NoKeygen where there is none."""
    piped = subprocess.PIPE
    try:
        process = subprocess.Popen(  # noqa: S603 - a fixed command, no shell
            ["ssh-keygen", *words],  # noqa: S607 - the user's own
            stdin=piped,
            stdout=piped,
            stderr=piped,
        )
    except FileNotFoundError:
        raise NoKeygen("ssh-keygen is not on this machine") from None
    with process:
        for piece in message():  # all of it is read, also where ssh-keygen has made up its mind
            with suppress(BrokenPipeError):
                cast("IO[bytes]", process.stdin).write(piece)
        out, err = process.communicate()
    return process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
