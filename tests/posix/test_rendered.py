"""Files that a release has of its own on a host: written, compared with the manifest, and watched, in each shell."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from rollout.model.drift import Drift
from rollout.model.host import HostName
from rollout.model.release import NoService, ReleaseId, RenderedFile, Shared
from rollout.perform.drift import read
from rollout.posix import frame, rendered
from rollout.posix.op import Activate, Inspect, Install
from rollout.posix.rendered import Misplaced, manifest_with, woven
from rollout.testing.contracts import DELTA, RELEASES
from rollout.testing.packing import differing, packed
from rollout.testing.renderings import FILES, OWN, install
from rollout.testing.renderings import rendered as with_files
from tests.posix.shells import ShellHost
from tests.posix.test_frame import OP, N

SHARED = Shared(dirs=("log",))


def installed(host: ShellHost) -> None:
    host.provide(OWN)
    reply = host.do(replace(install(), shared=SHARED))
    assert reply.status == "done", reply


def drifted(host: ShellHost) -> list[tuple[str, str]]:
    reply = host.do(Inspect(release=ReleaseId("v1"), shared=SHARED))
    assert reply.status == "done", reply
    found = read(Drift(host=HostName("web1")), reply, ("log",))
    return [(c.kind, c.path) for c in found.changes]


def test_what_was_rendered_is_there_to_the_letter_and_with_its_mode(host: ShellHost) -> None:
    installed(host)
    tree = host.root / "releases" / "v1"
    for file in FILES:
        assert (tree / file.path).read_bytes() == file.content.encode()
        assert (tree / file.path).stat().st_mode & 0o777 == int(file.mode, 8), file.path
    assert (tree / ".rollout-manifest").stat().st_mode & 0o777 == 0o600, "it has the hash of what is secret"
    assert hashlib.sha256((tree / ".rollout-manifest").read_bytes()).hexdigest() == OWN.release.manifest
    assert drifted(host) == []
    activate = Activate(release=OWN.release.id, manifest=OWN.release.manifest, expect="", service=NoService())
    assert host.do(activate).status == "done"


@pytest.mark.parametrize(
    ("path", "mode", "seen"),
    [
        ("config/app/env", 0o644, [("mode", "config/app/env")]),
        ("a b/it's [x]*", 0o640, [("mode", "a b/it's [x]*")]),
        ("bin/run", 0o755, [("mode", "bin/run")]),
        ("bin/serve", 0o750, [("mode", "bin/serve")]),
    ],
)
def test_another_mode_is_a_change(dash: ShellHost, path: str, mode: int, seen: object) -> None:
    installed(dash)
    (dash.root / "releases" / "v1" / path).chmod(mode)
    assert drifted(dash) == seen


def test_a_change_of_a_rendered_file_is_seen_and_no_such_release_is_switched_to(host: ShellHost) -> None:
    installed(host)
    (host.root / "releases" / "v1" / "config/app/env").write_text("PASSWORD=mine\n")
    assert drifted(host) == [("changed", "config/app/env")]
    activate = Activate(release=OWN.release.id, manifest=OWN.release.manifest, expect="", service=NoService())
    assert host.do(activate).code == "E_TAMPERED"


def test_what_is_not_in_the_manifest_is_not_installed_and_no_hash_is_told(host: ShellHost) -> None:
    host.provide(OWN)
    other = replace(FILES[0], content="PASSWORD=another")
    reply = host.do(install(files=(other, *FILES[1:])))
    assert reply.code == "E_MANIFEST"
    assert "config/app/env" in "\n".join(reply.tail)
    assert not [line for line in reply.tail if hashlib.sha256(other.content.encode()).hexdigest() in line]
    assert not [line for line in reply.tail if hashlib.sha256(FILES[0].content.encode()).hexdigest() in line]
    assert not (host.root / "releases" / "v1").exists()


def test_what_differs_is_sent_and_what_is_rendered_comes_on_top(host: ShellHost) -> None:
    installed(host)
    new = with_files(RELEASES["v3"], FILES)
    delta, payload = differing(RELEASES["v1"], RELEASES["v3"], {"new": b"3", "VERSION": b"1"})
    assert delta.artifact != DELTA.artifact
    sent = payload[: delta.size] + new.payload[new.release.size :]
    host.payloads["v3"] = sent
    way = replace(delta, manifest=OWN.release.manifest)
    reply = host.do(replace(install(new), way=way))
    assert (reply.status, reply.code) == ("done", ""), reply
    assert (host.root / "releases/v3/VERSION").read_text() == "1 of this host\n"


def test_as_much_as_may_be_rendered_arrives(host: ShellHost) -> None:
    files = [RenderedFile(path=f"config/{n}", content=("'\\n$x" * 20_000)[: 64 * 1024]) for n in range(4)]
    host.provide(with_files(RELEASES["v1"], files))
    assert host.do(install(with_files(RELEASES["v1"], files), files)).status == "done"
    assert (host.root / "releases/v1/config/3").read_text() == files[3].content


def test_a_step_with_rendered_files_stays_small() -> None:
    script = frame.said(replace(OP, do=replace(install(), rendered=())), N)
    more = frame.said(replace(OP, do=install()), N)
    assert len(more.text) < 18_432
    assert len(more.text) - len(script.text) < 1000


def test_a_text_that_has_no_place_for_them_is_no_install() -> None:
    with pytest.raises(ValueError, match="stands 0 times"):
        woven("nothing\n")


BASE = packed("v1", {"bin/serve": b"", "VERSION": b"1"}, links={"log": "VERSION"})
MANIFEST = BASE.payload[BASE.release.size :].decode()


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("bin", "bin: a directory"),
        ("log", "log: a symbolic link"),
        ("log/env", "log: no directory"),
        ("VERSION/deep/env", "VERSION: no directory"),
    ],
)
def test_a_rendered_file_has_a_place_of_its_own(path: str, what: str) -> None:
    with pytest.raises(Misplaced, match=f"^{what}$"):
        manifest_with(MANIFEST, [RenderedFile(path=path, content="")])


def test_a_manifest_without_rendered_files_is_the_artifacts() -> None:
    assert manifest_with(MANIFEST, []) == MANIFEST


def test_the_seal_changes_the_digest_of_what_holds_a_secret() -> None:
    files = [RenderedFile(path="env", content="PASSWORD=1")]
    assert len({manifest_with(MANIFEST, files, seal) for seal in ("", "1" * 64, "2" * 64)}) == 3
    assert rendered.manifest_with(MANIFEST, files).splitlines()[:2] == ["# rollout manifest 1", "# template 0640 ./env"]


def test_an_install_without_them_is_what_it_was() -> None:
    said = frame.said(replace(OP, do=Install(release=OWN.release)), N)
    assert "renders" not in said.text
    assert "own" not in [line.split("=")[0] for line in said.values.splitlines()]
