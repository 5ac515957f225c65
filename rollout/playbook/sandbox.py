"""The child process that renders templates: jinja2's immutable sandbox, strict, under resource limits.

``python -I -m rollout.playbook.sandbox`` speaks frames on stdin and stdout: eight bytes of
length, then JSON. The sandbox bounds neither memory nor time, so the kernel does: each request
gets 256 MB above what the process has, and CPU seconds; what a value may be is bounded here.
Nothing but the operator's own text comes in; there is no loader, so nothing can be included.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO

from jinja2 import Undefined
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError

from rollout.playbook.guards import plainly
from rollout.playbook.scope import Cycle, Jinja, Refused, Scope, Template

MEMORY = 256 << 20
VALUE_BYTES = 1 << 20
ANSWER_BYTES = 64 << 20  # all values of a request together: the parent has to hold them
INT_BITS = 63
PROGRESS_FD_VARIABLE = "ROLLOUT_PROGRESS_FD"


def main() -> None:
    """Answer requests until the end of stdin."""
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)  # the kernel ends us, whatever we are in the middle of
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    progress = int(os.environ.get(PROGRESS_FD_VARIABLE, "-1"))
    while (request := read_frame(sys.stdin.buffer)) is not None:
        _limit(request["cpu_s"])
        write_frame(sys.stdout.buffer, Request(request, progress).answer())
        sys.stdout.buffer.flush()


def read_frame(stream: BinaryIO) -> Any:
    """Return the next frame's JSON, or None at the end."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    return json.loads(stream.read(int.from_bytes(head, "big")))


def write_frame(stream: BinaryIO, value: object) -> None:
    """Write one frame."""
    data = json.dumps(value, separators=(",", ":")).encode()
    stream.write(len(data).to_bytes(8, "big"))
    stream.write(data)


def _limit(cpu_s: int) -> None:
    """Give this request memory and time above what was used so far."""
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", encoding="ascii") as statm:
            size = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + cpu_s + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))


class Request:
    """One request: texts, variables that all share, and for each host what differs."""

    def __init__(self, request: dict[str, Any], progress: int) -> None:
        self.jinja = Jinja(request["environ"], request["nonce"])
        self.texts: list[str] = request["texts"]
        self.common: dict[str, Any] = request["common"]
        self.hosts: list[dict[str, Any]] = request["hosts"]
        self.differs = frozenset(name for host in self.hosts for name in host)
        self.progress = progress
        self.left = ANSWER_BYTES
        self.shared = Scope(self.jinja, self.common, {})

    def answer(self) -> dict[str, Any]:
        """Return for each text its values: one for all hosts, or one for each; and the errors."""
        scopes = [Scope(self.jinja, self.common, host) for host in self.hosts] or [self.shared]
        values = [self._text(index, text, scopes) for index, text in enumerate(self.texts)]
        return {"values": values, "secrets": self.jinja.secrets.references}

    def _text(self, index: int, text: str, scopes: list[Scope]) -> dict[str, Any]:
        """Render one text for every host, or once when no host makes a difference."""
        self._note(index)
        try:
            template = self.jinja.template(text)
            constant = len(scopes) == 1 or not self.shared.names_behind(template) & self.differs
        except Exception as error:
            return {"errors": [fault(error, self.shared, 0)]}
        values, errors = [], []
        for host, scope in enumerate(scopes[:1] if constant else scopes):
            try:
                values.append(self._within(render(template, scope)))
            except Exception as error:
                errors.append(fault(error, scope, host))
                values.append(None)
        return {"values": values, "errors": errors}

    def _within(self, value: object) -> object:
        """Return a value, unless all of them have become too much."""
        self.left -= check_value(value)
        if self.left < 0:
            raise Refused("E_TEMPLATE_LIMIT", "All values together are larger than 64 MiB.")
        return value

    def _note(self, index: int) -> None:
        """Tell the parent which text is being rendered, in case the kernel ends us here."""
        if self.progress >= 0:
            os.pwrite(self.progress, index.to_bytes(4, "big"), 0)


