"""One machine of a container lab: real systemd, sshd, sudo, host keys and an address of its own."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rollout.lab.engine import Engine

PORT, ROOT, SOCKET = 8080, "/srv/shop", "/run/haproxy/admin.sock"
FRONT, EYE = 80, 9999  # where users come in; where the lab itself reads HAProxy, which takes no orders there
UNITS = "/etc/systemd/system"
UNIT = """\
[Unit]
Description=The shop
StartLimitIntervalSec=0
ConditionPathExists={current}
[Service]
Type={kind}
User=shop
Environment=PORT=8080 ADDRESS=0.0.0.0
WorkingDirectory={current}
ExecStart={current}/bin/serve
# In a container with cgroups of version 1 systemd never hears that a group is empty: do not wait for it long.
TimeoutStopSec=2
{more}
[Install]
WantedBy=multi-user.target
"""
# One line a command, full paths, no wildcards: what is not here is not allowed.
SUDOERS = """\
Defaults:deploy !requiretty
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart shop.service
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl start shop.service
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl stop shop.service
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl is-active shop.service
"""
LB_SUDOERS = "Defaults:deploy !requiretty\ndeploy ALL=(root) NOPASSWD: /usr/bin/systemctl reload haproxy.service\n"
HAPROXY = """\
global
  chroot /var/lib/haproxy
  user haproxy
  group haproxy
  # Members of the group haproxy give orders; a reload takes the listening sockets over.
  stats socket {socket} mode 660 user haproxy group haproxy level admin expose-fd listeners
  # The lab's own eye: it shows, and takes no orders.
  stats socket ipv4@{address}:{eye} level user
  stats timeout 1m
  maxconn 4000
  log stderr format raw local0 notice
defaults
  mode http
  log global
  option dontlog-normal
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout queue 5s
  timeout check 2s
  timeout http-request 10s
  # Tried again is only a connection that could not be opened: what a member breaks, the client sees.
  http-reuse safe
  retries 3
  option redispatch
  retry-on conn-failure
frontend shop-front
  bind {address}:{front}
  default_backend shop
backend shop
  balance roundrobin
  option httpchk GET /healthz
  http-check expect status 200
  default-server check inter {check_ms}ms rise {rise} fall {fall}
{servers}
"""
# A container may not mount: the log comes by standard error instead.
UNBOUND = "[Service]\nBindReadOnlyPaths=\n"
# Set-ups read a tar of the files that they place from standard input.
SET_UP = f"""\
set -e
tar -x -C / --no-same-owner
ln -sf {UNITS}/shop.service {UNITS}/multi-user.target.wants/shop.service
systemctl daemon-reload
"""
LB_SET_UP = """\
set -e
tar -x -C / --no-same-owner
ln -sf /lib/systemd/system/haproxy.service /etc/systemd/system/multi-user.target.wants/haproxy.service
systemctl daemon-reload
systemctl reload-or-restart haproxy.service || { journalctl -u haproxy -n 5 -o cat >&2; exit 1; }
"""
# The brackets keep the shell that runs this from finding itself.
CLEAN = f"""\
systemctl kill -s KILL shop.service
for found in $(grep -ls 'bin/[s]erve' /proc/[0-9]*/cmdline); do
    found=${{found#/proc/}}
    kill -KILL ${{found%/cmdline}}
done
systemctl stop shop.service
systemctl reset-failed shop.service
find {ROOT} -mindepth 1 -delete
rm -rf /home/deploy/.rollout
"""
ACCOUNT = f"""\
set -e
install -d -o deploy -g deploy -m 0700 /home/deploy/.ssh
cat >/home/deploy/.ssh/authorized_keys
chown deploy: /home/deploy/.ssh/authorized_keys
install -d -o deploy -g deploy -m 0755 {ROOT}
"""
# One command waits for the boot, so that nobody polls a machine that has none of its CPU left to answer with.
BOOTED = """\
n=0
until systemctl is-active -q ssh.service && case $(systemctl is-system-running) in running|degraded) ;; *) false ;; esac
do [ "$n" -lt 600 ] || exit 1; n=$((n + 1)); sleep 0.1; done
cat /etc/ssh/ssh_host_ed25519_key.pub
"""

Role = Literal["web", "lb"]


def unit_of(more: str = "", kind: str = "simple", current: str = f"{ROOT}/current") -> str:
    """Return the app's unit file; ``more`` lines of [Service] win over those before them."""
    return UNIT.format(more=more, kind=kind, current=current)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine. ``zone`` is "" where a lab has none; a balancer of all zones has none either."""

    engine: Engine
    container: str
    name: str
    address: str
    role: Role = "web"
    zone: str = ""

    def run(self, *argv: str, stdin: bytes = b"") -> str:
        """Run a command there as root, past rollout; return what it printed."""
        return self.engine.say("exec", "-i", self.container, *argv, stdin=stdin)

    def try_(self, script: str) -> str:
        """Run shell text there whatever becomes of it; return what it printed."""
        return self.run("sh", "-c", f"exec 2>&1\n{script}\n:")

    def shown(self, prop: str, unit: str = "shop.service") -> str:
        """Return one property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", prop, unit)

    def booted(self) -> str:
        """Wait until it has started and takes logins; return its host key, as KIND KEY."""
        return " ".join(self.run("sh", "-c", BOOTED).split()[:2])

    def let_in(self, public_key: bytes) -> None:
        """Let the holder of a key log in as `deploy`, who owns the app's root."""
        self.run("sh", "-c", ACCOUNT, stdin=public_key)

    def set_up(self, unit: str = "", sudoers: str = SUDOERS) -> None:
        """Set up the app's unit (enabled) and what the SSH user may do; what runs goes on."""
        files = {f"{UNITS}/shop.service": (unit or unit_of(), 0o644), "/etc/sudoers.d/deploy": (sudoers, 0o440)}
        self.run("sh", "-c", SET_UP, stdin=_packed(files))

    def clean(self) -> None:
        """End the app and remove all of it."""
        self.try_(CLEAN)

    def balance(self, members: Sequence[Machine], check_ms: int, rise: int, fall: int) -> None:
        """Set up HAProxy over these members, and start it or have it read its configuration again."""
        servers = "\n".join(f"  server {m.name} {m.address}:{PORT}" for m in members)
        config = HAPROXY.format(
            socket=SOCKET,
            address=self.address,
            eye=EYE,
            front=FRONT,
            servers=servers,
            check_ms=check_ms,
            rise=rise,
            fall=fall,
        )
        files = {"/etc/haproxy/haproxy.cfg": (config, 0o644), "/etc/sudoers.d/deploy": (LB_SUDOERS, 0o440)}
        files |= {f"{UNITS}/haproxy.service.d/container.conf": (UNBOUND, 0o644)}
        self.run("sh", "-c", LB_SET_UP, stdin=_packed(files))


def _packed(files: Mapping[str, tuple[str, int]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, (text, mode) in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(text.encode()), mode
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
