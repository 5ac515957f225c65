"""Values from Vault or OpenBao: one path, one key. Where the server is and who we are, the environment alone says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.secrets.fault import Unresolved

TIMEOUT_S = 10.0


def value_at(rest: str, environ: Mapping[str, str]) -> str:
    """Return what ``PATH#KEY`` holds; raise Unresolved, without a word of what the server said."""
    path, _, key = rest.rpartition("#")
    found = _read(path, environ)
    if isinstance(found.get("data"), dict) and "metadata" in found:  # the second version of its store
        found = found["data"]
    value = found.get(key)
    if value is None:
        raise Unresolved(f"there is no key {key} at that path")
    if not isinstance(value, str):
        raise Unresolved(f"the key {key} holds no text")
    return value


def _read(path: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Ask the server once; redirects are not followed: the token would go along."""
    missing = [name for name in ("VAULT_ADDR", "VAULT_TOKEN") if not environ.get(name)]
    if missing:
        raise Unresolved(f"{' and '.join(missing)} must be set in the environment")
    try:
        import hvac
        from hvac.exceptions import VaultError
        from requests import RequestException
    except ImportError:
        raise Unresolved("it takes the extra `vault`: pip install 'rollout[vault]'") from None
    client = hvac.Client(
        url=environ["VAULT_ADDR"],
        token=environ["VAULT_TOKEN"],
        namespace=environ.get("VAULT_NAMESPACE") or None,
        verify=environ.get("VAULT_CACERT") or True,
        timeout=TIMEOUT_S,
        allow_redirects=False,
    )
    try:
        answer = client.read(path)
    except VaultError as error:
        raise Unresolved(f"the server says no: {type(error).__name__}") from None
    except (RequestException, ValueError) as error:
        raise Unresolved(f"the server cannot be asked: {type(error).__name__}") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
        raise Unresolved("nothing is at that path")
    data: dict[str, Any] = answer["data"]
    return data
