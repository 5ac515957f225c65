"""Which sink shows a rollout, by ``--output`` and by what stdout is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from rollout.ports import Sink
from rollout.report.jsonlines import JsonSink
from rollout.report.plain import PlainSink, QuietSink


def sink_for(output: str, out: TextIO | None = None, environ: Mapping[str, str] | None = None) -> Sink:
    """Return the sink of an ``--output``; ``auto`` is the board where it can be drawn, and plain lines elsewhere."""
    out = sys.stdout if out is None else out
    if output == "json":
        return JsonSink(out)
    if output == "quiet":
        return QuietSink(out)
    if output == "github":
        from rollout.report.github import GithubSink

        return GithubSink(out, environ)
    if output == "gitlab":
        from rollout.report.gitlab import GitlabSink

        return GitlabSink(out)
    if output == "auto" and draws(out, os.environ if environ is None else environ):
        from rollout.report.console import ConsoleSink  # rich costs 100 ms that no log needs

        return ConsoleSink()
    return PlainSink(out)


def draws(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a board can be drawn there: a terminal that moves its cursor and speaks Unicode."""
    able = out.isatty() and environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return able and "utf" in (out.encoding or "").lower()
