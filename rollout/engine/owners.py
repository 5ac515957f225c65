"""Reasons not to begin that are about whose the files on hosts are: ``release.owner``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rollout.engine.question import Question
from rollout.errors import Reason
from rollout.model.host import HostName
from rollout.model.release import Shared

SUDO = "sudo asks {whom}, the owner of the release, for a password or refuses"
RIGHTS = "Steps run as the owner, so these rights are the owner's too, and without a password: rollout sudoers PLAYBOOK"
_NOBODY = "Make it there once, as root: useradd --system --shell /usr/sbin/nologin {owner}"
_WAY = "Allow it in sudoers (`rollout sudoers PLAYBOOK` prints the lines), give it a password with -K, or drop `owner`."


def whose(question: Question, host: HostName) -> str:
    """Return whose the files are on a host."""
    ask = question.asks[host]
    return ask.owner or ask.connection.user or "USER"


def unlike(question: Question, *_: object) -> Iterator[Reason]:
    """Hosts on which we cannot become the owner."""
    alike: dict[tuple[str, str, str], list[HostName]] = defaultdict(list)
    for host, seen in question.seen.items():
        if seen.code:
            alike[seen.code, seen.why, question.asks[host].owner].append(host)
    for (code, why, owner), hosts in alike.items():
        instead = _NOBODY.format(owner=owner) if code == "E_OWNER" else _WAY
        yield Reason(code=code, what=f"{_on(hosts)}: {why}.", instead=instead, hosts=tuple(hosts))


def groups(question: Question, *_: object) -> Iterator[Reason]:
    """Hosts on which the owner cannot give a directory to the group that is to write in it."""
    for host, seen in question.seen.items():
        group, user = question.asks[host].shared.group, whose(question, host)
        if seen.group == "missing":
            what = f"there is no group {group} there."
            instead = f"Make it there once, as root: groupadd --system {group}"
        elif seen.group == "outside":
            what = f"{user} is not in the group {group}, so it cannot give it a directory."
            instead = f"Take it in, as root: usermod -a -G {group} {user}"
        else:
            continue
        yield Reason(code="E_OWNER", what=f"host {host}: {what}", instead=instead, hosts=(host,))


def given(question: Question, host: HostName) -> str:
    """Return what gives the app's folder to whom it must belong."""
    root, ask = question.asks[host].root, question.asks[host]
    user = ask.owner or "the SSH user"
    said = f"{root} and all above it must belong to {user} or root, and be writable by no one else."
    if not ask.owner:
        return said
    mine = f"chown {ask.owner} {root} {' '.join(_shared(root, ask.shared))}"
    mine += f" && chown -hR {ask.owner} {root}/releases {root}/.rollout"
    return f"{said} What is another user's by now is given over, as root: {mine}"


def _shared(root: str, shared: Shared) -> list[str]:
    """Return what of ``shared/`` is the owner's: what it makes there. What lies in shared directories is not."""
    written = [file.path for file in shared.files if file.content is not None]
    paths = sorted(
        {"/".join(path.split("/")[: n + 1]) for path in (*shared.dirs, *written) for n in range(path.count("/") + 1)}
    )
    return [f"{root}/shared", *(f"{root}/shared/{path}" for path in paths)]


def _on(hosts: list[HostName]) -> str:
    if len(hosts) == 1:
        return f"host {hosts[0]}"
    return "hosts " + ", ".join(hosts[:8]) + (f" and {len(hosts) - 8} more" if len(hosts) > 8 else "")
