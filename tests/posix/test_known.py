"""What was hashed is not hashed again while nothing was written; what was written is seen, whenever that was."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.model.release import NoService, ReleaseId, RenderedFile, Shared
from rollout.posix.intact import TEXT
from rollout.posix.op import Activate, Inspect, Install, Prune, Reply
from rollout.posix.rendered import manifest_with
from tests.disks import ext4
from tests.posix.conftest import only_root, tooled
from tests.posix.shells import ShellHost
from tests.posix.test_delta import NEW, OLD, Built, between, build, install, linked

SENT = {"bin/serve", "was a file/x", "was a folder", "bin/-f", "new/er/file"}  # what differs between the two


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Built, Built]:
    return build(tmp_path, "v1", OLD), build(tmp_path, "v2", NEW)


@pytest.fixture
def both(dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path) -> ShellHost:
    """A host that is on v2, which has files in common with v1."""
    old, new = pair
    assert install(dash, old).status == "done"
    assert install(dash, new, linked(between(old, new, tmp_path))).status == "done"
    assert dash.do(switch(new)).status == "done"
    return dash


def switch(built: Built, expect: str = "") -> Activate:
    return Activate(
        release=built.release.id, manifest=built.release.manifest, expect=expect, service=NoService(), again=True
    )


def pruned(host: ShellHost, release: str) -> None:
    assert host.do(Prune(releases=(ReleaseId(release),), service=NoService())).fields["pruned"] == release


def with_tool(host: ShellHost, folder: Path, tool: str, first: str) -> ShellHost:
    """The same host, where something is done right before a tool does its work."""
    tools = folder / f"with {tool}"
    tools.mkdir()
    (tools / tool).write_text(f'#!/bin/sh\n{first}\nexec /usr/bin/{tool} "$@"\n')
    (tools / tool).chmod(0o755)
    return tooled(host, tools)


def without_tools(host: ShellHost, meddled: ShellHost) -> ShellHost:
    """The host as it was, after what another one of the same root has done."""
    return replace(host, sent=meddled.sent)


def logged(host: ShellHost, folder: Path) -> tuple[ShellHost, Path]:
    """The same host, whose tools write down the files that they hash."""
    log = folder / "hashed"
    for tool in ("openssl", "sha256sum"):
        host = with_tool(host, folder, tool, f"printf '%s\\n' \"$@\" >>{log}")
    return host, log


def hashed(log: Path) -> set[str]:
    """Return which files of a release were hashed since the last time; "-c" where all of a manifest were."""
    found = {line.removeprefix("./") for line in log.read_text().splitlines() if line.startswith("./") or line == "-c"}
    log.write_text("")
    return found


def older(folder: Path) -> Path:
    """A file whose time lies long before all that is installed, as tools leave it that keep times."""
    (folder / "older").write_bytes(b"X")
    os.utime(folder / "older", (1e9, 1e9))
    return folder / "older"


def test_it_is_not_hashed_again(dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path) -> None:
    """Neither when it is linked, nor before a switch, the way back's too, nor when another release of it is gone."""
    old, new = pair
    host, log = logged(dash, tmp_path)
    assert install(host, old).status == "done"
    assert "lib/one" in hashed(log)
    assert host.do(switch(old)).status == "done"
    assert install(host, new, linked(between(old, new, tmp_path))).status == "done"
    assert hashed(log) == SENT
    assert host.do(switch(new, "v1")).status == "done"
    assert host.do(switch(old, "v2")).status == "done"
    pruned(host, "v2")
    assert host.do(switch(old)).status == "done"
    assert hashed(log) == set()
    assert [p.name for p in (host.root / ".rollout").iterdir() if "known" in p.name] == ["known-v1"]
    (host.root / "releases/v1/lib/one").chmod(0o644)
    assert install(host, new, linked(between(old, new, tmp_path))).status == "done"
    assert "lib/one" in hashed(log), "somebody was there"


