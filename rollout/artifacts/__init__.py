"""Artifacts: from a file or folder on the controller to bytes whose every member was checked."""

from __future__ import annotations

from rollout.artifacts.package import Package, default_id, prepare

__all__ = ["Package", "default_id", "prepare"]
