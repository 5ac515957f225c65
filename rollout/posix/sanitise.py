r"""What hosts print, made inert: control characters become visible text, and nothing grows without bound.

Whatever a host says may hold terminal escapes, carriage returns that overwrite a line, titles and links (OSC),
C1 controls, or characters that turn the direction of writing. All of these are shown as ``\x1b``, ``\u202e``;
a backslash stays one, so that what was harmless reads as it was printed.
"""

from __future__ import annotations

import re

CUT = "…"

# C0 without newline and tab, DEL, C1; soft hyphen; zero width, marks and turns of direction; line and paragraph
# separators; invisible operators and isolates; the byte order mark; interlinear notes; surrogates; tags; and
# the marks of single scripts that enclose, shorten or join what follows: all of Unicode's Cf.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\ufff9-\ufffc\ud800-\udfff\U000e0000-\U000e0fff"
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a]"
)
_BREAKS = re.compile(r"[\n\t]")


def _shown(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _decoded(said: str | bytes) -> str:
    return said.decode("utf-8", "backslashreplace") if isinstance(said, bytes) else said


def sanitise(said: str | bytes, limit: int = 65_536) -> str:
    """Return ``said`` with newlines and tabs kept and all else that is not plain made visible.

    ``limit`` bounds the characters of the answer; what was cut ends in an ellipsis.
    """
    # Four bytes are at most one character and an escape is longer than what it stands for:
    # never look at more input than could be shown.
    return _cut(_UNSAFE.sub(_shown, _decoded(said[: 4 * limit + 4])), limit)


def line(said: str | bytes, limit: int = 200) -> str:
    """Return ``said`` on one line, at most ``limit`` characters: for summaries and errors."""
    shown = _UNSAFE.sub(_shown, _decoded(said[: 4 * limit + 4]).strip())
    return _cut(_BREAKS.sub(lambda m: "\\n" if m.group() == "\n" else " ", shown), limit)


def tail(said: str | bytes, lines: int = 50, width: int = 400) -> tuple[str, ...]:
    """Return the last ``lines`` lines, each inert and at most ``width`` characters."""
    last = _decoded(said[-4 * lines * (width + 1) :]).rstrip("\n").split("\n")[-lines:]
    return (
        tuple(_cut(_UNSAFE.sub(_shown, one.rstrip("\r")[: width + 1]), width) for one in last) if last != [""] else ()
    )


def _cut(shown: str, limit: int) -> str:
    return shown if len(shown) <= limit else shown[: limit - 1] + CUT
