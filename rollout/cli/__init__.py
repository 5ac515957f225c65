"""The command line. Nothing heavy is imported before a command that needs it is named."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence

import click

from rollout import __version__
from rollout.cli.hearing import hear
from rollout.cli.lazy import LazyGroup

# name -> (module:command, what the overview says of it)
COMMANDS = {
    "apply": ("rollout.cli.apply:apply", "Roll a release out: the main job."),
    "plan": ("rollout.cli.plan:plan", "Observe, and show what apply would do, and each host's way back."),
    "validate": ("rollout.cli.validate:validate", "Check a playbook without contacting anything."),
    "status": ("rollout.cli.status:status", "What is running, or what became of a rollout."),
    "history": ("rollout.cli.history:history", "Past rollouts, the newest first."),
    "show": ("rollout.cli.show:show", "One rollout's story, with the evidence."),
    "events": ("rollout.cli.events:events", "One rollout's journal, record by record."),
    "resume": ("rollout.cli.resume:resume", "Go on with a rollout whose process is gone."),
    "heal": ("rollout.cli.heal:heal", "Put back what such a rollout has in flight, and end it."),
    "pause": ("rollout.cli.pause:pause", "Hold a rollout that is at work: no further host leaves."),
    "proceed": ("rollout.cli.proceed:proceed", "Let a paused rollout go on."),
    "halt": ("rollout.cli.halt:halt", "Stop a rollout that is at work, from any terminal."),
    "unlock": ("rollout.cli.unlock:unlock", "Free an app without asking the hosts of its rollout."),
    "audit": ("rollout.cli.audit:audit", "Check a rollout's journal, or hand it out."),
    "revert": ("rollout.cli.revert:revert", "Bring back what a rollout changed."),
    "rollback": ("rollout.cli.rollback:rollback", "Go back to an earlier release, batch by batch."),
    "converge": ("rollout.cli.converge:converge", "New, rebuilt and missed hosts to the fleet's release."),
    "restart": ("rollout.cli.restart:restart", "Restart what runs, batch by batch."),
    "drain": ("rollout.cli.drain:drain", "Take hosts out of rotation for maintenance."),
    "register": ("rollout.cli.register:register", "Put drained hosts back, once they are healthy."),
    "releases": ("rollout.cli.releases:releases", "Releases on record and on hosts, and the way back."),
    "verify": ("rollout.cli.verify:verify", "Whether what is on the hosts is still what was installed."),
    "prune": ("rollout.cli.prune:prune", "Remove releases that hosts need not keep."),
    "adopt": ("rollout.cli.adopt:adopt", "Take over a fleet that something else deployed."),
    "sign": ("rollout.cli.sign:sign", "Say under your name what may be rolled out."),
    "host-helper": ("rollout.cli.host_helper:host_helper", "A script that makes a key good for rollouts alone."),
    "sudoers": ("rollout.cli.sudoers:sudoers", "The sudo rights that the hosts of a playbook must give."),
    "hostkeys": ("rollout.cli.hostkeys:hostkeys", "The hosts' keys: shown, recorded, replaced; never unasked."),
    "doctor": ("rollout.cli.doctor:doctor", "Weak settings, each with its fix; no host is asked."),
    "policy": ("rollout.cli.policy:policy", "The policy of an environment: shown, and remembered."),
    "lab": ("rollout.cli.lab:lab", "A local fleet of real hosts, to try things on."),
}


@click.group(
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 2 bad input, 3 halted, 4 reverted, 5 stranded, 6 refused, 7 held, 8 no state.",
)
@click.version_option(__version__, prog_name="rollout", message="%(prog)s %(version)s")
def cli() -> None:
    """Roll releases out to fleets of VMs over SSH, without users noticing.

    Host by host: out of the load balancer, switched, proven healthy, back in; and when something
    is wrong, everything touched is brought back.
    """


def program() -> int:
    """Run this process's command. What is left at its end is not searched for garbage: the process is over."""
    hear()
    try:
        return main()
    finally:
        gc.freeze()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. What a user did wrong is said in words, never as a traceback."""
    from rollout.cli.failures import ending  # after the imports that even --version needs

    arguments = list(sys.argv[1:] if argv is None else argv)
    _write_anything()
    with ending(arguments) as end:
        end.code = _run(arguments)
    return end.code


def _write_anything() -> None:
    """Let stdout and stderr show what their encoding has no character for, and bytes that are none, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: list[str]) -> int:
    """Run the command that is named.

    Not by click's own ``main``: that takes any EOFError for Ctrl-C and any broken pipe, a socket's
    too, for a reader that left.
    """
    if "_ROLLOUT_COMPLETE" in os.environ:
        cli.main(arguments, prog_name="rollout")
    try:
        with cli.make_context("rollout", arguments) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as done:  # --help, --version
        return done.exit_code
    return result if isinstance(result, int) else 0