def test_nor_where_the_same_is_rendered(dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path) -> None:
    """It is linked, and then written anew: the old release has one name of the old file less."""
    files = (RenderedFile(path="conf/env", mode="0644", content="A=1\n"),)
    old, new = (with_files(built, files) for built in pair)
    host, log = logged(dash, tmp_path)
    assert rendering(host, old, old[0].payload[: old[0].release.size], files).status == "done"
    assert host.do(switch(old[0])).status == "done"
    made = linked(between(pair[0], pair[1], tmp_path))
    deed = Install(
        release=new[0].release,
        shared=Shared(),
        rendered=files,
        way=replace(made.delta, manifest=old[0].release.manifest),
    )
    with made.open() as reader:
        host.payloads["v2"] = reader.read()[: made.delta.size] + new[1].encode()
    hashed(log)
    assert host.do(deed).status == "done"
    assert hashed(log) == SENT | {"conf/env"}
    assert host.do(switch(new[0], "v1")).status == "done"
    assert host.do(switch(old[0], "v2")).status == "done"
    assert hashed(log) == set()


def with_files(built: Built, files: tuple[RenderedFile, ...]) -> tuple[Built, str]:
    text = manifest_with(built.package.manifest_text, files)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(built, release=replace(built.release, manifest=digest, manifest_size=len(text.encode()))), text


def rendering(host: ShellHost, of: tuple[Built, str], data: bytes, files: tuple[RenderedFile, ...]) -> Reply:
    host.payloads[of[0].release.id] = data + of[1].encode()
    return host.do(Install(release=of[0].release, shared=Shared(), rendered=files))


def test_nor_where_a_member_came_with_a_time_to_come(
    dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path
) -> None:
    old, new = pair
    host, log = logged(dash, tmp_path)
    ahead = time.time() + 300
    dated = f"case $* in *incoming*manifest) touch -d @{ahead} .rollout/incoming/*/tree/lib/*;; esac"
    host = with_tool(host, tmp_path, "mv", dated)
    assert install(host, old).status == "done"
    assert host.do(switch(old)).status == "done"
    hashed(log)
    assert install(host, new, linked(between(old, new, tmp_path))).status == "done"
    assert hashed(log) == SENT


@pytest.mark.parametrize(
    ("meddle", "tampered"),
    [
        ("printf X >{root}/releases/v1/lib/one", True),
        ("/bin/cp -p {older} {root}/releases/v1/lib/one", True),
        ("/bin/cp -p {older} {root}/releases/v1/lib/two", True),
        ("chmod 755 {root}/releases/v1/lib/one", False),
    ],
    ids=["written", "with an old time", "what the new one has not", "a mode"],
)
def test_what_is_done_while_it_is_linked_is_seen(
    dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path, meddle: str, tampered: bool
) -> None:
    old, new = pair
    assert install(dash, old).status == "done"
    said = meddle.format(root=dash.root, older=older(tmp_path))
    host = with_tool(dash, tmp_path, "cp", said)
    assert install(host, new, linked(between(old, new, tmp_path))).code == "E_BASE"
    assert without_tools(dash, host).do(switch(old)).code == ("E_TAMPERED" if tampered else "")


@pytest.mark.parametrize(
    ("tool", "when", "known"),
    [("sync", "*incoming*", True), ("sync", "*incoming*", False), ("mv", "*incoming*manifest*", False)],
    ids=["a known base", "a base that was hashed", "a base that was hashed a moment ago"],
)
def test_what_is_written_after_it_was_compared_is_seen_and_not_passed_on(
    dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path, tool: str, when: str, known: bool
) -> None:
    """A sync may take seconds, and what is linked has a name that others see."""
    old, new = pair
    assert install(dash, old).status == "done"
    file = dash.root / "releases/v1/lib/one"
    if not known:
        file.chmod(0o644)
    meddled = with_tool(dash, tmp_path, tool, f"case $* in {when}) printf X >{file};; esac")
    assert install(meddled, new, linked(between(old, new, tmp_path))).status == "done"
    host = without_tools(dash, meddled)
    assert host.do(switch(new)).code == "E_TAMPERED"
    newer = build(tmp_path, "v3", {**NEW, "more": b"1"})
    assert install(host, newer, linked(between(new, newer, tmp_path))).code == "E_BASE"
    assert host.do(switch(old)).code == "E_TAMPERED"


