"""The keyring: from references to values, once for each, at the moment when something is sent."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from rollout.errors import Reason
from rollout.model.check import CheckSpec, HttpCheck
from rollout.model.release import RenderedFile, Shared
from rollout.model.secret import TYPED, references_in, revealed, sealed
from rollout.model.task import Task
from rollout.posix.op import Install, Op, RunTask
from rollout.posix.quote import quote
from rollout.secrets.fault import Unresolved
from rollout.secrets.redaction import Redaction, redactable, redaction
from rollout.secrets.sources import value_of


class SecretFault(Exception):
    """A secret cannot be sent: E_SECRET, and why, without its value."""


@dataclass(slots=True, kw_only=True)
class Keyring:
    """Values by reference. A reference is asked for once: a command does not run again for each host."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    hides: Redaction = field(default_factory=redaction)
    values: dict[str, str] = field(default_factory=dict, repr=False)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def value(self, reference: str) -> str:
        """Return a secret's value; raise SecretFault."""
        with self.guard:
            if reference not in self.values:
                self.values[reference] = self._found(reference)
            return self.values[reference]

    def told(self, reference: str, value: str) -> str:
        """Keep a value that somebody has typed; return its reference."""
        with self.guard:
            self.values[reference] = value
        self.hides.learn(value)
        return reference

    def holds(self, reference: str) -> bool:
        """Whether a value is known already."""
        with self.guard:
            return reference in self.values

    def _found(self, reference: str) -> str:
        names = frozenset(ref.removeprefix("env:") for ref in self.values if ref.startswith("env:"))
        try:
            found = value_of(reference, self.environ, names)
        except Unresolved as fault:
            raise SecretFault(f"E_SECRET: secret('{reference}'): {fault}") from None
        self.hides.learn(found)
        return found

    def faults(self, wanted: Iterable[str]) -> list[Reason]:
        """Ask for all of these; return a reason for each that cannot be had."""
        found = []
        for reference in sorted(set(wanted), key=lambda ref: (not ref.startswith("env:"), ref)):
            try:
                self.value(reference)
            except SecretFault as fault:
                what = f"{str(fault).removeprefix('E_SECRET: ')}."
                found.append(Reason(code="E_SECRET", what=what, instead="Nothing was changed; mend it and come again."))
        return found

    def plain_to_see(self) -> list[str]:
        """Return the references whose values cannot be taken out of what hosts print: too short, or common words."""
        return sorted(ref for ref, value in self.values.items() if not redactable(value))

    def revealed(self, text: str) -> str:
        """Return a text with the values in it."""
        return revealed(text, self.value)

    def _in_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers with the values in them: a value of two lines would be two headers."""
        found = {}
        for name, text in headers.items():
            found[name] = self.revealed(text)
            if found[name] != text and not (found[name].isascii() and found[name].replace("\t", " ").isprintable()):
                refs = ", ".join(references_in(text))
                raise SecretFault(f"E_SECRET: {refs} is not one line of plain letters, as the header {name} needs")
        return found

    def of_task(self, task: Task) -> Task:
        """Return a task as it is sent."""
        if not any(references_in([task.stdin, *task.env.values()])):
            return task
        env = {name: self.revealed(value) for name, value in task.env.items()}
        sent = replace(task, env=env, stdin=self.revealed(task.stdin))
        return _fed(sent, {n for n in env if env[n] != task.env[n]}) if task.user else sent

    def of_check(self, check: CheckSpec) -> CheckSpec:
        """Return a check as it is sent."""
        if not isinstance(check, HttpCheck) or not any(references_in(check.headers)):
            return check
        return replace(check, headers=self._in_headers(check.headers))

    def of_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of a request as they are sent."""
        return self._in_headers(headers)

    def of_op(self, op: Op) -> Op:
        """Return an Op as it is sent: where the plan names no password for sudo, one that was typed since counts."""
        if password := op.password or (sealed(TYPED) if _by_sudo(op) and self.holds(TYPED) else ""):
            op = replace(op, password=self._password(password))
        match op.do:
            case RunTask(task=task):
                sent = self.of_task(task)
                return op if sent is task else replace(op, do=replace(op.do, task=sent))
            case Install(shared=shared, rendered=own) if any(references_in(_contents(shared, own))):
                return replace(op, do=replace(op.do, shared=self._of_shared(shared), rendered=self.of_files(own)))
        return op

    def _password(self, text: str) -> str:
        """Return a password as sudo reads it: a line."""
        found = self.revealed(text)
        if "\n" in found or "\r" in found:
            raise SecretFault(f"E_SECRET: {', '.join(references_in(text))} is not one line, as a password is")
        return found

    def _of_shared(self, shared: Shared) -> Shared:
        files = (f if f.content is None else replace(f, content=self.revealed(f.content)) for f in shared.files)
        return replace(shared, files=tuple(files))

    def of_files(self, files: Iterable[RenderedFile]) -> tuple[RenderedFile, ...]:
        """Return rendered files as they are sent, and hashed."""
        return tuple(replace(f, content=self.revealed(f.content)) for f in files)

    def hidden(self, answer: Any) -> Any:
        """Return what was answered, or raised, without the values."""
        return self.hides.of(answer)


def _by_sudo(op: Op) -> bool:
    return bool(op.become or op.site.owner)


# sudo takes variables as arguments, which everybody on the machine sees: these come on standard input, before its own.
_TAKES = 'IFS= read -r n; eval "$(dd bs=1 count="$n" 2>/dev/null)"; exec "$@"'


def _fed(task: Task, secret: Collection[str]) -> Task:
    """Return a task of another user that is given its secret variables on standard input."""
    if not secret:
        return task
    exports = "".join(f"export {name}={quote(task.env[name])}\n" for name in sorted(secret))
    return replace(
        task,
        name=task.label,
        argv=("sh", "-c", _TAKES, "sh", *(task.argv or ("sh", "-c", task.shell))),
        shell="",
        env={name: value for name, value in task.env.items() if name not in secret},
        stdin=f"{len(exports.encode())}\n{exports}{task.stdin}",
    )


def _contents(shared: Shared, own: Iterable[RenderedFile]) -> list[str | None]:
    return [f.content for f in shared.files] + [f.content for f in own]


@cache
def keyring() -> Keyring:
    """Return the one of this process."""
    return Keyring()
