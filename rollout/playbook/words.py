"""The words of the language as types: each turns what was written into a value, or says what is wrong.

Used as pydantic field types. A failure is a ``PydanticCustomError`` whose type is our code and
whose context carries the three sentences; ``checking.py`` makes a Problem of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, NoReturn, TypeVar

from pydantic import BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from rollout.model.need import Need, terms_of
from rollout.model.release import APP_NAME, RELEASE_ID
from rollout.model.share import Share
from rollout.playbook.nodes import has_template
from rollout.playbook.said import WIDTH, near, quoted
from rollout.playbook.scalars import Ambiguous, resolve

DAY_S = 86_400.0
MAX_DURATION_S = 400 * DAY_S
Item = TypeVar("Item")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_S}

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SHELLS = re.compile(r"""[^\w\s@%+=:,./-]|[:,](?=\s|$)|^[%@=,-]|[^\S ]""")  # what a shell or YAML would act on
_PERCENT = re.compile(r"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)[ ]?%")


def refuse(code: str, what: str, why: str = "", instead: str = "", at: str = "") -> NoReturn:
    """Raise what pydantic carries to us; ``at`` names the key to point at, in a check of a whole mapping."""
    raise PydanticCustomError(code, "{what}", {"what": what, "why": why, "instead": instead, "at": at})


def text(value: object) -> str:
    """Accept a text that is not empty."""
    if not isinstance(value, str):
        refuse("E_TYPE", f"A text is expected, not {quoted(value)}.", instead="Put it in quotes.")
    if not value:
        refuse("E_TYPE", "A text is expected, and this one is empty.")
    if "\n" in value:
        refuse("E_TYPE", f"One line of text is expected, not {quoted(value)}.")
    return value


def flag(value: object) -> bool:
    """Accept true or false."""
    if not isinstance(value, bool):
        refuse("E_TYPE", f"`true` or `false` is expected, not {quoted(value)}.")
    return value


def whole(low: int, high: int) -> Callable[[object], int]:
    """Return a type for whole numbers within bounds."""

    def accept(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            refuse("E_TYPE", f"A whole number is expected, not {quoted(value)}.")
        if not low <= value <= high:
            refuse("E_RANGE", f"{quoted(value)} is outside {low} to {high}.")
        return value

    return accept


def port(value: object) -> int:
    """Accept a TCP port."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        refuse("E_PORT", f"{quoted(value)} is no port.", instead="Write a whole number from 1 to 65535, unquoted.")
    return value


def address(value: object) -> str:
    """Accept HOST:PORT."""
    found = re.fullmatch(r"([A-Za-z0-9._:\[\]-]+):([0-9]{1,5})", value) if isinstance(value, str) else None
    if not found or not 1 <= int(found[2]) <= 65535:
        refuse("E_ADDRESS", f"{quoted(value)} cannot be used here.", "Allowed: HOST:PORT, the port from 1 to 65535.")
    return found[0]


def shaped(code: str, shape: str, allowed: str) -> Callable[[object], str]:
    """Return a type for texts that a regular expression lets through."""
    expression = re.compile(shape)

    def accept(value: object) -> str:
        if not isinstance(value, str):
            refuse("E_TYPE", f"A text is expected, not {quoted(value)}.", instead="Put it in quotes.")
        if not expression.fullmatch(value):
            refuse(code, f"{quoted(value)} cannot be used here.", f"Allowed: {allowed}.")
        return value

    return accept


