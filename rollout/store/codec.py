"""Events to canonical JSON and back: the one form in which they are hashed and kept.

Keys are sorted, nothing is padded, so equal events have equal text. What is read back equals
what was written, tuples, enums and mappings included.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from rollout.errors import StoreError
from rollout.model.event import Event

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_Tagged = Annotated[Event, Field(discriminator="kind")]


@cache
def _adapter() -> TypeAdapter[Event]:
    """Build the validator once; it costs some 20 ms. What a newer version has added is refused, not passed over."""
    return TypeAdapter(_Tagged, config=ConfigDict(extra="forbid"))


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no padding; raise ValueError for what JSON cannot say."""
    return _CANONICAL.encode(value)


def plain(event: Event) -> dict[str, Any]:
    """Return the event as dicts, lists, strings and numbers, for people's own programs."""
    said: dict[str, Any] = _adapter().dump_python(event, mode="json", fallback=_as_dict, warnings=False)
    return said


def _as_dict(value: object) -> dict[Any, Any]:
    """Return a mapping that is no dict (a persistent map, a read-only view) as one."""
    if isinstance(value, Mapping):
        return dict(value)
    raise ValueError(f"a {type(value).__name__} has no place in an event")


def unicode(text: str) -> str:
    """Return the text as every store can keep it: a byte that was no UTF-8 where it was typed becomes ``?``."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def encode(event: Event) -> str:
    """Return the event's canonical text.

    A lone surrogate (a file name that is not UTF-8, in ``argv``) is no Unicode text: it becomes ``?``. The cycle
    collector is held off meanwhile: a plan of 5,000 hosts is a million small dicts, none in a cycle, and full
    collections in the middle make it three times slower.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return unicode(canonical(plain(event)))
    except ValueError as error:
        raise StoreError(f"E_EVENT: a {event.kind} cannot be written down: {error}. This is a bug of ours.") from error
    finally:
        if collects:
            gc.enable()


def decode(text: str) -> Event:
    """Return the event of a canonical text; raise StoreError when it is none that we know."""
    try:
        return _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"E_EVENT: {place or 'the event'}: {first['msg']}") from error
