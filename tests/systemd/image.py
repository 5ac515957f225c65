"""The image of a minimal Debian that boots systemd, made once per machine and recipe.

From Debian's own archive, since no registry may be in reach. What it holds is an operating system and
accounts; the app's unit, keys and sudoers are set up on the running machines, as an operator would.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.systemd.podman import NEEDS, Podman

NAME = "localhost/rollout-tests-systemd"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "python3")
RELEASE = "bookworm"
HOOK = """\
set -eu
cd "$1"
chroot . useradd --system --user-group --shell /usr/sbin/nologin --home-dir /nonexistent shop
chroot . useradd --user-group --create-home --shell /bin/sh --password '*' --groups systemd-journal deploy
for unit in systemd-udevd systemd-logind systemd-timesyncd getty@tty1 console-getty \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
    case $unit in *.timer) ;; *) unit=$unit.service ;; esac
    ln -sf /dev/null "etc/systemd/system/$unit"
done
# Every machine makes host keys and a machine id of its own when it first starts.
rm -f etc/ssh/ssh_host_* var/lib/dbus/machine-id
: >etc/machine-id
mkdir -p etc/systemd/system/ssh.service.d
printf '[Service]\\nExecStartPre=\\nExecStartPre=/usr/bin/ssh-keygen -A\\n' >etc/systemd/system/ssh.service.d/keys.conf
printf 'UseDNS no\\nPasswordAuthentication no\\nMaxStartups 100\\n' >etc/ssh/sshd_config.d/tests.conf
"""
THIN = (
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"',
    "--dpkgopt=force-unsafe-io",
    *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("man", "doc", "locale", "info")),
)


def recipe() -> str:
    """Return what the image is known by: a digest of all that it is made from."""
    said = "\n".join((RELEASE, *PACKAGES, HOOK, *THIN))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def image(podman: Podman) -> str:
    """Return the image's name, after making it where it is not there yet."""
    _needs()
    name = f"{NAME}:{recipe()}"
    if not podman.has_image(name):
        podman.say("import", "-q", "--change", 'CMD ["/sbin/init"]', str(_root()), name, timeout_s=300)
        podman.forget(NAME, name)
    return name


def _needs() -> None:
    """Say what is missing before podman says it in its own words."""
    assert os.geteuid() == 0, "machines with systemd are containers of root's: run these tests as root"
    path = f"{os.environ.get('PATH', '')}:/usr/lib/podman:/usr/sbin:/sbin"
    programs = {"iproute2": "ip"}
    missing = [need for need in NEEDS if not shutil.which(programs.get(need, need), path=path)]
    assert not missing, f"type: apt-get install --no-install-recommends {' '.join(missing)}"


def _root() -> Path:
    """Return the archive of the root file system, kept in the cache for the next machine that shares it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rollout-tests"
    made = cache / f"debian-{recipe()}.tar"
    if not made.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _bootstrap(Path(folder)).rename(made)
        for old in cache.glob("debian-*.tar"):
            if old != made:
                old.unlink()
    return made


def _bootstrap(folder: Path) -> Path:
    hook, made = folder / "hook", folder / "root.tar"
    hook.write_text("#!/bin/sh\n" + HOOK)
    hook.chmod(0o755)
    argv = ["mmdebstrap", "--variant=apt", *THIN, f"--customize-hook={hook}", f"--include={','.join(PACKAGES)}"]
    # In memory where there is room: unpacking and configuring is a thousand small files.
    room = {"TMPDIR": "/dev/shm"} if _free("/dev/shm") > 1 << 30 else {}
    done = subprocess.run(
        [*argv, RELEASE, str(made)], capture_output=True, text=True, env={**os.environ, **room}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return made


def _free(path: str) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0
