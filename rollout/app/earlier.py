"""The large files of the release that hosts have, where they are still at hand to make patches with."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout.app.records import Origin
    from rollout.artifacts.delta import Cutting
    from rollout.artifacts.earlier import Earlier
    from rollout.model.play import ArtifactAsk

NO_LIBRARY = "no library for zstd is here to make patches with"
NOT_HERE = "the artifact of {base} is not here any more to make patches with"


def earlier_of(origin: Callable[[], Origin | None], cutting: Cutting) -> Earlier | str:
    """Return the files of the base that patches are made with; where there are none, why.

    Raises ArtifactFault where the cache folder takes no more.
    """
    from rollout.artifacts.delta import changed
    from rollout.artifacts.earlier import earlier
    from rollout.artifacts.patches import able

    if not able():
        return NO_LIBRARY
    of = origin()
    ask = _lies(of, cutting) if of else None
    if of is None or ask is None:
        return NOT_HERE.format(base=cutting.basis.release)
    found = earlier(ask, of.release.strip, changed(cutting.package, cutting.basis), cutting.cache_dir)
    if found:
        return found
    found.close()
    return NOT_HERE.format(base=cutting.basis.release)


def _lies(of: Origin, cutting: Cutting) -> ArtifactAsk | None:
    """Return the artifact as it lies here: where it lay, or in the cache; None where the new one lies now."""
    from rollout.artifacts.cache import FOLDER

    if not of.ask.path:
        kept = cutting.cache_dir / FOLDER / (of.release.source or of.release.artifact)
        return replace(of.ask, url="", path=str(kept)) if of.release.artifact else None
    with suppress(OSError):
        if os.path.samefile(of.ask.path, cutting.ask.path):
            return None
    return of.ask
