"""The member policy: what is refused, by code, with the member named; and what is let through."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from rollout.errors import InputError
from tests.artifacts.tars import END, built, codes, folder, header, link, member, packed, pax

GNU = b"ustar  \x00"
LONG = "d" * 200
REFUSED = {
    "up": (member("../x"), "E_MEMBER_PATH"),
    "absolute": (member("/abs"), "E_MEMBER_PATH"),
    "up in the middle": (member("a/../../x"), "E_MEMBER_PATH"),
    "dot slash": (folder("./"), "E_MEMBER_PATH"),
    "dot": (folder("."), "E_MEMBER_PATH"),
    "below dot": (member("./x"), "E_MEMBER_PATH"),
    "empty name": (member(""), "E_MEMBER_PATH"),
    "two slashes": (member("a//b"), "E_MEMBER_PATH"),
    "a file that ends like a directory": (member("a/"), "E_MEMBER_PATH"),
    "up by a long name": (member("L", b"../x\0", b"L") + member("x"), "E_MEMBER_PATH"),
    "up by pax": (pax(("path", b"../x")) + member("x"), "E_MEMBER_PATH"),
    "up by a prefix": (header("x", prefix=b".."), "E_MEMBER_PATH"),
    "link out": (link("a", "../x"), "E_MEMBER_LINK"),
    "link out from below": (link("b/a", "../../x") + member("c"), "E_MEMBER_LINK"),
    "link absolute": (link("a", "/etc/passwd"), "E_MEMBER_LINK"),
    "link out by a long name": (member("K", b"../" * 60 + b"x\0", b"K") + link("a", "b"), "E_MEMBER_LINK"),
    "link out by pax": (pax(("linkpath", b"../x")) + link("a", "b"), "E_MEMBER_LINK"),
    "link to nothing": (link("a", ""), "E_MEMBER_LINK"),
    "link with a newline": (link("a", "b\nc"), "E_MEMBER_LINK"),
    "up behind a link": (folder("a") + link("l", "a") + link("m", "l/../x"), "E_MEMBER_LINK"),
    "up behind what is not there": (link("m", "n/../x"), "E_MEMBER_LINK"),
    "out only when stripped": (link("top/a", "../top/b") + member("top/b"), "E_MEMBER_LINK"),
    "file through a link": (link("a", "b") + member("a/x"), "E_MEMBER_LINK"),
    "file far below a link": (link("a", "b") + member("a/c/x"), "E_MEMBER_LINK"),
    "hard link": (member("b") + header("a", b"1", target="b"), "E_MEMBER_LINK"),
    "hard link out": (header("a", b"1", target="../../etc/passwd"), "E_MEMBER_LINK"),
    "character device": (header("a", b"3"), "E_MEMBER_TYPE"),
    "block device": (header("a", b"4"), "E_MEMBER_TYPE"),
    "fifo": (header("a", b"6"), "E_MEMBER_TYPE"),
    "contiguous": (header("a", b"7"), "E_MEMBER_TYPE"),
    "sparse": (header("a", b"S", magic=GNU), "E_MEMBER_TYPE"),
    "sparse by pax": (pax(("GNU.sparse.major", b"1")) + member("a"), "E_MEMBER_TYPE"),
    "multi-volume": (header("a", b"M", magic=GNU), "E_MEMBER_TYPE"),
    "twice": (member("a") + member("a"), "E_MEMBER_DUP"),
    "case": (member("a/README") + member("a/Readme"), "E_MEMBER_DUP"),
    "case of a directory": (member("A/x") + member("a/y"), "E_MEMBER_DUP"),
    "accents": (member("caf\u00e9") + member("cafe\u0301"), "E_MEMBER_DUP"),
    "file, then directory": (member("a") + folder("a/"), "E_MEMBER_DUP"),
    "file, then below it": (member("a") + member("a/x"), "E_MEMBER_DUP"),
    "directory, then file": (member("a/x") + member("a"), "E_MEMBER_DUP"),
    "directory, then link": (member("a/x") + link("a", "b"), "E_MEMBER_DUP"),
    "newline": (member("a\nb"), "E_MEMBER_NAME"),
    "escape": (member("a\x1b[31m"), "E_MEMBER_NAME"),
    "C1": (member("a\u0085b"), "E_MEMBER_NAME"),
    "bidi": (member("a\u202egnp.sh"), "E_MEMBER_NAME"),
    "backslash": (member("a\\b"), "E_MEMBER_NAME"),
    "not UTF-8": (member(b"caf\xe9"), "E_MEMBER_NAME"),
    "trailing dot": (member("a./b"), "E_MEMBER_NAME"),
    "trailing space": (member("a "), "E_MEMBER_NAME"),
    "256 bytes": (pax(("path", b"n" * 256)) + member("x"), "E_MEMBER_NAME"),
    "names in another charset": (pax(("hdrcharset", b"BINARY")) + member("x"), "E_MEMBER_NAME"),
    "path of 2100 bytes": (pax(("path", b"/".join([b"n" * 209] * 10))) + member("x"), "E_ARCHIVE_LIMIT"),
    "manifest": (member(".rollout-manifest"), "E_MEMBER_RESERVED"),
    "manifest in another case": (member("app/.Rollout-Manifest"), "E_MEMBER_RESERVED"),
    "current": (member("current") + member("b"), "E_MEMBER_RESERVED"),
    "current below the top": (member("app/current"), "E_MEMBER_RESERVED"),
    "our own folder": (member(".rollout/epoch") + member("b"), "E_MEMBER_RESERVED"),
    "nothing": (b"", "E_ARCHIVE_EMPTY"),
    "only its top": (folder("app/"), "E_ARCHIVE_EMPTY"),
    "negative size": (header("a", size=b"\xff" * 12), "E_ARCHIVE"),
    "negative size in octal": (header("a", size=b"-0000000512\0"), "E_ARCHIVE"),
    "negative size by pax": (pax(("size", b"-512")) + header("a"), "E_ARCHIVE"),
    "two sizes": (pax(("size", b"0")) + member("a"), "E_ARCHIVE"),
    "a link with content": (header("a", b"2", 512, target="b") + bytes(512), "E_ARCHIVE"),
    "paths for all": (pax(("path", b"a"), kind=b"g") + member("x"), "E_ARCHIVE"),
    "two names": (pax(("path", b"a")) + pax(("path", b"b")) + member("x"), "E_ARCHIVE"),
    "a long name for nobody": (member("a") + member("L", b"x\0", b"L"), "E_ARCHIVE"),
    "a zero byte in a long name": (member("L", b"a\0../b\0", b"L") + member("x"), "E_ARCHIVE"),
    "an extended header without a name": (
        header("", b"x", 11) + b"11 path=ab\n".ljust(512, b"\0") + member("x"),
        "E_MEMBER_PATH",
    ),
    "a member that only its extension names": (pax(("path", b"ab")) + member(""), "E_MEMBER_PATH"),
    "bad pax record": (member("p", b"99 path=a\n", b"x") + member("x"), "E_ARCHIVE"),
    "1 TB": (header("a", size=b"\x80" + (2**40).to_bytes(11, "big")), "E_ARCHIVE_LIMIT"),
    "huge header": (header("p", b"x", 2**20) + bytes(2**20) + member("x"), "E_ARCHIVE_LIMIT"),
}


@pytest.mark.parametrize("gzipped", [False, True], ids=["tar", "gzip"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_member_is_refused_by_code(name: str, gzipped: bool, tmp_path: Path) -> None:
    data, code = REFUSED[name]
    with pytest.raises(InputError) as refused:
        packed(tmp_path, data + END, gzipped=gzipped)
    assert set(codes(refused.value)) == {code}
    assert str(tmp_path) in str(refused.value)
    assert all(line.isprintable() for line in str(refused.value).split("\n"))


def test_the_chain_of_2025_is_refused(tmp_path: Path) -> None:
    """Links whose resolved path outgrows PATH_MAX made realpath stop early (CVE-2025-4517)."""
    inside, entries, path = "d" * 247, b"", ""
    for step in "abcdefghijklmnop":
        entries += pax(("path", f"{path}{inside}".encode())) + folder("x")
        entries += pax(("path", f"{path}{step}".encode()), ("linkpath", inside.encode())) + link("x", "x")
        path += f"{step}/"
    far = f"{path}{'l' * 254}"
    entries += pax(("path", far.encode()), ("linkpath", b"../" * 16)) + link("x", "x")
    entries += pax(("path", b"escape"), ("linkpath", f"{far}/../../../../etc".encode())) + link("x", "x")
    entries += member("flaglink")
    with pytest.raises(InputError) as refused:
        packed(tmp_path, entries + END)
    assert set(codes(refused.value)) == {"E_MEMBER_LINK"}


def test_the_same_chain_without_members_below_links_is_refused_too(tmp_path: Path) -> None:
    steps = "".join(link_ for link_ in "abcdefgh")
    entries = folder("real") + b"".join(link(s, "real") for s in steps)
    entries += link("escape", "/".join(steps) + "/../../..")
    with pytest.raises(InputError) as refused:
        packed(tmp_path, entries + END)
    assert codes(refused.value) == ["E_MEMBER_LINK"]
    assert "`escape`" in str(refused.value)


def test_all_bad_members_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        packed(tmp_path, member("../a") + member("ok") + link("l", "/x") + member("ok") + END)
    assert codes(refused.value) == ["E_MEMBER_PATH", "E_MEMBER_LINK", "E_MEMBER_DUP"]


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


def test_what_git_and_bsd_add_is_ignored(tmp_path: Path) -> None:
    made = pax(("comment", b"0123abc"), kind=b"g")
    made += pax(("mtime", b"1.5"), ("LIBARCHIVE.creationtime", b"1"), ("SCHILY.xattr.user.x", b"\0\1")) + member("a")
    assert packed(tmp_path, made + END).manifest_text.endswith("./a\n")


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