@pytest.mark.parametrize("meddle", ["printf X >{file}", "/bin/cp -p {older} {file}"], ids=["written", "an old time"])
def test_what_is_written_while_another_release_goes_is_seen(
    both: ShellHost, pair: tuple[Built, Built], tmp_path: Path, meddle: str
) -> None:
    said = meddle.format(file=both.root / "releases/v2/lib/one", older=older(tmp_path))
    host = with_tool(both, tmp_path, "rm", f"case $* in *pruned*) {said};; esac")
    pruned(host, "v1")
    assert without_tools(both, host).do(switch(pair[1])).code == "E_TAMPERED"


def test_what_was_written_before_another_release_goes_stays_seen(both: ShellHost, pair: tuple[Built, Built]) -> None:
    rewritten(both.root / "releases/v2")
    pruned(both, "v1")
    assert both.do(switch(pair[1])).code == "E_TAMPERED"


def edited(base: Path) -> None:
    """Edit all files as people do, that of the manifest last, which has nothing to be changed."""
    for script, path in (("s/1/7/", "lib/one"), ("s/nothing of it/7/", ".rollout-manifest")):
        subprocess.run(["sed", "-i", script, path], cwd=base, check=True)


def touched(base: Path) -> None:
    (base / "lib/one").write_bytes(b"X")
    (base / ".rollout-manifest").touch()


def less(base: Path) -> None:
    """Take a file away, and set the folder's time back, as tools do that keep times."""
    (base / "-f").unlink()
    os.utime(base, (1e9, 1e9))


def less_within(base: Path) -> None:
    (base / "lib" / "one").unlink()
    os.utime(base / "lib", (1e9, 1e9))


@pytest.mark.parametrize("write", [edited, touched, less_within])
def test_no_time_within_the_release_is_believed(
    dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path, write: Callable[[Path], None]
) -> None:
    old, new = pair
    assert install(dash, old).status == "done"
    write(dash.root / "releases/v1")
    assert install(dash, new, linked(between(old, new, tmp_path))).code == "E_BASE"
    assert dash.do(switch(old)).code == "E_TAMPERED"


