"""What a host is told that fetches an artifact itself: made where it is sent, and kept nowhere."""

from __future__ import annotations

from rollout.artifacts.remote import NotFetched
from rollout.model.play import ArtifactAsk
from rollout.posix import pull
from rollout.secrets.keyring import SecretFault, keyring

VALID_S = 3600  # a URL of S3 that needs no credentials


def request(ask: ArtifactAsk) -> bytes:
    """Return the request, with the secrets in it; raise NotFetched where there can be none."""
    try:
        if ask.url.startswith("s3://"):
            from rollout.artifacts.s3 import presigned

            return pull.request(presigned(ask.url, VALID_S), {})
        return pull.request(ask.url, keyring().of_headers(ask.headers))
    except SecretFault as fault:
        raise NotFetched(str(fault)) from None
    except ValueError as fault:
        raise NotFetched(f"hosts cannot be told where it is: {fault}.", "Write `transfer: push`.") from None
