"""Rendered files of a release: how they stand in a host's own manifest, and how they come into the tree.

A manifest with rendered files has a comment for each, with the mode that the file has on the host (a line of a
manifest knows two)::

    # template 0640 ./config/env

and, where a secret is in one of them, a seal: a number that only the state can make. Without it nobody who sees the
digest of the manifest, or a journal with it, can try out what the secret might be::

    # seal <64 hex digits>
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from rollout.model.release import RenderedFile
from rollout.posix.manifest import HEADER, Entry, line
from rollout.posix.quote import Script, assign, lean, listing

RUNS = 0o100


class Misplaced(ValueError):
    """A rendered file cannot stand where it is to stand: ``path``, and what the artifact has there."""

    def __init__(self, path: str, what: str) -> None:
        """Keep both."""
        super().__init__(f"{path}: {what}")
        self.path, self.what = path, what


def manifest_with(manifest: str, files: Sequence[RenderedFile], seal: str = "") -> str:
    """Return the manifest of an artifact with these files in it, secrets in their places; raise Misplaced."""
    kept = {_path(said): said for said in manifest.splitlines() if said != HEADER}
    for file in files:
        _place(kept, file)
    said = [HEADER, *kept.values(), *(f"# template {f.mode} ./{f.path}" for f in files)]
    said += [f"# seal {seal}"] if seal else []
    return "".join(f"{one}\n" for one in sorted(said, key=lambda s: s.encode()))


def _place(kept: dict[str, str], file: RenderedFile) -> None:
    """Put a file into a manifest, in the place of one that is there, with the directories above it."""
    there = kept.get(file.path, "")
    if there[:2] in ("d ", "l "):
        raise Misplaced(file.path, "a directory" if there[0] == "d" else "a symbolic link")
    for above in _above(file.path):
        if kept.setdefault(above, line(Entry(path=above, kind="d")))[:2] != "d ":
            raise Misplaced(above, "no directory")
    entry = Entry(
        path=file.path,
        kind="f",
        mode="0755" if int(file.mode, 8) & RUNS else "0644",
        sha256=hashlib.sha256(file.content.encode()).hexdigest(),
    )
    kept[file.path] = line(entry)


def _above(path: str) -> Iterator[str]:
    """Yield the directories above a path, the outermost first."""
    parts = path.split("/")
    return ("/".join(parts[:n]) for n in range(1, len(parts)))


def _path(said: str) -> str:
    """Return the path in a line of a manifest."""
    if said[:2] == "d ":
        return said[4:]
    return said[4:].partition("//")[0] if said[:2] == "l " else said.partition("  ./")[2]


# The comparison sets the two modes that a manifest knows; what a file is to have comes after it. ``hush``: a hash of a
# file with a secret in it is not for a journal.
_TEXT = lean(r"""
    renders() { each own render_one; }
    render_one() { eval "render_file \"\$1\" \"\$own_mode_$e_at\" \"\$own_text_$e_at\""; }
    render_file() {
        case $1 in */*) mkdir -p "$top/${1%/*}";; esac
        rm -f "$top/$1"
        { (umask 077; printf %s "$3" >"$top/$1"); } 2>/dev/null && chmod "$2" "$top/$1" ||
            spoiled E_DISK "cannot write $1 in release $id"
    }
    narrow() {
        each own narrow_one
        [ -z "$sealed" ] || chmod 600 "$stage/manifest"
    }
    narrow_one() { eval "chmod \"\$own_mode_$e_at\" \"\$top/\$1\""; }
    hush() { if [ -n "$sealed" ]; then sed 's/[0-9a-f]\{64\}/-/g'; else cat; fi; }
""")

# Where an Install's own text has to do something more; without rendered files it is not there at all. Modes come first:
# files are written into directories of the artifact, which may have come with modes that let nobody write there.
_WOVEN = {
    "\ncompare\n": '\nmodes "$top"\nrenders\ncompare\nnarrow\n',
    "\necho '# rollout manifest 1'\n": """\nsed -n '/^# /p' "$P/$stage/manifest"\n""",
    " | head -n 20 | ": " | hush | head -n 20 | ",
}


def woven(text: str) -> str:
    """Return the text of an Install that writes rendered files too; ValueError where it has no place for that."""
    for plain, more in _WOVEN.items():
        if text.count(plain) != 1:
            raise ValueError(f"{plain!r} stands {text.count(plain)} times in an Install")
        text = text.replace(plain, more)
    return text


def script(files: Sequence[RenderedFile], *, sealed: bool) -> Script:
    """Return what an Install needs for its rendered files."""
    said = listing("own", (f.path for f in files)) + listing("own_mode", (f.mode for f in files))
    return said + listing("own_text", (f.content for f in files)) + assign("sealed", "1" if sealed else "") + _TEXT
