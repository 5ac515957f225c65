"""A release that a host fetches itself, from a real server, by the host's own curl, in each of the shells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rollout.model.release import Pull
from rollout.posix import pull
from rollout.posix.op import Install, Observe, Reply
from tests.artifacts.registry import Registry, broken, moved, status
from tests.engine.questions import SERVICE
from tests.posix.conftest import with_curl
from tests.posix.shells import ShellHost, shell
from tests.posix.test_delta import NEW, Built, build, install, tree

SECRET = "dapper-otter-9"
HEADERS = {"Authorization": f'Bearer {SECRET}-"\\n', "X-Empty": "x;y"}
# A curl that says what everybody on the machine can see of it: its arguments, its environment, and files of the root.
SHOWING = """#!/bin/sh
{ printf '%s\\n' "$@"; env; ls -l /proc/$$/fd; find . -type f -exec cat {} +; } >>{said} 2>/dev/null
exec /usr/bin/curl "$@"
"""


@dataclass(slots=True)
class Case:
    """A host with curl, a server that it trusts, and a release."""

    host: ShellHost
    server: Registry
    built: Built
    said: Path
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)

    def pull(self, url: str = "", host: ShellHost | None = None) -> Reply:
        said = pull.request(url or self.server.url(f"/v2?token={SECRET}"), self.headers)
        used = host or self.host
        used.payloads["v2"] = said + self.built.package.manifest_text.encode()
        return used.do(Install(release=self.built.release, way=Pull()))

    def refused(self, code: str, *words: str, url: str = "") -> None:
        reply = self.pull(url)
        assert (reply.status, reply.code) == ("refused", code), reply
        assert all(word in reply.summary for word in words), reply
        assert SECRET not in f"{reply}"
        assert not (self.host.root / "releases/v2").exists()
        assert not list((self.host.root / ".rollout/incoming").glob("*"))


def made(host: ShellHost, tmp_path: Path, trusted: tuple[Registry, Path]) -> Case:
    server, trust = trusted
    server.asked.clear()
    server.answers.clear()
    said = tmp_path / "said"
    used = with_curl(host, tmp_path, trust, SHOWING.replace("{said}", str(said)))
    built = build(tmp_path, "v2", NEW)
    server.content = Path(built.package.path).read_bytes()
    return Case(used, server, built, said)


@pytest.fixture
def case(dash: ShellHost, tmp_path: Path, trusted: tuple[Registry, Path]) -> Case:
    return made(dash, tmp_path, trusted)


def test_it_is_as_if_it_had_been_sent_and_nobody_sees_from_where(
    host: ShellHost, tmp_path: Path, trusted: tuple[Registry, Path]
) -> None:
    case = made(host, tmp_path, trusted)
    assert case.host.do(Observe(service=SERVICE)).fields["fetches"] == "curl"
    reply = case.pull()
    assert (reply.status, reply.code) == ("done", ""), reply
    (tmp_path / "other").mkdir()
    bare = ShellHost(shell("dash", tmp_path), tmp_path / "other")
    assert install(bare, case.built).status == "done"
    assert tree(host.root / "releases/v2") == tree(bare.root / "releases/v2")
    [(path, headers)] = case.server.asked
    assert (path, headers["Authorization"], headers["X-Empty"]) == (f"/v2?token={SECRET}", *HEADERS.values())
    assert "--proto" in case.said.read_text()
    left = [p for p in tmp_path.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert left == [], "it stands where others may read it"


def test_a_redirect_is_followed_without_the_headers(case: Case) -> None:
    case.server.answers = [moved(case.server.url("/there", "127.0.0.1")), moved(case.server.url("/at-last"))]
    assert case.pull().status == "done"
    assert [path for path, _ in case.server.asked] == [f"/v2?token={SECRET}", "/there", "/at-last"]
    assert ["Authorization" in headers for _, headers in case.server.asked] == [True, False, False]


def test_not_for_ever_and_not_to_anywhere(case: Case) -> None:
    case.server.answers = [moved(case.server.url())] * 6
    case.refused("E_FETCH", "more than 5 times")
    assert len(case.server.asked) == 6
    for to in (f"http://127.0.0.1:{case.server.port}/", "file:///etc/passwd"):
        case.server.answers = [moved(to)]
        case.refused("E_FETCH", "something else than https://")
    case.server.answers = [moved('https://localhost/"\\x')]
    case.refused("E_FETCH", "what is no URL")


def test_what_is_not_the_artifact_is_refused(case: Case) -> None:
    right = case.server.content
    for wrong in (right[:-1], right + b"x", b"<html>", bytes(len(right))):
        case.server.content = wrong
        case.refused("E_DIGEST", "artifact")
    case.server.content, case.server.sent = right + bytes(40_000_000), 0
    case.refused("E_DIGEST", "artifact")
    assert case.server.sent < 20_000_000, "no more is taken than it is to have"
    case.server.content = right
    case.server.answers = [broken(100)]
    case.refused("E_FETCH")
    case.server.answers = [status(404)]
    case.refused("E_FETCH", "404")
    assert case.pull().status == "done", "nothing of it stays in the way"


def test_who_cannot_be_reached_or_trusted_is_named(case: Case) -> None:
    case.refused("E_FETCH", "cannot be reached", url="https://127.0.0.1:9/")
    case.refused("E_FETCH", "not known", url="https://rollout.invalid/")
    used = case.host.shell
    known = {k: v for k, v in used.env.items() if k != "CURL_CA_BUNDLE"}
    (case.said.parent / ".curlrc").write_text("insecure\n")
    case.host.shell = replace(used, env={**known, "HOME": str(case.said.parent)})
    case.refused("E_FETCH", "not trusted")
    assert case.server.asked == []


def test_a_host_without_curl_says_so(tmp_path: Path, trusted: tuple[Registry, Path]) -> None:
    (tmp_path / "shop").mkdir()
    case = made(ShellHost(shell("busybox", tmp_path), tmp_path / "shop"), tmp_path, trusted)
    (tmp_path / "with-curl/curl").unlink()
    assert case.host.do(Observe(service=SERVICE)).fields["fetches"] == ""
    case.refused("E_TOOL", "curl")


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://example.org/x", {}),
        ("s3://bucket/x", {}),
        ("https://example.org/x\nurl = file:///etc/passwd", {}),
        ("https://example.org/x", {"A": "b\r\nc: d"}),
        ("https://example.org/x", {"A": "b" * pull.SIZE}),
    ],
)
def test_what_no_request_can_carry(url: str, headers: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match=r"not an https|bytes"):
        pull.request(url, headers)


def test_every_request_is_as_long_as_any_other() -> None:
    assert {len(pull.request(f"https://example.org/{'x' * n}", {})) for n in (0, 100, 1000)} == {pull.SIZE}
