"""What tests of fetching ask for, and how patient they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from rollout.artifacts.fetching import fetched
from rollout.artifacts.limits import LIMITS, Limits
from rollout.artifacts.remote import Patience
from rollout.model.play import ArtifactAsk
from tests.artifacts.registry import Registry
from tests.artifacts.tars import header

QUICK = Patience(connect_s=2, read_s=0.5, total_s=20, attempts=2, pause_s=0.01)
SECRET = "Bearer s3cr3t-of-the-registry"
BODY = os.urandom(300_000)
CONTENT = header("data", size=len(BODY)) + BODY + bytes(-len(BODY) % 512) + bytes(1024)
SHA = hashlib.sha256(CONTENT).hexdigest()


def ask(registry: Registry, path: str = "/app.tar", **more: Any) -> ArtifactAsk:
    registry.content = registry.content or CONTENT
    said: dict[str, Any] = {"sha256": SHA, "place": ("play.yml", 5, 15), "sha256_place": ("play.yml", 6, 13)}
    return ArtifactAsk(url=registry.url(path), **(said | more))


def fetch(
    one: ArtifactAsk, folder: Path, patience: Patience = QUICK, limits: Limits = LIMITS, say: Any = lambda _: None
) -> bytes:
    return fetched(one, folder, limits, say, patience).read_bytes()
