"""Ansible's host patterns: ``web:&eu:!old``, commas, globs, ``web[0:2]``, ``~regex``.

Terms are taken in Ansible's order: what is added, then ``&``, then ``!``; without a term that
adds, ``all`` is. Differs: a plain name that nothing bears is an error, in every kind of term.
"""

from __future__ import annotations

import difflib
import fnmatch
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollout.errors import InputError, Problem
from rollout.inventory.names import shown as _shown
from rollout.model.host import HostName

SUBSCRIPT = re.compile(r"(?P<name>.+)\[(?:(?P<one>-?[0-9]+)|(?P<start>[0-9]+)[:-](?P<end>[0-9]*))\]")
TERM = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
HOST_AND_PORT = re.compile(r"[\w.-]+:[0-9]+")
WILD = frozenset(".?*[")


class PatternError(InputError):
    """A host pattern that cannot be read, or names what is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a pattern can match: hosts as first written, groups with their hosts, implicit names."""

    hosts: Sequence[HostName]
    groups: Mapping[str, Sequence[HostName]]
    implicit: Sequence[str] = ()


def matching(pattern: str, names: Names) -> tuple[HostName, ...]:
    """Return the hosts of the pattern in Ansible's order, each once; raise PatternError."""
    known = frozenset(names.hosts)
    found: dict[HostName, None] = {}
    problems: list[Problem] = []
    for term in _ordered(terms(pattern)):
        try:
            hosts = [HostName(term)] if term in known else _hosts_of(term, names)
        except PatternError as error:
            problems += error.problems
            continue
        if term[0] == "!":
            found = {h: None for h in found if h not in set(hosts)}
        elif term[0] == "&":
            kept = set(hosts)
            found = {h: None for h in found if h in kept}
        else:
            found.update(dict.fromkeys(hosts))
    if problems:
        raise PatternError(*problems)
    return tuple(found)


def terms(pattern: str) -> list[str]:
    """Split a pattern into its terms: at commas when there are any, else at colons."""
    if "," in pattern:
        split = pattern.split(",")
    elif _is_one_address(pattern):
        split = [pattern]
    else:
        split = TERM.findall(pattern)
        if set("[]") & set(TERM.sub("", pattern)):
            raise _error("E_PATTERN", f"{_shown(pattern)} has a bracket without its partner.", "Write `web[0:2]`.")
    found = [t.strip() for t in split if t.strip()]
    if not found or any(t in ("!", "&", "~") for t in found):
        raise _error("E_PATTERN", f"{_shown(pattern)} is not a host pattern.", "Write a group, a host or `all`.")
    return found


def _is_one_address(pattern: str) -> bool:
    if HOST_AND_PORT.fullmatch(pattern):
        return True
    try:
        return ipaddress.ip_address(pattern).version == 6
    except ValueError:
        return False


def _ordered(found: Sequence[str]) -> list[str]:
    adding = [t for t in found if t[0] not in "!&"] or ["all"]
    return adding + [t for t in found if t[0] == "&"] + [t for t in found if t[0] == "!"]


def _hosts_of(term: str, names: Names) -> Sequence[HostName]:
    sign = term[0] if term[0] in "!&" else ""
    wanted = term.removeprefix(sign)
    name, pick = _subscript(wanted)
    groups, hosts = _enumerated(name, names)
    if not groups and not hosts:
        if name in names.implicit:
            return [HostName(name)]
        _refuse_unknown(name, wanted, names, forgiving=bool(sign) and _is_wild(name))
    return _picked(hosts, pick, wanted)


def _subscript(term: str) -> tuple[str, tuple[int, int | None] | None]:
    if term[0] == "~" or not (found := SUBSCRIPT.fullmatch(term)):
        return term, None
    if found["one"]:
        return found["name"], (int(found["one"]), None)
    return found["name"], (int(found["start"]), int(found["end"] or -1))


def _enumerated(name: str, names: Names) -> tuple[list[str], list[HostName]]:
    """Return the groups that match, and hosts: theirs, then those that match by themselves."""
    matches = _compiled(name).match
    groups = [g for g in names.groups if matches(g)]
    hosts = [h for g in groups for h in names.groups[g]]
    if not groups or name[0] == "~" or WILD.intersection(name):
        hosts += [h for h in names.hosts if matches(h)]
    return groups, hosts


def _compiled(name: str) -> re.Pattern[str]:
    try:
        return re.compile(name[1:] if name[0] == "~" else fnmatch.translate(name))
    except (re.error, OverflowError, RecursionError) as problem:
        raise _error("E_PATTERN", f"{_shown(name)} is not a regular expression: {problem}.") from None


def _picked(hosts: list[HostName], pick: tuple[int, int | None] | None, term: str) -> Sequence[HostName]:
    if pick is None or not hosts:
        return hosts
    start, end = pick
    if end is None:
        if not -len(hosts) <= start < len(hosts):
            only = f"there are only {len(hosts)} hosts" if len(hosts) > 1 else "there is only 1 host"
            raise _error("E_PATTERN", f"{_shown(term)}: {only}.", "Positions begin at 0.")
        return [hosts[start]]
    if end != -1 and start > end:
        raise _error("E_PATTERN", f"{_shown(term)} counts backwards.", "Write the lower position first.")
    return hosts[start:] if end == -1 else hosts[start : end + 1]


def _is_wild(name: str) -> bool:
    return name[0] == "~" or any(c in name for c in "*?[")


def _refuse_unknown(name: str, term: str, names: Names, *, forgiving: bool) -> None:
    if forgiving:  # `!*.old` may well find nothing to leave out
        return
    if name == "all":
        return
    if ":" in name and "," not in name and HOST_AND_PORT.fullmatch(name):
        raise _error("E_GROUP", f"{_shown(term)} is read as host and port.", "Separate terms with a comma.")
    if ":" in name:
        raise _error("E_GROUP", f"no host or group is called {_shown(term)}.", "Use either commas or colons, not both.")
    if name[0] == "@":
        instead = "A file of hosts is not read: write their names, with commas."
        raise _error("E_GROUP", f"no host or group is called {_shown(name)}.", instead)
    near = difflib.get_close_matches(name, [*names.groups, *names.hosts[:5000]], n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"Groups are: {_some(names.groups)}."
    raise _error("E_GROUP", f"no host or group is called {_shown(name)}.", hint)


def _some(groups: Mapping[str, object]) -> str:
    shown = list(groups)[:8]
    return ", ".join(shown) + (", …" if len(groups) > len(shown) else "")


def _error(code: str, what: str, instead: str = "") -> PatternError:
    return PatternError(Problem(file="pattern", code=code, what=what, instead=instead))