def render(template: Template, scope: Scope) -> object:
    """Return a template's value for one host."""
    value = scope.render(template)
    return plainly(value) if scope.jinja.secrets.references else value


def check_value(value: object, depth: int = 0) -> int:
    """Let only plain values of sensible size out; return how large one is, about."""
    if isinstance(value, Undefined):
        str(value)  # raises, with the name
    if isinstance(value, str):
        return _bounded(len(value))
    if isinstance(value, int):
        if value.bit_length() > INT_BITS:
            raise Refused("E_TEMPLATE_LIMIT", "The number has more than 64 bits.")
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise Refused("E_TEMPLATE", "The value is no finite number.")
    elif isinstance(value, list | tuple | Mapping):
        if depth > 64 or len(value) > 100_000:
            raise Refused("E_TEMPLATE_LIMIT", "The value is too large.")
        return _check_items(value, depth)
    elif value is not None:
        raise Refused("E_TEMPLATE", f"The value is a {type(value).__name__}, which nothing here takes.")
    return 8


def _check_items(value: list[Any] | tuple[Any, ...] | Mapping[Any, Any], depth: int) -> int:
    """Check what is inside a value, the keys of a mapping too."""
    size = 8
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str | int | float | None):
                raise Refused("E_TEMPLATE", f"A key of the value is a {type(key).__name__}, which nothing here takes.")
            size = _bounded(size + check_value(key, depth + 1))
    for item in value.values() if isinstance(value, Mapping) else value:
        size = _bounded(size + check_value(item, depth + 1))
    return size


def _bounded(size: int) -> int:
    if size > VALUE_BYTES:
        raise Refused("E_TEMPLATE_LIMIT", "The value is larger than 1 MiB.")
    return size


def fault(error: Exception, scope: Scope, host: int) -> dict[str, Any]:
    """Return what went wrong as plain text: a code, a sentence, and the variables it went through."""
    found: dict[str, Any] = {"host": host, "code": "E_TEMPLATE", "within": list(scope.within), "near": ""}
    found["line"] = line_of(error)
    scope.within.clear()
    if isinstance(error, Refused):
        return found | {"code": error.code, "what": error.what}
    if isinstance(error, Cycle):
        return found | {"code": "E_VAR_CYCLE", "what": f"Variables refer to each other: {' > '.join(error.names)}."}
    if isinstance(error, SecurityError):
        return found | {"code": "E_TEMPLATE_UNSAFE", "what": f"This is not allowed in a template: {_sentence(error)}."}
    if isinstance(error, UndefinedError):
        name = scope.missing(str(error))
        found["within"] = found["within"] or [v for v in [scope.unresolved.get(name)] if v]
        return found | {"what": f"{_sentence(error)}.", "near": scope.near(str(error)), "name": name}
    if isinstance(error, TemplateError):
        return found | {"what": f"The template cannot be read: {_sentence(error)}.", "near": scope.near(str(error))}
    if isinstance(error, MemoryError | RecursionError | OverflowError):
        return found | {"code": "E_TEMPLATE_LIMIT", "what": "Rendering needs more memory or depth than it may have."}
    return found | {"what": f"The template fails: {type(error).__name__}: {str(error)[:300]}."}


def line_of(error: Exception) -> int:
    """Return the line of the text that was being rendered; 0 where nobody knows."""
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    frames = traceback.walk_tb(error.__traceback__)
    return next((line for frame, line in frames if frame.f_code.co_filename == "<template>"), 0)


def _sentence(error: Exception) -> str:
    """Return an error's text as a sentence without its full stop, with names in backquotes."""
    said = str(getattr(error, "message", None) or error)[:300].rstrip(".").replace("'", "`")
    return said[:1].upper() + said[1:]


if __name__ == "__main__":
    main()
