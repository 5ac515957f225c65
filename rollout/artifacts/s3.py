"""Fetching from S3, and from what speaks like it: endpoint, region and credentials are AWS's own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.artifacts.https import read_some
from rollout.artifacts.remote import Answer, Interrupted, NotFetched, Patience, quiet
from rollout.model.url import s3_parts
from rollout.posix.sanitise import line

MISSING = "Type: pip install 'rollout[aws]'"
SAID = {
    "NoSuchKey": "there is nothing of that name in the bucket",
    "404": "there is nothing of that name in the bucket",
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "these credentials may not read it (s3:GetObject)",
    "403": "these credentials may not read it (s3:GetObject)",
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key is not the one of the access key",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the session token is not one of theirs",
    "PermanentRedirect": "the bucket is in another region",
    "AuthorizationHeaderMalformed": "the bucket is in another region",
    "InvalidObjectState": "it lies in an archive, and has to be restored first",
}
CHANGED = ("PreconditionFailed", "412", "InvalidRange", "416")
CONFIGURED = "Credentials, region and endpoint are AWS's own configuration: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL."


@dataclass(frozen=True, slots=True)
class S3:
    """An object in a bucket. ``headers`` are not its business: there are none."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def open(self, start: int, tag: str, patience: Patience) -> Answer:
        """Ask for the bytes from ``start`` on; raise NotFetched or Interrupted."""
        parts = s3_parts(self.url)
        if parts is None:
            raise NotFetched("this is no bucket and key.")
        wanted: dict[str, Any] = {"Bucket": parts[0], "Key": parts[1]}
        if start and tag:
            wanted |= {"Range": f"bytes={start}-", "IfMatch": tag}
        said = _asked(wanted, patience)
        raw, length = said["Body"].__enter__(), int(said.get("ContentLength", -1))  # the answer itself
        begins = start if "Range" in wanted and str(said.get("ContentRange", "")).startswith(f"bytes {start}-") else 0
        return Answer(
            start=begins,
            size=begins + length if length >= 0 else -1,
            tag=str(said.get("ETag", "")),
            read=lambda: read_some(raw),
            close=raw.close,
        )


def presigned(url: str, valid_s: int) -> str:
    """Return an https:// URL that whoever has it can fetch the object with, for so long; raise NotFetched.

    Nothing is contacted.
    """
    parts = s3_parts(url)
    if parts is None:
        raise NotFetched("this is no bucket and key.")
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise NotFetched("boto3, which speaks to S3, is not here.", MISSING) from None
    try:
        # Without a style it names the endpoint that is all regions', which sends on to where the signature is not good.
        asked = Config(signature_version="s3v4", s3={"addressing_style": "path"})
        client = boto3.Session().client("s3", config=asked)
        wanted = {"Bucket": parts[0], "Key": parts[1]}
        return str(client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=valid_s))
    except BotoCoreError as problem:
        raise NotFetched(f"no URL can be signed for it: {line(str(problem), 120)}.", CONFIGURED) from None


def _asked(wanted: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise NotFetched("boto3, which speaks to S3, is not here.", MISSING) from None
    quiet("urllib3", "boto3", "botocore")
    once = Config(connect_timeout=patience.connect_s, read_timeout=patience.read_s, retries={"total_max_attempts": 1})
    try:
        answer: Mapping[str, Any] = boto3.Session().client("s3", config=once).get_object(**wanted)
        return answer
    except ClientError as problem:
        raise _refused(str(problem.response.get("Error", {}).get("Code", "")), problem.response) from None
    except BotoCoreError as problem:
        raise _failed(problem) from None
    except ValueError as problem:  # an endpoint or a region that is no such thing
        raise NotFetched(f"it cannot be asked for: {line(str(problem), 120)}.", CONFIGURED) from None


def _refused(code: str, response: Mapping[str, Any]) -> Exception:
    """Return what an answer that is an error means."""
    if code in CHANGED:
        return Interrupted("it was changed while it was fetched.", again=True)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in SAID:
        return NotFetched(f"{SAID[code]}.", CONFIGURED if status != 404 else "Look at the URL.")
    shown = line(code, 60) or str(status)
    if status >= 500 or status == 429:
        return Interrupted(f"S3 answers {shown}.")
    return NotFetched(f"S3 answers {shown}.", CONFIGURED)


def _failed(problem: Exception) -> Exception:
    """Return what it means that there was no answer."""
    from botocore.exceptions import ConnectionError, HTTPClientError, NoCredentialsError, PartialCredentialsError

    if isinstance(problem, NoCredentialsError | PartialCredentialsError):
        return NotFetched("there are no credentials for S3 here.", CONFIGURED)
    said = line(str(problem), 160).removesuffix(".")
    if isinstance(problem, ConnectionError | HTTPClientError):
        return Interrupted(f"S3 cannot be reached: {said}.")
    return NotFetched(f"it cannot be asked for: {said}.", CONFIGURED)
