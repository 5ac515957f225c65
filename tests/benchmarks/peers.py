"""The same job by pyinfra and Capistrano, for information: neither knows balancers, so that part is theirs by hand.

pyinfra has no batches: one host at a time (``--serial``). Capistrano goes by groups; its tasks are written out, since
its own deployment is built on a repository. Both wait as Ansible's playbook does, by the second.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from rollout.lab.machine import PORT, ROOT, SOCKET
from rollout.lab.machines import MachineFleet

SAY = (
    f"""perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new("{SOCKET}") or die; print $s shift, "\\n"; print <$s>'"""
)
STATE = f"""{SAY} 'show stat shop 4 -1' | cut -d, -f2,5,18"""  # name, sessions, status
HEALTHY = f"""for i in $(seq 60); do python3 -c "import json, urllib.request as u
a = json.load(u.urlopen('http://127.0.0.1:{PORT}/healthz'))
raise SystemExit(a['version'] != '%s')" 2>/dev/null && exit 0; sleep 1; done; exit 1"""

PYINFRA_INVENTORY = """\
web = [{hosts}]
lb = [("{balancer}", {common})]
"""
PYINFRA = f"""\
import time
from pyinfra import host, inventory
from pyinfra.operations import files, python, server

SAY, STATE, HEALTHY = {SAY!r}, {STATE!r}, {HEALTHY!r}
new = f"{ROOT}/releases/{{host.data.version}}"


def said(command):
    lb = next(h for h in inventory if h.name == host.data.balancer)
    lb.connected or lb.connect()
    done, output = lb.run_shell_command(command)
    assert done, output
    return output.stdout


def put(state, until):
    assert not said(f"{{SAY}} 'set server shop/{{host.data.member}} state {{state}}'").strip()
    while not any(until(*line.split(",")) for line in said(STATE).splitlines()):
        time.sleep(1)


def out():
    put("drain", lambda name, sessions, _: name == host.data.member and sessions == "0")
    put("maint", lambda name, _, status: name == host.data.member and status == "MAINT")


def back():
    put("ready", lambda name, _, status: name == host.data.member and status == "UP")


if host.name != host.data.balancer:
    files.directory(path=new, mode="755")
    files.put(src=host.data.artifact, dest="/tmp/release.tar.gz")
    server.shell(commands=[f"tar -xzf /tmp/release.tar.gz --strip-components=1 -C {{new}} && rm /tmp/release.tar.gz"])
    python.call(function=out)
    server.shell(commands=[f"ln -sfn releases/{{host.data.version}} {ROOT}/next && mv -T {ROOT}/next {ROOT}/current"])
    server.shell(commands=["sudo -n systemctl restart shop.service"])
    server.shell(commands=[HEALTHY % host.data.version])
    python.call(function=back)
"""

CAPFILE = f"""\
require "capistrano/setup"
require "capistrano/deploy"
require "capistrano/scm/git"
install_plugin Capistrano::SCM::Git
STATE, SAY, HEALTHY = <<'A'.chomp, <<'B'.chomp, <<'C'.chomp
{STATE}
A
{SAY}
B
{HEALTHY}
C
version, artifact = ENV["VERSION"], ENV["ARTIFACT"]
new = "{ROOT}/releases/#{{version}}"
server ENV["BALANCER"], roles: [:lb]
ENV["SERVERS"].split.map {{ |s| s.split("=") }}.each {{ |name, address| server address, roles: [:web], member: name }}
SSHKit.config.output_verbosity = :warn
set :ssh_options, keys: [ENV["KEY"]], user: "deploy", user_known_hosts_file: [ENV["KNOWN_HOSTS"]],
  verify_host_key: :always, auth_methods: ["publickey"]

def put(member, state)
  on(primary(:lb)) {{ execute %Q(#{{SAY}} 'set server shop/#{{member}} state #{{state}}') }}
  seen = nil
  loop do
    on(primary(:lb)) {{ seen = capture(STATE) }}
    row = seen.lines.map {{ |l| l.strip.split(",") }}.find {{ |name, *| name == member }}
    return if yield(*row)
    sleep 1
  end
end

task :roll do
  on roles(:web) do
    execute "mkdir -p #{{new}}"
    upload! artifact, "/tmp/release.tar.gz"
    execute "tar -xzf /tmp/release.tar.gz --strip-components=1 -C #{{new}} && rm /tmp/release.tar.gz"
  end
  hosts = roles(:web).to_a
  [1, 2, 5].each do |size|
    batch, hosts = hosts.first(size), hosts.drop(size)
    batch.each {{ |h| put(h.properties.member, "drain") {{ |_, sessions, _| sessions == "0" }} }}
    batch.each {{ |h| put(h.properties.member, "maint") {{ |_, _, status| status == "MAINT" }} }}
    on batch do
      execute "ln -sfn releases/#{{version}} {ROOT}/next && mv -T {ROOT}/next {ROOT}/current"
      execute "sudo -n systemctl restart shop.service"
      execute HEALTHY % version
    end
    batch.each {{ |h| put(h.properties.member, "ready") {{ |_, _, status| status == "UP" }} }}
  end
end
"""


def capistrano() -> Path:
    """Return Debian's Capistrano, installed where it is missing and that is ours to do."""
    if shutil.which("cap") is None:
        packages = ["capistrano", "ruby-ed25519", "ruby-bcrypt-pbkdf"]
        argv = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(argv, check=True, env=env, stdout=subprocess.DEVNULL)
    return Path(shutil.which("cap") or "cap")


def pyinfra_prepared(fleet: MachineFleet, folder: Path) -> tuple[Path, Path]:
    """Write its inventory and its deploy."""
    front = fleet.balancers[0]
    common = {
        "ssh_user": "deploy",
        "ssh_key": str(fleet.client_key),
        "ssh_known_hosts_file": str(fleet.known_hosts),
        "ssh_strict_host_key_checking": "yes",
        "balancer": front.address,
    }
    hosts = ", ".join(f"({m.address!r}, {common | {'member': m.name}!r})" for m in fleet.hosts)
    inventory, deploy = folder / "inventory.py", folder / "deploy.py"
    inventory.write_text(PYINFRA_INVENTORY.format(hosts=hosts, balancer=front.address, common=common))
    deploy.write_text(PYINFRA)
    return inventory, deploy


def capistrano_prepared(fleet: MachineFleet, folder: Path) -> dict[str, str]:
    """Write its Capfile; return what its environment holds."""
    (folder / "Capfile").write_text(CAPFILE)
    (folder / "config/deploy").mkdir(parents=True)
    for file in ("deploy.rb", "deploy/production.rb"):  # it wants a stage
        (folder / "config" / file).touch()
    return {
        "BALANCER": fleet.balancers[0].address,
        "SERVERS": " ".join(f"{m.name}={m.address}" for m in fleet.hosts),
        "KEY": str(fleet.client_key),
        "KNOWN_HOSTS": str(fleet.known_hosts),
        "LC_ALL": "C.UTF-8",
    }
