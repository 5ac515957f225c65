"""The image of a minimal Debian that boots systemd, made once per machine and recipe.

From Debian's own archive by mmdebstrap, since no registry may be in reach; where mmdebstrap is not there, from
the registry's Debian. What it holds is an operating system and accounts; the app's unit, keys and sudoers
are set up on the running machines, as an operator would.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollout.errors import Reason, Refused
from rollout.lab.engine import Engine, cache, found, install

NAME = "localhost/rollout-lab"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "openssl", "python3", "haproxy")
RELEASE = "bookworm"
HOOK = """\
set -eu
cd "$1"
chroot . useradd --system --user-group --shell /usr/sbin/nologin --home-dir /nonexistent shop
chroot . useradd --user-group --create-home --shell /bin/sh --password '*' --groups systemd-journal,haproxy deploy
for unit in systemd-udevd systemd-logind systemd-timesyncd getty@tty1 console-getty \\
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
    case $unit in *.timer) ;; *) unit=$unit.service ;; esac
    ln -sf /dev/null "etc/systemd/system/$unit"
done
# Only machines that balance run it, once they have its configuration.
rm -f etc/systemd/system/multi-user.target.wants/haproxy.service
# Every machine makes host keys and a machine id of its own when it first starts.
rm -f etc/ssh/ssh_host_* var/lib/dbus/machine-id
: >etc/machine-id
mkdir -p etc/systemd/system/ssh.service.d
printf '[Service]\\nExecStartPre=\\nExecStartPre=/usr/bin/ssh-keygen -A\\n' >etc/systemd/system/ssh.service.d/keys.conf
printf 'UseDNS no\\nPasswordAuthentication no\\nMaxStartups 100\\n' >etc/ssh/sshd_config.d/lab.conf
"""
THIN = (
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"',
    "--dpkgopt=force-unsafe-io",
    *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("man", "doc", "locale", "info")),
)
DOCKERFILE = f"""\
FROM docker.io/library/debian:{RELEASE}-slim
RUN printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \\
    && apt-get update && export DEBIAN_FRONTEND=noninteractive \\
    && apt-get install -y --no-install-recommends {" ".join(PACKAGES)} \\
    && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d
COPY hook /hook
RUN sh /hook / && rm /hook
CMD ["/sbin/init"]
"""


def recipe() -> str:
    """Return what the image is known by: a digest of all that it is made from."""
    said = "\n".join((RELEASE, *PACKAGES, HOOK, *THIN))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def image(engine: Engine) -> str:
    """Return the image's name, after making it where it is not there yet (a minute or two, once)."""
    name = f"{NAME}:{recipe()}"
    if not engine.has_image(name):
        with _alone():
            if not engine.has_image(name):
                _make(engine, name)
                engine.forget(NAME, name)
    return name


def _make(engine: Engine, name: str) -> None:
    kept = _kept()
    if not kept.exists() and not found("mmdebstrap"):
        _from_registry(engine, name)
        return
    if not kept.exists():
        _bootstrap(kept)
    engine.say("import", "--change", 'CMD ["/sbin/init"]', str(kept), name, timeout_s=300)


def _from_registry(engine: Engine, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "hook").write_text(HOOK, encoding="ascii")
        Path(folder, "Dockerfile").write_text(DOCKERFILE, encoding="ascii")
        isolation = ("--isolation", "chroot") if engine.name == "podman" else ()
        try:
            engine.say("build", *isolation, "-t", name, folder, timeout_s=900)
        except Refused as refused:
            instead = f"Where no registry can be reached: {install(['mmdebstrap'])}"
            raise Refused(*refused.reasons, Reason(code="E_LAB_IMAGE", what="no image.", instead=instead)) from None


def _kept() -> Path:
    """Return where the archive of the root file system is kept for the next lab."""
    return cache() / f"debian-{recipe()}.tar"


def _bootstrap(kept: Path) -> None:
    """Make the root file system from Debian's archive."""
    for old in kept.parent.glob("debian-*.tar"):
        old.unlink()
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        hook, made = Path(folder, "hook"), Path(folder, "root.tar")
        hook.write_text("#!/bin/sh\n" + HOOK, encoding="ascii")
        hook.chmod(0o755)
        argv = [found("mmdebstrap") or "mmdebstrap", "--variant=apt", *THIN, f"--customize-hook={hook}"]
        argv += [f"--include={','.join(PACKAGES)}", RELEASE, str(made)]
        # In memory where there is room: unpacking and configuring is a thousand small files.
        room = {"TMPDIR": "/dev/shm"} if _free("/dev/shm") > 1 << 30 else {}  # noqa: S108 (mmdebstrap makes its own)
        env = {**os.environ, **room}
        done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)  # noqa: S603 (our own argv)
        if done.returncode:
            what = f"mmdebstrap ended with {done.returncode}; it said: {done.stderr.strip()[-600:]}"
            raise Refused(Reason(code="E_LAB_IMAGE", what=what, instead="Is Debian's archive in reach?"))
        made.rename(kept)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the making of the image: whoever starts a lab at the same time waits and finds it made."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _free(path: str) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0
