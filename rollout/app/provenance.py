"""Who, from where, why, and with what (semantics.md, Evidence). What the environment says is a claim."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from rollout import __version__
from rollout.model.event import Provenance
from rollout.model.play import ArtifactAsk
from rollout.model.secret import HIDDEN
from rollout.store.place import state_url

if TYPE_CHECKING:
    from rollout.app.request import Request

CLAIMS = (
    "CI",
    "GITHUB_ACTOR",
    "GITHUB_RUN_ID",
    "GITHUB_REPOSITORY",
    "GITHUB_SHA",
    "GITLAB_USER_LOGIN",
    "CI_JOB_ID",
    "CI_PIPELINE_ID",
    "CI_PROJECT_PATH",
    "CI_COMMIT_SHA",
    "BUILD_NUMBER",
    "JOB_NAME",
)
GIT_S = 5.0
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^/\s]*@", re.IGNORECASE)  # of a URL, before its path
# Of a server's state, whose user may be `name@server` and whose password may have anything in it, also in its query.
_STATE = re.compile(r"(--state=)?postgres(ql)?://", re.IGNORECASE)
_ITS_PASSWORD = re.compile(r"(://[^:/]*:).*@", re.DOTALL)
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)
_SHORT = re.compile(r"(-[byCK]*e)(.*)", re.DOTALL)  # -e, also behind flags


def provenance(
    request: Request,
    artifacts: Sequence[ArtifactAsk] = (),
    lines: Sequence[int] = (),
    overridden: Sequence[str] = (),
) -> Provenance:
    """Return what is known of how this rollout came to be; ``lines``: where each play begins."""
    commit, dirty = _commit(request.playbook.parent)
    return Provenance(
        user=user(),
        uid=os.getuid(),
        controller=socket.gethostname(),
        message=request.message,
        overridden=tuple(overridden),
        playbook=str(request.playbook),
        lines=tuple(lines),
        folder=os.getcwd(),
        artifacts=tuple(artifacts),
        argv=tuple(without_values(request.argv)),
        fleet=tuple(fleet(request)),
        commit=commit,
        dirty=dirty,
        ci={name: os.environ[name] for name in CLAIMS if os.environ.get(name)},
        versions=_versions(),
    )


def fleet(request: Request) -> list[str]:
    """Return the options that say which hosts, how they are reached, and where the state is, as they are typed again.

    Not the variables: their values are on no record.
    """
    state, is_default = state_url(request.state or None)
    said = {"--env": request.environment, "-u": request.user, "--private-key": request.private_key}
    words = [word for one in request.inventory for word in ("-i", one)]
    words += [word for name, value in said.items() if value and value != "default" for word in (name, value)]
    words += ["-b"] * bool(request.become) + ["-K"] * bool(request.become_password)
    shown = _without_password(state)
    unsaid = is_default or (shown != state and not request.state)  # a password in the environment stays there
    return words + ([] if unsaid else ["--state", _bare(shown)])


def user() -> str:
    """Return this user's name, or number where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def without_values(argv: Sequence[str]) -> list[str]:
    """Return the arguments without what may be secret: the values of extra variables, and the passwords of URLs."""
    shown: list[str] = []
    hide = False
    for word in argv:
        short = None if hide else _SHORT.fullmatch(word)
        if hide:
            shown.append(_names_only(word))
        elif word.startswith("--extra-vars="):
            shown.append("--extra-vars=" + _names_only(word.partition("=")[2]))
        elif short and short[2]:
            shown.append(short[1] + _names_only(short[2]))
        else:
            shown.append(_without_password(word))
        hide = not hide and (word == "--extra-vars" or (short is not None and not short[2]))
    return shown


def _without_password(word: str) -> str:
    """Return a word with the password of its URL left out, such as that of ``--state``."""
    if not _STATE.match(word):
        return _PASSWORD.sub(rf"\1{HIDDEN}@", word)
    return _ITS_PASSWORD.sub(rf"\1{HIDDEN}@", _IN_QUERY.sub(rf"\1{HIDDEN}", word))


def _bare(url: str) -> str:
    """Return a URL without the places of its password: it is to be had from elsewhere (docs/state.md)."""
    kept = re.sub(rf"(?<=[?&])(ssl)?password={re.escape(HIDDEN)}(&|$)", "", url, flags=re.IGNORECASE)
    return kept.replace(f":{HIDDEN}@", "@").rstrip("?&")


def _names_only(word: str) -> str:
    if word.startswith("@"):
        return word
    if word.lstrip().startswith("{"):
        return HIDDEN
    return " ".join(f"{pair.partition('=')[0]}={HIDDEN}" if "=" in pair else HIDDEN for pair in word.split())


def _commit(folder: Path) -> tuple[str, bool]:
    """Return the checkout's commit and whether it has changes; nothing where there is no git."""
    head = _git(folder, "rev-parse", "HEAD")
    return head, bool(head and _git(folder, "status", "--porcelain"))


def _git(folder: Path, *words: str) -> str:
    env: Mapping[str, str] = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell
            ["git", "-C", str(folder), *words],  # noqa: S607 - the user's git
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def _versions() -> dict[str, str]:
    found = {"rollout": __version__, "python": platform.python_version(), "platform": sys.platform}
    for name in ("paramiko", "fabric", "sqlalchemy", "pydantic", "jinja2"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