def choice(*words: str, later: tuple[str, ...] = ()) -> Callable[[object], str]:
    """Return a type for one of a few words; those of ``later`` are known and not built yet."""

    def accept(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        if isinstance(value, str) and value in later:
            refuse("E_NOT_BUILT", f"{quoted(value)} is not built yet.", instead=f"Use {_listed(words)}.")
        hint = near(value, words) if isinstance(value, str) else ""
        refuse("E_CHOICE", f"{quoted(value)} is not one of the words that may stand here.", hint, _use(words))

    return accept


def _listed(words: tuple[str, ...]) -> str:
    """Return words for a sentence."""
    return ", ".join(f"`{w}`" for w in words[:-1]) + (" or " if len(words) > 1 else "") + f"`{words[-1]}`"


def _use(words: tuple[str, ...]) -> str:
    """Return the sentence that names the words."""
    return f"Write {_listed(words)}."


def evidence(value: object) -> str:
    """Accept what is collected from a failed host; tasks are not built yet."""
    if isinstance(value, list | dict):
        refuse("E_NOT_BUILT", "Tasks that collect evidence are not built yet.", instead="Write `default`.")
    return choice("default")(value)


def seconds(value: object) -> float:
    """Read a duration; zero is one."""
    if isinstance(value, bool) or not isinstance(value, str):
        hint = f"Write `{value}s`." if isinstance(value, int) and not isinstance(value, bool) and value > 0 else ""
        refuse("E_DURATION", f"{quoted(value)} is no duration: it has no unit.", instead=hint or _UNITS)
    found = _DURATION.fullmatch(value)
    if not found:
        refuse("E_DURATION", f"{quoted(value)} is no duration.", instead=_UNITS)
    amount = float(found[1]) * UNITS[found[2]]
    if amount > MAX_DURATION_S:
        refuse("E_DURATION", f"{quoted(value)} is more than 400 days.", "A wait that long is a mistake.", _UNITS)
    return amount


_UNITS = "Write a number and a unit: ms, s, m, h or d, as in `30s`."


def positive_seconds(value: object) -> float:
    """Read a duration that is more than nothing."""
    amount = seconds(value)
    if not amount:
        refuse("E_DURATION", f"{quoted(value)} would end before it begins.", instead="Write more than zero.")
    return amount


def drain_seconds(value: object) -> float:
    """Read a drain deadline; ``auto`` is a minute."""
    return 60.0 if value == "auto" else positive_seconds(value)


def ppm(value: str) -> int | None:
    """Return a percentage as parts per million, or None when it is none."""
    found = _PERCENT.fullmatch(value)
    return int(Decimal(found[1]) * 10_000) if found else None


def share(code: str) -> Callable[[object], Share]:
    """Return a type for a number of hosts or a percentage of them, from 0 to 100 %."""

    def accept(value: object) -> Share:
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 0:
                refuse(code, f"{quoted(value)} is negative.", instead=_SHARE)
            return Share(count=value)
        parts = ppm(value) if isinstance(value, str) else None
        if parts is None:
            refuse(code, f"{quoted(value)} is neither a number of hosts nor a percentage.", instead=_SHARE)
        if not 0 <= parts <= 1_000_000:
            refuse(code, f"{quoted(value)} is not between 0% and 100%.", instead=_SHARE)
        return Share(ppm=parts)

    return accept


_SHARE = 'Write a whole number, or a percentage in quotes such as `"25%"`.'


def batch(value: object) -> Share:
    """Read one size of ``serial``: at least one host."""
    size = share("E_BATCH")(value)
    if not (size.count or size.ppm):
        why = "Ansible takes 0 for all hosts and 0% for one; here it is nobody."
        refuse("E_BATCH", f"{quoted(value)} is a batch without hosts.", why, 'For all at once write `"100%"`.')
    return size


def sizes(value: object) -> object:
    """Read ``serial``: one size, or a list of at least one."""
    if isinstance(value, list) and not value:
        refuse("E_BATCH", "The list of batches is empty.", instead='Write `[1, "10%", "25%"]`.')
    return as_list(value)


def as_list(value: object) -> object:
    """Let one thing stand for a list of one."""
    return value if isinstance(value, list) else [value]


def fail_percentage(value: object) -> int:
    """Read ``max_fail_percentage``, as parts per million."""
    parts = ppm(value) if isinstance(value, str) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        parts = int(Decimal(repr(value)) * 10_000)
    if parts is None or not 0 <= parts <= 1_000_000:
        refuse("E_BUDGET", f"{quoted(value)} is no percentage.", instead="Write a number from 0 to 100.")
    return parts


def _seen(path: str) -> None:
    """Refuse control characters in a path: no line of a manifest or a ledger could hold it."""
    if re.search(r"[\x00-\x1f\x7f]", path):
        refuse("E_PATH", f"{quoted(path)} holds a character that nobody sees.", instead="Take it out.")


def relative(value: object) -> str:
    """Accept a path below a folder: relative, without ``..``."""
    said = text(value)
    _seen(said)
    parts = said.rstrip("/").split("/")
    if said.startswith(("/", "~")) or any(p in ("", ".", "..") for p in parts) or len(said) > 1024:
        refuse(
            "E_PATH", f"{quoted(said)} is not a path inside the release.", instead="Write it as in `log` or `tmp/x`."
        )
    return said.rstrip("/")


def absolute(value: object) -> str:
    """Accept an absolute path without detours."""
    said = text(value)
    _seen(said)
    parts = said.rstrip("/").split("/")[1:]
    if not said.startswith("/") or not parts:
        refuse("E_PATH", f"{quoted(said)} is not an absolute path.", instead="Write it as in `/srv/shop`.")
    if any(p in ("", ".", "..") for p in parts):
        what = f"{quoted(said)} is a path with a detour (`.`, `..` or `//`)."
        refuse("E_PATH", what, "Where it leads would depend on links.", "Write it straight, as in `/srv/shop`.")
    if len(said) > 1024:
        refuse("E_PATH", f"{quoted(said)} has more than 1024 characters.")
    return said.rstrip("/")


def command(value: object) -> object:
    """Accept a command as a list of words; a string would need a shell to be read."""
    if isinstance(value, str):
        what = f"A command is a list of words, not the text {quoted(value)}."
        refuse("E_COMMAND", what, "No shell reads it.", f"Write {listed(value) or shelled(value)}.")
    if not isinstance(value, list) or not value:
        refuse(
            "E_COMMAND", f"A command is a list of words, not {quoted(value)}.", instead="Write `[bin/tool, --flag]`."
        )
    if value[0] == "":
        refuse("E_COMMAND", "The first word of a command names a program, and this one is empty.", at="0")
    return value


def listed(text: str) -> str:
    """Return a command line as the list of words that it is; nothing where only a shell could tell."""
    words = [_word(word) for word in text.split()[:6]]
    if _SHELLS.search(text) or not words:
        return ""
    return f"`[{', '.join(words)}]`" if sum(map(len, words)) <= WIDTH else "`[bin/tool, --flag]`"


def _word(text: str) -> str:
    """Return a word as it stands in a YAML list: in quotes where it would be a number or a boolean."""
    try:
        return text if isinstance(resolve(text), str) else f'"{text}"'
    except Ambiguous:
        return f'"{text}"'


def shelled(text: str) -> str:
    """Return a command line as one that is given to a shell."""
    return f"`[sh, -c, {said_in_yaml(text)}]`, where a shell is to read it"


def said_in_yaml(text: str) -> str:
    """Return the beginning of a text as YAML and JSON write it between quotes."""
    return json.dumps(text[:60], ensure_ascii=False)


def word(value: object) -> str:
    """Accept a text, or a number as one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        refuse("E_COMMAND", f"{quoted(value)} is no word of a command.", instead="Put it in quotes.")
    if "\0" in str(value):
        refuse("E_COMMAND", f"{quoted(value)} holds a NUL, which no command can be given.")
    return str(value)


def condition(value: object) -> bool:
    """Accept what ``when`` comes to; a bare expression is Ansible's, and would always be a text here."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and not has_template(value):
        instead = f"Write `{chr(34)}{{{{ {value} }}}}{chr(34)}`." if value.isprintable() and value else ""
        refuse("E_WHEN", f"{quoted(value)} is a text, not an expression.", instead=instead)
    refuse("E_WHEN", f"`true`, `false` or an expression is expected, not {quoted(value)}.")


def needed(value: object) -> Need:
    """Read what another app's release must satisfy; which app that is, the key says."""
    said = text(value)
    found = terms_of(said)
    if not found:
        instead = 'Write comparisons such as `">= 2.3.0"` or `">= 2.3, < 3"`.'
        refuse("E_NEEDS", f"{quoted(said)} cannot be compared with a release.", instead=instead)
    return Need(app="", wanted=said, terms=found)


def mode(value: object) -> str:
    """Accept a file mode as text: four octal digits, nobody else's bits set."""
    if not isinstance(value, str) or not re.fullmatch("0[0-7]{3}", value):
        meant = f"0{value}" if re.fullmatch("[0-7]{3}", str(value)) else "0640"
        why = "Four octal digits in quotes are: YAML reads 0755 as 493."
        refuse("E_MODE", f"{quoted(value)} is no file mode.", why, f'Write `"{meant}"`.')
    return value


def release_mode(value: object) -> str:
    """Accept the mode of a file in a release, of which there are two."""
    said = mode(value)
    if said not in ("0644", "0755"):
        why = "The user that the app runs as only reads its release."
        refuse(
            "E_MODE", f"Files of a release are 0644 or 0755, not {quoted(said)}.", why, 'Write `"0644"` or `"0755"`.'
        )
    return said


def own_mode(value: object) -> str:
    """Accept the mode of a rendered file: its owner reads it, and nobody else writes to it."""
    said = mode(value)
    if not int(said, 8) & 0o400 or int(said, 8) & 0o022:
        why = "A release is read by its owner, who checks it, and written by nobody else."
        refuse("E_MODE", f"A rendered file cannot be {quoted(said)}.", why, 'Write `"0640"`.')
    return said


def digest(value: object) -> str:
    """Accept a SHA-256 in hex, or the name of a file of sums beside the artifact."""
    said = text(value)
    if re.fullmatch(r"[0-9a-f]{64}", said) or re.fullmatch(r"(?i)[a-z0-9._-]*sha256sums?(\.txt)?", said):
        return said
    why = f"It has {len(said)} characters." if len(said) != 64 else "Only the digits 0-9 and lower-case a-f count."
    instead = "Write 64 lower-case hex digits, or the name of a `sha256sums` file beside the artifact."
    refuse("E_DIGEST", f"{quoted(said)} is no SHA-256.", why, instead)


def expected(value: object) -> str:
    """Accept a scalar that a field of an answer is compared with, as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    refuse("E_TYPE", f"A text or a number is expected, not {quoted(value)}.")


Accepts = PlainValidator
Text = Annotated[str, Accepts(text)]
Flag = Annotated[bool, Accepts(flag)]
Seconds = Annotated[float, Accepts(seconds)]
PositiveSeconds = Annotated[float, Accepts(positive_seconds)]
Listed = Annotated[tuple[Item, ...], Field(strict=False), BeforeValidator(as_list)]
Argv = Annotated[tuple[Annotated[str, Accepts(word)], ...], Field(strict=False), BeforeValidator(command)]
Serial = Annotated[tuple[Annotated[Share, Accepts(batch)], ...], Field(strict=False), BeforeValidator(sizes)]
Status = Annotated[int, Accepts(whole(100, 599))]
Relative = Annotated[str, Accepts(relative)]
Absolute = Annotated[str, Accepts(absolute)]
Port = Annotated[int, Accepts(port)]
Address = Annotated[str, Accepts(address)]
App = Annotated[
    str, Accepts(shaped("E_NAME", APP_NAME, "a-z, 0-9, `_` and `-`, 63 characters at most, a letter or digit first"))
]
Id = Annotated[
    str, Accepts(shaped("E_RELEASE_ID", RELEASE_ID, "letters, digits and `._+-`, 128 at most, a letter or digit first"))
]
_USER = "a-z, 0-9 and `_.-`, 32 at most, a letter or `_` first"
User = Annotated[str, Accepts(shaped("E_USER", r"[a-z_][a-z0-9_.-]{0,31}", _USER))]
LbName = Annotated[str, Accepts(shaped("E_LB_NAME", r"[A-Za-z0-9_.:-]{1,255}", "letters, digits and `_.:-`"))]
_UNIT = "a systemd unit's name, as in `shop.service`"
Unit = Annotated[str, Accepts(shaped("E_UNIT", r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,254}", _UNIT))]
