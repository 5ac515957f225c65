"""Servers that artifacts are fetched from: real ones, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.registry import Authority, Registry, authority, serving


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def certificate(ca: Authority) -> Path:
    return ca.certificate("registry", names=("localhost", "127.0.0.1", "registry.test"))


@pytest.fixture
def registry(ca: Authority, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A server whose authority is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.trust))
    with serving(certificate) as one:
        yield one