def rewritten(base: Path) -> None:
    """Write as many bytes, and set the times back."""
    was = (base / "lib/one").stat()
    (base / "lib/one").write_bytes(b"X")
    os.utime(base / "lib/one", ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("how", ["kill -9 $$", "exit 1"])
@pytest.mark.parametrize(
    ("which", "write"),
    [("releases*-cnewer", rewritten), ("%T@", lambda base: (base / "-f").unlink())],
    ids=["at when it changed", "at what it looks like"],
)
def test_a_look_that_cannot_be_finished_says_nothing(
    dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path, how: str, which: str, write: Any
) -> None:
    assert install(dash, pair[0]).status == "done"
    write(dash.root / "releases/v1")
    host = with_tool(dash, tmp_path, "find", f"case $* in *{which}*) {how};; esac")
    assert host.do(switch(pair[0])).code == "E_TAMPERED"


def test_what_cannot_be_looked_at_twice_looks_not_the_same(
    dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path
) -> None:
    old, new = pair
    assert install(dash, old).status == "done"
    flag = tmp_path / "linked"
    host = with_tool(dash, tmp_path, "find", f"case $* in *%T@*) [ ! -e {flag} ] || exit 1;; esac")
    host = with_tool(host, tmp_path, "cp", f"touch {flag}")
    assert install(host, new, linked(between(old, new, tmp_path))).code == "E_BASE"


def test_a_time_of_what_is_gone_is_gone(dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path) -> None:
    old, new = pair
    assert install(dash, old).status == "done"
    (dash.root / "releases/v1").rename(tmp_path / "away")
    assert install(dash, new).status == "done"
    assert [p.name for p in (dash.root / ".rollout").glob("known*")] == ["known-v2"]


def test_what_is_gone_from_its_top_is_missed(dash: ShellHost, pair: tuple[Built, Built]) -> None:
    assert install(dash, pair[0]).status == "done"
    less(dash.root / "releases/v1")
    assert dash.do(switch(pair[0])).code == "E_TAMPERED"


def test_what_can_never_be_looked_at_is_not_known(dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path) -> None:
    """Where find has no -printf: what was not seen when it was installed is not the same as what is not seen now."""
    host = with_tool(dash, tmp_path, "find", "case $* in *%T@*) exit 1;; esac")
    assert install(host, pair[0]).status == "done"
    less(host.root / "releases/v1")
    assert host.do(switch(pair[0])).code == "E_TAMPERED"


def test_a_copy_in_its_place_is_not_known(dash: ShellHost, pair: tuple[Built, Built], tmp_path: Path) -> None:
    """It was written before the release was looked at last, and moved there since."""
    old, new = pair
    assert install(dash, old).status == "done"
    base, copy = dash.root / "releases/v1", dash.root / "copy"
    shutil.copytree(base, copy, symlinks=True)
    rewritten(copy)
    assert install(dash, new, linked(between(old, new, tmp_path))).status == "done"
    base.rename(dash.root / "away")
    copy.rename(base)
    assert dash.do(switch(old)).code == "E_TAMPERED"


def test_a_clock_that_was_ahead_hides_nothing_once_it_is_as_late(dash: ShellHost, pair: tuple[Built, Built]) -> None:
    assert install(dash, pair[0]).status == "done"
    ahead = time.time() + 0.5
    os.utime(dash.root / ".rollout/known-v1", (ahead, ahead))
    (dash.root / "releases/v1/lib/one").write_bytes(b"X")
    while time.time() < ahead:
        time.sleep(0.1)
    assert dash.do(switch(pair[0])).code == "E_TAMPERED"


def test_a_step_that_is_killed_leaves_nothing_for_good(
    both: ShellHost, pair: tuple[Built, Built], tmp_path: Path
) -> None:
    killed = with_tool(both, tmp_path, "touch", "case $* in *known+*+) kill -9 $PPID; exit;; esac")
    killed.shell.send(killed.bytes_of(killed.op(Prune(releases=(ReleaseId("v1"),), service=NoService()))))
    host = without_tools(both, killed)
    assert list((host.root / ".rollout").glob("known+*")), "it was killed where something was left"
    newer = build(tmp_path, "v3", {**NEW, "more": b"1"})
    assert install(host, newer, linked(between(pair[1], newer, tmp_path))).status == "done"
    assert {p.name for p in (host.root / ".rollout").glob("known*")} == {"known-v2", "known-v3"}


def test_odd_names_are_known_too(dash: ShellHost, tmp_path: Path) -> None:
    odd = ("-n", "*", "[x]", "?", "  lead", "it's", '"q"', "ä/ö", "&", "# c", "$HOME", "`id`", "a: FAILED", "x/y z/,")
    files = dict.fromkeys(odd, b"same")
    old, new = build(tmp_path, "v1", files), build(tmp_path, "v2", {**files, "new": b"n"})
    host, log = logged(dash, tmp_path)
    assert install(host, old).status == "done"
    hashed(log)
    assert install(host, new, linked(between(old, new, tmp_path))).status == "done"
    assert hashed(log) == {"new"}
    assert host.do(Inspect(release=ReleaseId("v2"))).fields["differing"] == "0"


@only_root
def test_where_time_is_coarse_nothing_is_as_old_as_the_stamp(tmp_path: Path) -> None:
    """On a disk that keeps whole seconds, as small inodes of ext4 do."""
    said = "stamp s && echo X >f && find f -cnewer s"
    with ext4(tmp_path / "disk", tmp_path / "image", "-I", "128"):
        run = ["/bin/dash", "-c", TEXT + said]
        done = [subprocess.run(run, cwd=tmp_path / "disk", capture_output=True, check=False) for _ in range(3)]
    assert [one.stdout for one in done] == [b"f\n"] * 3
