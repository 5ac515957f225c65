"""Applications that answer badly: programs that travel in a release as ``bin/serve``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.e2e.lab import Lab
from tests.systemd.releases import with_files

# A server whose answers are made by a few lines: `n` counts the requests of /healthz, `age` is in seconds,
# `ours` says whether who asks is rollout, not the balancer. An answer is bytes, or a generator of some.
STUB = """\
#!/usr/bin/env python3
import itertools, os, socket, threading, time
HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VERSION = open(HERE + "/VERSION").read().strip()
BEGAN, COUNT = time.monotonic(), itertools.count()

def said(status, body="", more=""):
    return f"HTTP/1.1 {{status}} X\\r\\nContent-Length: {{len(body)}}\\r\\n{{more}}\\r\\n{{body}}".encode()

def ok(version=VERSION):
    return said(200, '{{"version": "%s"}}' % version)

def forever(first, again, pause=0.0):
    yield first
    while True:
        yield again
        time.sleep(pause)

def answer(n, age, ours):
{lines}

def serve(peer):
    try:
        asked = peer.recv(65536).lower()
        given = answer(next(COUNT), time.monotonic() - BEGAN, b"rollout" in asked or b"\\nhost:" in asked)
        for part in [given] if isinstance(given, bytes) else given:
            peer.sendall(part)
    except OSError:
        pass
    finally:
        peer.close()

listener = socket.create_server(("127.0.0.1", int(open(HERE + "/config/port").read())))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def stub(lines: str) -> str:
    """Return a program whose answers are made by these lines of Python."""
    return STUB.format(lines="\n".join(f"    {line}" for line in lines.strip().splitlines()))


def roll(
    lab: Lab, version: str, *, files: Mapping[str, str], broken: str = "", any_version: bool = False, **play: Any
) -> Any:
    """Roll out a release that has these programs; the demo app lies beside them as ``bin/server``.

    ``any_version``: the check does not ask which version answers.
    """
    with_files(lab.release(version, broken), files)
    path = lab.playbook(**play)
    if any_version:
        text, found = re.subn(r", json: \{.*\} \}", " }", path.read_text())
        assert found == 1
        path.write_text(text)
    return lab.type(*lab.words_of("apply", version))
