"""What an HTTP answer must hold, judged: a status of the set, and fields of a JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rollout.model.check import HttpCheck, Probed
from rollout.posix.sanitise import line as one_line

BODY_CAP = 65_536
DEPTH_CAP = 32


def judged(spec: HttpCheck, status: int, body: bytes) -> Probed:
    """Return what an answer proves; ``body`` holds at most one byte more than the cap."""
    said = f"{spec.method} {one_line(spec.path, 80)} on port {spec.port}: {status}"
    if status not in spec.status:
        return Probed(ok=False, summary=f"{said}, asked for {', '.join(map(str, spec.status))}")
    if not spec.json:
        return Probed(ok=True, summary=said)
    wrong = _wrong(spec.json, spec.json_or, body)
    return Probed(ok=not wrong, summary=f"{said}, {wrong}" if wrong else said)


def _wrong(wanted: Mapping[str, str], too: Mapping[str, str], body: bytes) -> str:
    if len(body) > BODY_CAP:
        return "the body is larger than 64 KiB"
    try:
        # Numbers stay as they are written: a version 1.10 is not 1.1, and no number is too long to read.
        document = json.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return f"the body is not JSON: {one_line(body, 60)}" if body else "the body is empty, not JSON"
    for path, text in wanted.items():
        found = _field(document, path)
        if found not in (text, too.get(path, text)):
            return f"{one_line(path, 40)} is {one_line(found, 60)}, asked for {one_line(text, 60)}"
    return ""


def _field(document: Any, path: str) -> str:
    """Return a field by its dotted path as text; lists by index."""
    for name in path.split(".")[:DEPTH_CAP]:
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isdecimal() and len(name) < 7 and int(name) < len(document):
            document = document[int(name)]
        else:
            return "(missing)"
    return _text(document)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return "(an object)" if isinstance(value, dict) else "(a list)"
    return "null" if value is None else str(value).lower()
