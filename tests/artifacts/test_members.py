"""The member policy: what is refused, by code, with the member named; and what is let through."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from rollout.errors import InputError
from tests.artifacts.tars import END, built, codes, folder, link, member, packed, pax


@pytest.mark.bad("B51", "B52")
def test_all_bad_members_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        packed(tmp_path, member("../a") + member("ok") + link("l", "/x") + member("ok") + END)
    assert codes(refused.value) == ["E_MEMBER_PATH", "E_MEMBER_LINK", "E_MEMBER_DUP"]


@pytest.mark.bad("B52")
def test_links_can_be_forbidden(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="E_MEMBER_LINK"):
        packed(tmp_path, built({"a": b"x", "l": "a"}), links="none")


@pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_packers_make_is_let_through(fmt: int, tmp_path: Path) -> None:
    deep = "/".join(["deep" * 5] * 6)
    made = built(
        {"app": None, "app/run": b"#!", f"app/{deep}/x": b"", "app/l": "run", "app/d": None, "app/d/u": "../run"}, fmt
    )
    package = packed(tmp_path, made, gzipped=True)
    assert package.strip == "app"
    lines = package.manifest_text.splitlines()
    assert "l ./d/u//../run" in lines
    assert any(line.endswith(f"./{deep}/x") for line in lines)
    assert sum(line.startswith("d ") for line in lines) == 7


@pytest.mark.bad("B55")
def test_what_git_and_bsd_add_is_ignored(tmp_path: Path) -> None:
    made = pax(("comment", b"0123abc"), kind=b"g")
    made += pax(("mtime", b"1.5"), ("LIBARCHIVE.creationtime", b"1"), ("SCHILY.xattr.user.x", b"\0\1")) + member("a")
    assert packed(tmp_path, made + END).manifest_text.endswith("./a\n")


@pytest.mark.bad("B54")
@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        (0o777, "0755"),
        (0o4755, "0755"),
        (0o2711, "0755"),
        (0o1644, "0644"),
        (0o000, "0644"),
        (0o600, "0644"),
        (0o011, "0644"),
    ],
)
def test_modes_are_two(mode: int, wanted: str, tmp_path: Path) -> None:
    assert f"\n{wanted} " in packed(tmp_path, member("a", mode=mode) + END).manifest_text


@pytest.mark.bad("B60")
@pytest.mark.parametrize(
    ("names", "strip", "wanted"),
    [
        (["app/a"], "auto", "app"),
        (["app/a", "app/b/c"], "auto", "app"),
        (["app/a"], "none", ""),
        (["app/a", "b"], "auto", ""),
        (["a"], "auto", ""),
    ],
)
def test_one_top_directory_is_taken_off(names: list[str], strip: str, wanted: str, tmp_path: Path) -> None:
    package = packed(tmp_path, b"".join(map(member, names)) + END, strip=strip)
    assert package.strip == wanted
    assert ("./app/a" in package.manifest_text) == (not wanted and names[0] != "a")


@pytest.mark.bad("B60")
@pytest.mark.parametrize(
    ("inside", "wanted"),
    [
        (member("app/app"), ["0644 ./app"]),
        (link("app/app", "x") + member("app/x"), ["0644 ./x", "l ./app//x"]),
        (folder("app/app") + member("app/app/app") + member("app/x"), ["0644 ./app/app", "0644 ./x", "d ./app"]),
        (member("app/app/x"), ["0644 ./app/x", "d ./app"]),
    ],
    ids=["file", "link", "directory", "directory that is implied"],
)
@pytest.mark.parametrize("top", [b"", folder("app")], ids=["implied", "said"])
@pytest.mark.parametrize("gzipped", [False, True], ids=["tar", "gzip"])
def test_a_member_with_the_name_of_the_top_stays(
    inside: bytes, wanted: list[str], top: bytes, gzipped: bool, tmp_path: Path
) -> None:
    package = packed(tmp_path, top + inside + END, gzipped=gzipped)
    lines = package.manifest_text.splitlines()[1:]
    assert package.strip == "app"
    assert sorted(f"{line.split()[0]} {line.split()[-1]}" for line in lines) == wanted
    assert package.files == len(lines) + 2


@pytest.mark.bad("B52", "B60")
def test_a_link_with_the_name_of_the_top_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="E_MEMBER_LINK: link `app` leads out of the release"):
        packed(tmp_path, link("app/app", "../../../etc/passwd") + member("app/x") + END)


def _chain(length: int) -> bytes:
    links = b"".join(link(f"l{n}", f"l{n + 1}") for n in range(length))
    return member("x") + links + link(f"l{length}", "/usr/lib") + link("m", "l0/x") + END


def test_links_are_followed_as_far_as_a_system_would(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="link `m` leads on behind a link that is absolute"):
        packed(tmp_path, _chain(39), allow_links=("/usr/lib",))
    packed(tmp_path, _chain(45), allow_links=("/usr/lib",)).close()


def test_links_that_lead_through_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollout.artifacts.members.MAX_STEPS", 200)
    with pytest.raises(InputError, match="E_ARCHIVE_LIMIT: its links lead through too many links"):
        packed(tmp_path, _chain(45), allow_links=("/usr/lib",))
