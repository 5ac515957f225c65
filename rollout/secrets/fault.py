"""What is so when a secret has no value."""

from __future__ import annotations


class Unresolved(Exception):
    """There is no value: what is so, without a word of what it could be."""
