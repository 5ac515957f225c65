"""The shapes of URLs that an artifact may be fetched from."""

from __future__ import annotations

import re

_HTTPS = re.compile(r"https://(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?(/[!-~]*)?(\?[!-~]*)?")
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.DOTALL)
MOST = 8192  # characters


def https_parts(url: str) -> tuple[str, int, str] | None:
    """Return host, port, and path with query; None for what is no plain https URL."""
    found = _HTTPS.fullmatch(url) if len(url) <= MOST and "#" not in url else None
    port = int(found[2] or 443) if found else 0
    if not found or not 1 <= port <= 65535:
        return None
    return found[1].strip("[]"), port, (found[3] or "/") + (found[4] or "")


def s3_parts(url: str) -> tuple[str, str] | None:
    """Return bucket and key; None for what names none."""
    found = _S3.fullmatch(url)
    if not found or not found[2].isprintable() or len(found[2].encode("utf-8", "replace")) > 1024:
        return None
    return found[1], found[2]
