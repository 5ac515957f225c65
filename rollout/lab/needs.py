"""What a lab needs of the machine, and the exact line that brings what is missing."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from rollout.errors import Reason, Refused

PACKAGES = {"sshd": "openssh-server", "ssh-keygen": "openssh-client", "haproxy": "haproxy"}
PLACES = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))  # not on every user's PATH


def program(name: str) -> str:
    """Return the absolute path of a program; sshd insists on being called by it."""
    path = os.environ.get("PATH", os.defpath) + os.pathsep + PLACES
    found = shutil.which(name, path=path)
    if found is None:
        raise _missing([name])
    return str(Path(found).absolute())


def check() -> None:
    """Raise Refused when anything that a lab needs is missing, all of it at once."""
    path = os.environ.get("PATH", os.defpath) + os.pathsep + PLACES
    if missing := [name for name in PACKAGES if shutil.which(name, path=path) is None]:
        raise _missing(missing)
    _account()
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's empty folder; where no init made it


def _missing(names: list[str]) -> Refused:
    packages = " ".join(sorted({PACKAGES[name] for name in names}))
    sudo = "" if os.getuid() == 0 else "sudo "
    return Refused(
        Reason(
            code="E_LAB_PACKAGES",
            what=f"a lab needs {', '.join(names)}, which is not on this machine.",
            instead=f"Type: {sudo}apt-get install -y {packages}",
        )
    )


def _account() -> None:
    """Refuse a locked account: sshd without PAM lets nobody into it, whatever the key."""
    name = pwd.getpwuid(os.getuid()).pw_name
    try:
        lines = Path("/etc/shadow").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return  # an ordinary user's sshd cannot read it either, and does not care
    for line in lines:
        fields = line.split(":")
        if fields[0] == name and fields[1].startswith("!"):
            what = f"the account {name} is locked ('!' in /etc/shadow); sshd lets nobody into it."
            raise Refused(Reason(code="E_LAB_ACCOUNT", what=what, instead=f"Type: usermod -p '*' {name}"))
