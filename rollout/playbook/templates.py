"""Rendering from the outside: a child process is asked, many templates and hosts at a time.

The child (sandbox.py) is started when there is the first thing to render and lives as long as
the renderer; what it cannot survive (memory, time) is reported as the template's fault.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import IO, Any, cast

from rollout.errors import InputError, Problem, RolloutError
from rollout.playbook.nodes import Place, Scalar
from rollout.playbook.said import escaped, problem, quoted
from rollout.playbook.sealing import Tokens
from rollout.playbook.vars import Variables

CPU_S = 5
JOBS_PER_CPU_S = 2_000
WALL_S = 60.0  # above the CPU seconds: a machine may be busy

READABLE = re.compile(
    r"ROLLOUT_VAR_[A-Z0-9_]+|CI"
    r"|CI_(COMMIT_(SHA|SHORT_SHA|TAG|BRANCH|REF_NAME|REF_SLUG)|PIPELINE_I?ID|JOB_ID|PROJECT_(NAME|PATH)|ENVIRONMENT_NAME)"
    r"|GITHUB_(SHA|REF|REF_NAME|RUN_ID|RUN_NUMBER|REPOSITORY|WORKFLOW)"
    r"|BUILD_(NUMBER|ID|TAG|SOURCEVERSION|BUILDNUMBER|SOURCEBRANCHNAME)|JOB_NAME|GIT_(COMMIT|BRANCH)"
    r"|BUILDKITE_(COMMIT|BRANCH|TAG|BUILD_NUMBER)|CIRCLE_(SHA1|BRANCH|TAG|BUILD_NUM)|TRAVIS_(COMMIT|TAG)"
    r"|DRONE_(COMMIT_SHA|TAG|BUILD_NUMBER)|BITBUCKET_(COMMIT|TAG|BUILD_NUMBER)"
)  # no token, key or password has such a name
_LATER = frozenset({"rollout", "batch"})


def readable_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what templates may read of the controller's environment."""
    return {k: v for k, v in environ.items() if READABLE.fullmatch(k)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Values of one template: one for all hosts, or one for each; and problems, if any."""

    values: tuple[object, ...] = ()
    problems: tuple[Problem, ...] = ()
    failed: frozenset[int] = frozenset()

    def broken(self, host: int) -> bool:
        """Whether there is no value for the host of this number."""
        return host in self.failed if len(self.values) > 1 else bool(self.failed)

    def of(self, host: int) -> object:
        """Return the value for the host of this number."""
        return self.values[host if len(self.values) > 1 else 0]


@dataclass(slots=True, kw_only=True)
class Renderer:
    """Renders by one child process, started when first needed. Use it in a ``with``.

    ``environ`` is what ``env('NAME')`` may read: the outcome of ``readable_environ``. ``folder``: where paths begin
    that name secrets. The child never knows the value of a secret.
    """

    environ: Mapping[str, str]
    folder: str = ""
    child: subprocess.Popen[bytes] | None = None
    progress: IO[bytes] | None = None

    def __enter__(self) -> Renderer:
        """Begin; nothing is started yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the child."""
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        child, self.child = self.child, None
        if child is None:
            return
        child.kill()
        child.communicate()
        if self.progress is not None:
            self.progress.close()

    def render(self, templates: Sequence[Scalar], variables: Variables) -> list[Rendered]:
        """Render each template for each host of ``variables`` (or once, where there are none)."""
        texts = [str(t.value) for t in templates]
        if not texts:
            return []
        cpu_s = CPU_S + len(texts) * max(1, len(variables.hosts)) // JOBS_PER_CPU_S
        nonce = f"Zz{secrets.token_hex(16)}"  # in both cases: what changes one of them is seen
        request = {
            "texts": texts,
            "nonce": nonce,
            "common": variables.common,
            "hosts": variables.hosts,
            "environ": dict(self.environ),
            "cpu_s": cpu_s,
        }
        answer = self._ask(json.dumps(request, default=str).encode(), cpu_s + WALL_S, templates)
        tokens = Tokens(nonce=nonce, references=answer["secrets"], folder=self.folder)
        return [_rendered(t, said, variables, tokens) for t, said in zip(templates, answer["values"], strict=True)]

    def _ask(self, request: bytes, wall_s: float, templates: Sequence[Scalar]) -> Any:
        """Send a request and return the answer, or raise what the child's death means."""
        child = self.child or self._start()
        deadline = time.monotonic() + wall_s
        to_child, from_child = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
        try:
            to_child.write(len(request).to_bytes(8, "big") + request)
            to_child.flush()
            head = _exactly(from_child, 8, deadline)
            return json.loads(_exactly(from_child, int.from_bytes(head, "big"), deadline))
        except (OSError, EOFError):
            raise self._died(child, templates) from None

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the child: isolated, with an empty environment, in a session of its own."""
        self.progress = _in_memory()
        number = self.progress.fileno()
        self.child = subprocess.Popen(
            [sys.executable, "-I", "-m", "rollout.playbook.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C.UTF-8", "HOME": "/", "ROLLOUT_PROGRESS_FD": str(number)},  # HOME: else NSS is asked
            pass_fds=(number,),
            start_new_session=True,
            cwd="/",
        )
        return self.child

    def _died(self, child: subprocess.Popen[bytes], templates: Sequence[Scalar]) -> RolloutError:
        """Return what to raise when the child ended without an answer."""
        child.kill()
        said = child.communicate()[1].decode("utf-8", "replace").strip()
        self.child = None
        at = os.pread(self.progress.fileno(), 4, 0) if self.progress else b""
        if len(at) < 4:
            return RolloutError(f"the process that renders templates ended: {escaped(said)[-500:]}")
        template = templates[min(int.from_bytes(at, "big"), len(templates) - 1)]
        what = f"Rendering {quoted(template.value)} needs more than {CPU_S} s or 256 MB."
        return InputError(problem(template.place, "E_TEMPLATE_LIMIT", what, "", "Make it simpler."))


def _in_memory() -> IO[bytes]:
    """Return a file that lies nowhere, where the system has such; closed with the child."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("progress"), "w+b")
    return tempfile.TemporaryFile()


def _exactly(stream: IO[bytes], size: int, deadline: float) -> bytes:
    """Read so many bytes before a deadline; EOFError when they do not come."""
    found = bytearray()
    while len(found) < size:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(stream.fileno(), min(1 << 20, size - len(found))) if ready else b""
        if not data:
            raise EOFError
        found += data
    return bytes(found)


def _rendered(template: Scalar, said: Mapping[str, Any], variables: Variables, tokens: Tokens) -> Rendered:
    """Return one template's values, its faults told once each."""
    problems: dict[Problem, None] = {}
    for error in said["errors"]:
        problems[_problem(template, error, variables)] = None
    failed = {e["host"] for e in said["errors"]}
    values = tuple(said.get("values", ()))
    for host, value in enumerate(values):
        if fault := tokens.fault(template.place, value):
            problems[fault] = None
            failed.add(host)
    settled = tuple(map(tokens.settled, values))
    return Rendered(values=settled, problems=tuple(problems), failed=frozenset(failed))


def _problem(template: Scalar, error: Mapping[str, Any], variables: Variables) -> Problem:
    """Return one fault at the innermost place that is known."""
    place: Place = template.place
    within = error["within"]
    for name in reversed(within):
        if name in variables.places:
            place = variables.places[name]
            break
    if template.lines and not within and 0 < error.get("line", 0) <= len(template.lines):
        place = replace(place, line=error["line"], source=template.lines[error["line"] - 1])
    why = f"It is met in the variable {quoted(within[-1])}." if within else ""
    if error.get("name") in _LATER:
        return problem(place, "E_NOT_BUILT", f"The variable {quoted(error['name'])} is not built yet.")
    instead = f"Did you mean {quoted(error['near'])}?" if error["near"] else ""
    if error.get("name") in variables.unequal:
        why = "Its value is not the same on every host of the play."
        instead = "What stands here is one for the whole play: give it in `vars` or with -e."
    return problem(place, error["code"], escaped(error["what"]), why, instead)
