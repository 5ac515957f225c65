"""Fetching from S3: against moto's server, with AWS's own configuration."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from rollout.artifacts.package import prepare
from rollout.artifacts.pulled import request
from rollout.artifacts.remote import Interrupted, NotFetched, Patience
from rollout.artifacts.s3 import S3, presigned
from rollout.errors import Refused
from rollout.model.play import ArtifactAsk
from tests.artifacts.fetches import CONTENT, QUICK, SHA, fetch

pytestmark = pytest.mark.xdist_group("moto")
URL = "s3://releases/shop/app 1.tar"
ASK = ArtifactAsk(url=URL, sha256=SHA, place=("play.yml", 5, 15))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket, and a machine whose configuration is all of AWS that it knows."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "ENDPOINT_URL": endpoint,
        "ACCESS_KEY_ID": "tests",
        "SECRET_ACCESS_KEY": "s3cr3t",
        "REGION": "eu-central-1",
        "DEFAULT_REGION": "eu-central-1",
        "EC2_METADATA_DISABLED": "true",
        "CONFIG_FILE": str(tmp_path / "none"),
        "SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="releases", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_object(Bucket="releases", Key="shop/app 1.tar", Body=CONTENT)
    yield client
    for one in client.list_objects(Bucket="releases").get("Contents", []):
        client.delete_object(Bucket="releases", Key=one["Key"])
    client.delete_bucket(Bucket="releases")


def test_an_object_is_fetched_once(bucket: Any, tmp_path: Path) -> None:
    said: list[str] = []
    assert prepare(ASK, tmp_path, say=said.append).sha256 == SHA
    bucket.delete_object(Bucket="releases", Key="shop/app 1.tar")
    assert prepare(ASK, tmp_path, say=said.append).path == URL
    assert said == [f"fetching {URL}, {len(CONTENT)} bytes"]


def test_it_goes_on_where_it_broke_off(bucket: Any, tmp_path: Path) -> None:
    tag = bucket.head_object(Bucket="releases", Key="shop/app 1.tar")["ETag"]
    folder = tmp_path / "artifacts"
    folder.mkdir(mode=0o700)
    (folder / f"{SHA}.part").write_bytes(CONTENT[:100_000])
    (folder / f"{SHA}.tag").write_text(f"{hashlib.sha256(URL.encode()).hexdigest()} {tag}")
    answer = S3(URL).open(100_000, tag, QUICK)
    assert (answer.start, answer.size, answer.read()[:50]) == (100_000, len(CONTENT), CONTENT[100_000:100_050])
    answer.close()
    said: list[str] = []
    assert fetch(ASK, tmp_path, say=said.append) == CONTENT
    assert said == []  # which is said where it begins


def test_an_object_that_changed_is_fetched_from_the_beginning(bucket: Any, tmp_path: Path) -> None:
    tag = bucket.head_object(Bucket="releases", Key="shop/app 1.tar")["ETag"]
    bucket.put_object(Bucket="releases", Key="shop/app 1.tar", Body=b"another")
    with pytest.raises(Interrupted) as changed:
        S3(URL).open(100_000, tag, QUICK)
    assert changed.value.again


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("s3://releases/nothing", "there is nothing of that name in the bucket. Look at the URL."),
        ("s3://nowhere/app.tar", "there is no such bucket. Look at the URL."),
    ],
)
def test_what_is_not_there(bucket: Any, url: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        fetch(ArtifactAsk(url=url, sha256=SHA, place=("play.yml", 5, 15)), tmp_path)
    place = tmp_path / "artifacts" / SHA
    assert str(refused.value) == f"E_FETCH: play.yml:5:15: {url}: {why} Or put the file there yourself: {place}"


CONFIGURED = "Credentials, region and endpoint are AWS's own configuration"


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "there are no credentials for S3 here."),
        ({"AWS_SECRET_ACCESS_KEY": None}, "there are no credentials for S3 here."),
        ({"AWS_PROFILE": "nobody"}, "it cannot be asked for: The config profile (nobody) could not be found."),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "it cannot be asked for: Invalid endpoint: nonsense."),
    ],
)
def test_what_is_wrong_with_the_configuration_is_said(
    bucket: Any, environ: dict[str, str | None], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(Refused) as refused:
        fetch(ASK, tmp_path)
    assert f": {why} {CONFIGURED}" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_an_endpoint_where_nobody_listens(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Refused, match=r"S3 cannot be reached: .*Try again later"):
        fetch(ASK, tmp_path, Patience(connect_s=1, read_s=1, total_s=20, attempts=1, pause_s=0.01))


def test_without_boto3_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(Refused, match=r"boto3, which speaks to S3, is not here\. Type: pip install 'rollout\[aws\]'"):
        fetch(ASK, tmp_path)


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken", "SlowDown", "<b>\x1b[31m"])
def test_an_error_of_s3_is_said_in_words(code: str) -> None:
    from rollout.artifacts.s3 import _refused

    status = 503 if code == "SlowDown" else 403
    found = _refused(code, {"ResponseMetadata": {"HTTPStatusCode": status}})
    assert isinstance(found, Interrupted if code == "SlowDown" else NotFetched)
    assert str(found).isprintable()


def test_a_url_that_whoever_has_it_can_fetch_with(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made without asking anybody, and holds neither the secret key nor the credentials' whole."""
    with urllib.request.urlopen(presigned(URL, 60)) as answer:
        assert answer.read() == CONTENT
    with pytest.raises(NotFetched, match="not an https"):
        request(ASK)  # the endpoint of this test is none that a host would be sent to
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    said = request(ASK).decode()
    assert said.startswith('url = "https://s3.eu-central-1.amazonaws.com/releases/shop/app%201.tar?X-Amz-')
    assert "X-Amz-Expires=3600" in said
    assert "s3cr3t" not in said


def test_without_credentials_nothing_is_signed(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(NotFetched, match="no URL can be signed"):
        presigned(URL, 60)
