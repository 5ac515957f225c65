"""Texts that were good once: lines lost, doubled, moved and cut, with pieces in them that readers stumble over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

Lines = list[str]
Draw = Callable[..., object]

PIECES = (
    *("- ", ": ", "? ", "<<: ", "&a ", "*a", "*b", "!!int ", "!x ", "---", "...", "%YAML 1.1", "#", "|", ">", "|2-"),
    *(
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        '"',
        "`",
        "@",
        "%",
        "\\",
        "\t",
        "  ",
        "\r",
        "\0",
        "\x1b[31m",
        "\u202e",
        "\u2028",
        "\ufeff",
    ),
    *(
        "é",
        "😀",
        "null",
        "~",
        "no",
        "on",
        "0755",
        "0x1f",
        "1_0",
        "1.10",
        "22:22",
        "2026-11-22",
        "2026-13-45",
        "1e309",
        ".inf",
    ),
    *(
        "9" * 400,
        "x" * 5000,
        "[" * 80,
        "{a: " * 70,
        "- " * 70,
        "{{ ",
        " }}",
        "{{ x }}",
        "{% if",
        "{# ",
        "{{ ''.__class__ }}",
    ),
    *(
        "$(id)",
        "../",
        "/dev/zero",
        "100%",
        "0%",
        "-1",
        "5s",
        "400d",
        "web[",
        "[web]",
        "[web:vars]",
        "[a:children]",
        "=",
        "a=b",
    ),
    *(
        "h[1:3]",
        "h[a:",
        "h[1:999999999]",
        "ansible_host=",
        "ansible_port=x",
        "ansible_ssh_common_args='-o x'",
        "~(",
        "!all",
    ),
)


def _line(draw: Draw, lines: Lines) -> int:
    return draw(st.integers(0, len(lines) - 1))  # type: ignore[return-value]


def _lose(draw: Draw, lines: Lines) -> None:
    del lines[_line(draw, lines)]


def _double(draw: Draw, lines: Lines) -> None:
    at = _line(draw, lines)
    lines.insert(at, lines[at])


def _swap(draw: Draw, lines: Lines) -> None:
    one, other = _line(draw, lines), _line(draw, lines)
    lines[one], lines[other] = lines[other], lines[one]


def _indent(draw: Draw, lines: Lines) -> None:
    at = _line(draw, lines)
    lines[at] = draw(st.sampled_from([" ", "  ", "\t", "      "])) + lines[at]  # type: ignore[operator]


def _dedent(draw: Draw, lines: Lines) -> None:
    at = _line(draw, lines)
    lines[at] = lines[at].removeprefix(" ").removeprefix(" ")


def _put(draw: Draw, lines: Lines) -> None:
    at, piece = _line(draw, lines), draw(st.sampled_from(PIECES))
    where = draw(st.integers(0, len(lines[at])))
    lines[at] = f"{lines[at][:where]}{piece}{lines[at][where:]}"  # type: ignore[misc]


def _replace(draw: Draw, lines: Lines) -> None:
    at, piece = _line(draw, lines), draw(st.sampled_from(PIECES))
    key, colon, _ = lines[at].partition(": ")
    lines[at] = f"{key}{colon}{piece}"


def _cut(draw: Draw, lines: Lines) -> None:
    at = _line(draw, lines)
    lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]  # type: ignore[misc]


def _stop(draw: Draw, lines: Lines) -> None:
    del lines[_line(draw, lines) :]


def _join(draw: Draw, lines: Lines) -> None:
    at = _line(draw, lines)
    lines[at : at + 2] = ["".join(lines[at : at + 2])]


CHANGES = (_lose, _double, _swap, _indent, _dedent, _put, _put, _replace, _replace, _cut, _stop, _join)


@st.composite
def mutated(draw: Draw, sources: Sequence[str], most: int = 4) -> str:
    """Draw one of the sources, changed in one to ``most`` places."""
    lines = str(draw(st.sampled_from(sources))).split("\n")
    for _ in range(draw(st.integers(1, most))):  # type: ignore[call-overload]
        draw(st.sampled_from(CHANGES))(draw, lines)  # type: ignore[operator]
        lines = lines or [""]
    return "\n".join(lines)


def spoiled(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Draw the bytes of a text, some of them others."""

    def put(text: str, at: float, some: bytes) -> bytes:
        data = text.encode("utf-8", "surrogatepass")
        where = int(at * len(data))
        return data[:where] + some + data[where + len(some) :]

    return st.builds(put, texts, st.floats(0, 1), st.binary(min_size=1, max_size=6))
