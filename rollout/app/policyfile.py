"""Policy files: where one is found, whether it may be believed, and what it says, each error with its place."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollout.engine.rules import Policy, Rules
from rollout.engine.weaker import COMPARISONS
from rollout.errors import InputError, Problem
from rollout.inventory.project import below, folder_of, project_of
from rollout.playbook.files import bounded
from rollout.playbook.said import quoted

LIMIT = 1 << 20
GIT_S = 20.0
SYSTEM = Path("/etc/rollout/policy.toml")
SUFFIX = ".sig"  # of the signature beside a policy
_REF = re.compile(r"git:([A-Za-z0-9][A-Za-z0-9._/-]*):([A-Za-z0-9._][A-Za-z0-9._/-]*)")
_MOVING = ("HEAD", "FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD")  # what a checkout of the change itself leads to
_TEXTS = {"hosts": "hosts", "signers": "signers", "not_weaker": "not_weaker"}
KEYS = (*_TEXTS, "require_signature", "allow_local")


def found_policy(named: str, playbook: Path) -> Policy | None:
    """Return the policy that is named, or the controller's own; None where there is none; raise InputError."""
    if named.startswith("git:"):
        return parsed(named, _of_ref(named, playbook))
    paths = [Path(named)] if named else [p for p in (own(), SYSTEM) if os.path.lexists(p)]
    return parsed(str(paths[0]), _of_file(paths[0], playbook)) if paths else None


