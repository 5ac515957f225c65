"""Where the values of secrets come from: a variable, a file, a command, a store. Faults are said without any value."""

from __future__ import annotations

import os
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from rollout.model.secret import TYPED, words_for
from rollout.secrets.fault import Unresolved

COMMAND_S = 30.0
MAX_BYTES = 65_536


def value_of(reference: str, environ: Mapping[str, str], refers: frozenset[str] = frozenset()) -> str:
    """Return the value that a reference names, one newline at its end taken off; raise Unresolved.

    ``refers``: the variables that hold secrets, which a command is not given.
    """
    kind, _, rest = reference.partition(":")
    if kind == "env":
        return _variable(rest, environ)
    readers: Mapping[str, Callable[[], bytes]] = {
        "file": lambda: _file(rest),
        "vault": lambda: _vault(rest, environ),
        "cmd": lambda: printed_by(_words(reference), _without(environ, refers)),
        "sops": lambda: _encrypted(reference, _without(environ, refers)),
        "ansible-vault": lambda: _encrypted(reference, _without(environ, refers)),
    }
    if reference == TYPED:
        raise Unresolved("it was typed with -K, and nobody else has it; type -K again")
    if kind not in readers:
        raise Unresolved("nothing here knows such a secret")
    return _text(readers[kind]())


def _vault(rest: str, environ: Mapping[str, str]) -> bytes:
    from rollout.secrets.vault import value_at  # what it takes costs half a second

    return value_at(rest, environ).encode()


def _without(environ: Mapping[str, str], refers: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in refers}


def _encrypted(reference: str, environ: Mapping[str, str]) -> bytes:
    from rollout.secrets.encrypted import value_in

    return value_in(reference, environ)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise Unresolved("the variable is not set")
    return _held(environ[name])


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise Unresolved(f"it is longer than {MAX_BYTES // 1024} KiB")
    try:
        said = data.decode()
    except UnicodeDecodeError:
        raise Unresolved("it is not UTF-8") from None
    return _held(said.removesuffix("\n").removesuffix("\r"))


def _held(value: str) -> str:
    """Return a value that can be sent."""
    if not value:
        raise Unresolved("it is empty")
    if "\0" in value:
        raise Unresolved("it holds a NUL, which nothing can be given")
    return value


def _file(path: str) -> bytes:
    """Return what is in a regular file, and no more than a secret may have."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unresolved("it is not a regular file")
            return file.read(MAX_BYTES + 2) or b""
    except OSError as error:
        raise Unresolved(f"it cannot be read: {error.strerror}") from None


def _words(reference: str) -> tuple[str, ...]:
    try:
        return words_for(reference)
    except ValueError:
        raise Unresolved("its words cannot be told apart: a quote is open") from None


def printed_by(
    argv: Sequence[str], environ: Mapping[str, str], most: int = MAX_BYTES, folder: str | None = None
) -> bytes:
    """Return what a command prints: no shell, no terminal that it could ask on, bounded time and output.

    What it says of errors is not shown: it may be what it was given.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - declared in the playbook, shown in the plan, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
            cwd=folder,
        )
    except OSError as error:
        raise Unresolved(f"it cannot be run: {error.strerror}") from None
    with process:
        try:
            return _answered(process, most)
        finally:
            _killed(process)


def _answered(process: subprocess.Popen[bytes], most: int) -> bytes:
    """Return what a command prints that ends well, in time, and has not too much to say."""
    deadline = time.monotonic() + COMMAND_S
    late = Unresolved(f"it did not end within {COMMAND_S:g} s, and was killed")
    printed = _printed(process, deadline, most)
    if printed is None:
        raise late
    if len(printed) > most + 2:
        raise Unresolved(f"it printed more than {most // 1024} KiB, and was killed")
    try:
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise late from None
    if status:
        raise Unresolved(f"it ended with status {status}; run it yourself to see why")
    return printed


def _printed(process: subprocess.Popen[bytes], deadline: float, most: int) -> bytes | None:
    """Read until the end, or until it is too much; None when the time is over."""
    found = bytearray()
    stream: IO[bytes] = process.stdout  # type: ignore[assignment] # it is a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(found) <= most + 2:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            piece = os.read(stream.fileno(), 16_384)
            if not piece:
                break
            found += piece
    return bytes(found)


def _killed(process: subprocess.Popen[bytes]) -> None:
    """End its process group: what it left running too."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
