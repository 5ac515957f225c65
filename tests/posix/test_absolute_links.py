"""A link to a path that the play lists is a link on the host, and nothing is followed on the way."""

from __future__ import annotations

import os

from rollout.model.release import Process, ReleaseId
from rollout.posix.op import Activate, Install
from rollout.testing.packing import packed
from tests.posix.shells import ShellHost

LINKS = {"bin/python": "/usr/bin/python3", "bin/python3": "python", "tools": "/usr/lib"}
SERVE = b"#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 0.05; done\n"


def test_absolute_links_are_installed_as_they_are(host: ShellHost) -> None:
    built = packed("v1", {"bin/serve": SERVE, "x": b"y"}, links=LINKS)
    host.provide(built)
    assert host.do(Install(release=built.release)).fields == {"installed": "new"}
    assert {p: os.readlink(host.root / "releases/v1" / p) for p in LINKS} == LINKS
    switch = Activate(
        release=ReleaseId("v1"),
        manifest=built.release.manifest,
        expect=ReleaseId(""),
        service=Process(command=("./bin/serve",)),
    )
    assert host.do(switch).status == "done"
    assert host.do(Install(release=built.release, present=True)).fields == {"installed": "present"}