def own() -> Path:
    """Return where a user keeps the policy of this controller."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rollout/policy.toml"


def signature_of(policy: Policy, playbook: Path) -> bytes:
    """Return the signature that lies beside a policy, b"" where there is none."""
    if policy.source.startswith("git:"):
        try:
            return _of_ref(policy.source + SUFFIX, playbook)
        except InputError:
            return b""
    path = policy.source + SUFFIX
    return bounded(path, LIMIT, "1 MiB")[0] if os.path.lexists(path) else b""


def _of_file(path: Path, playbook: Path) -> bytes:
    if below(os.path.realpath(project_of(str(folder_of(playbook)))), str(path)):
        why = "Whoever may change the project would change what it is held to."
        instead = "Keep it outside, or name it at a revision that is reviewed: --policy git:origin/main:policy.toml"
        raise _wrong(str(path), "The policy lies in the project that it is for.", why, instead)
    data, mode = bounded(str(path), LIMIT, "1 MiB")
    status = os.stat(path)
    if mode & (stat.S_IWOTH | stat.S_IWGRP) or status.st_uid not in (0, os.getuid()):
        what = f"Others may write to the policy (mode {stat.S_IMODE(mode):04o}, owner {status.st_uid})."
        raise _wrong(str(path), what, "It says what they may do.", f"Type: chmod go-w {path}", code="E_PERM")
    return data


def _of_ref(named: str, playbook: Path) -> bytes:
    """Return a file as it is at a revision: from the repository, never from the working tree, no filter run on it."""
    form = _REF.fullmatch(named)
    if not form or ".." in named or form[1] in _MOVING:
        instead = "Write git:REF:PATH, as in git:origin/main:policy.toml, with a branch that is reviewed."
        raise _wrong("--policy", f"{quoted(named)} names no file at a revision.", "", instead)
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    env |= {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1"}
    words = ["git", "-C", str(folder_of(playbook)), "cat-file", "blob", f"{form[1]}:{form[2]}"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell, and words that were looked at
            words, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _wrong("--policy", f"git cannot be asked: {error}.", "", "") from error
    if done.returncode or len(done.stdout) > LIMIT:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ") or "it is larger than 1 MiB"
        raise _wrong("--policy", f"{quoted(named)} cannot be read: {said}.", "", "See: git log -1 REF -- PATH")
    return done.stdout


def _wrong(file: str, what: str, why: str, instead: str, code: str = "E_POLICY_FILE") -> InputError:
    return InputError(Problem(file=file, code=code, what=what, why=why, instead=instead))


def parsed(source: str, data: bytes) -> Policy:
    """Return what a policy says; raise InputError with everything that is wrong with it."""
    try:
        text = data.decode("utf-8")
        said = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise _wrong(source, "It is not UTF-8.", "", "Save it as UTF-8.", "E_ENCODING") from error
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(at[1]), int(at[2])) if at else (1, 1)
        what = f"It is no TOML: {str(error).partition(' (at')[0]}."
        raise InputError(Problem(file=source, line=line, column=column, code="E_SYNTAX", what=what)) from error
    reader = _Reader(source=source, lines=text.split("\n"))
    made = reader.policy(said, text, hashlib.sha256(data).hexdigest())
    if reader.problems:
        raise InputError(*reader.problems)
    return made


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads the tables of a policy, and notes what is wrong at the line that says it."""

    source: str
    lines: list[str]
    problems: list[Problem] = field(default_factory=list)

    def policy(self, said: Mapping[str, Any], text: str, digest: str) -> Policy:
        """Return the whole file."""
        for key in said.keys() - {"environments", "keepers"}:
            self._say("", key, *_unknown(key, ("environments", "keepers")))
        tables = said.get("environments", {})
        if not isinstance(tables, dict) or not tables:
            self._say("", "environments", "A policy names environments.", "Begin with [environments.production].")
            tables = {}
        rules = {name: self._rules(name, table) for name, table in tables.items()}
        keepers = self._texts("", said, "keepers")
        return Policy(source=self.source, digest=digest, text=text, environments=rules, keepers=keepers)

    def _rules(self, name: str, table: object) -> Rules:
        if not isinstance(table, dict):
            self._say("", name, f"{quoted(name)} is no table.", f"Write [environments.{name}].")
            return Rules()
        for key in table.keys() - set(KEYS):
            self._say(name, key, *_unknown(key, KEYS))
        required = table.get("require_signature", False)
        if not isinstance(required, bool):
            self._say(name, "require_signature", "`require_signature` is true or false.", "")
        texts = {key: self._texts(name, table, key) for key in _TEXTS}
        texts["not_weaker"] = self._comparisons(name, texts["not_weaker"])
        return Rules(require_signature=required is True, allow_local=self._prefixes(name, table), **texts)

    def _comparisons(self, name: str, asked: tuple[str, ...]) -> tuple[str, ...]:
        if asked == ("all",):
            return tuple(COMPARISONS)
        for one in asked:
            if one not in COMPARISONS:
                self._say(name, "not_weaker", *_unknown(one, tuple(COMPARISONS), "comparison"))
        return asked

    def _texts(self, name: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if isinstance(value, list) and all(isinstance(v, str) and v for v in value):
            return tuple(value)
        self._say(name, key, f"`{key}` is a list of texts, not {quoted(value)}.", f'Write {key} = ["…"].')
        return ()

    def _prefixes(self, name: str, table: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
        value = table.get("allow_local", [])
        good = isinstance(value, list) and all(
            isinstance(words, list) and words and all(isinstance(w, str) and w for w in words) for words in value
        )
        if good:
            return tuple(map(tuple, value))
        what = f"`allow_local` is a list of lists of words, not {quoted(value)}."
        self._say(name, "allow_local", what, 'Write allow_local = [["make", "notes"]].')
        return ()

    def _say(self, environment: str, key: str, what: str, instead: str) -> None:
        line, column, source = next(self._places(environment, key), (1, 1, ""))
        said = {"file": self.source, "line": line, "column": column, "source": source}
        self.problems.append(Problem(code="E_POLICY_FILE", what=what, instead=instead, **said))  # type: ignore[arg-type] # one of each

    def _places(self, environment: str, key: str) -> Iterator[tuple[int, int, str]]:
        """Yield where a key may stand: in its environment's table."""
        inside = not environment
        for number, text in enumerate(self.lines, 1):
            if header := re.match(r"\s*\[+\s*([^\]]*?)\s*\]", text):
                inside = not environment or re.sub(r"[\s'\"]", "", header[1]) == f"environments.{environment}"
                if not environment and key in re.split(r"[.\s'\"]+", header[1]):
                    yield number, text.index("[") + 1, text
            elif inside and (found := re.match(rf"\s*(['\"]?){re.escape(key)}\1\s*=", text)):
                yield number, found.end() - len(found[0].lstrip()) + 1, text


def _unknown(word: str, known: tuple[str, ...], kind: str = "key") -> tuple[str, str]:
    near = difflib.get_close_matches(word[:80], known, n=1)
    instead = f"Did you mean `{near[0]}`?" if near else f"Known are: {', '.join(known)}."
    return f"There is no {kind} {quoted(word)}.", instead
