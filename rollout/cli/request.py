"""The options of the commands that load a playbook, and how they show themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from rollout.app.apply import Showing
from rollout.app.request import Request
from rollout.cli.options import FileName, standing
from rollout.cli.reading import say
from rollout.errors import InputError, Problem
from rollout.model.secret import TYPED, sealed
from rollout.playbook.extra_vars import parse_extra_vars, typed_paths
from rollout.report.planview import plan_lines
from rollout.report.reviewview import review_lines
from rollout.report.sinks import sink_for

WORDS = ("auto", "plain", "github", "gitlab")  # outputs that people read
F = TypeVar("F", bound=Callable[..., Any])


def become_option(function: F) -> F:
    """Add ``-K``."""
    said = "Ask for sudo's password, on a terminal."
    return click.option("-K", "--ask-become-pass", is_flag=True, help=said)(function)


def playbook_options(function: F) -> F:
    """Add what Ansible users type: the playbook, ``-i``, ``-l``, ``-e``, ``-u``, ``-b`` and ``--private-key``."""
    function = narrowing_options(function)
    function = click.option("-l", "--limit", default=None, metavar="PATTERN", help="Narrow the play to these hosts.")(
        function
    )
    return click.argument("playbook", type=FileName())(function)


def narrowing_options(function: F) -> F:
    """Add what names the inventory, the variables, and how hosts are reached."""
    options = (
        click.option("-i", "--inventory", multiple=True, metavar="PATH", help="Inventory file, or `host1,host2,`."),
        click.option("-e", "--extra-vars", multiple=True, metavar="K=V|JSON|@FILE", help="Variables over all others."),
        click.option("-f", "--forks", type=click.IntRange(1, 1000), default=None, help="Hosts staged at once."),
        click.option("-u", "--user", default=None, help="SSH user where nothing else names one."),
        click.option("--private-key", default=None, metavar="FILE", help="SSH key where nothing else names one."),
        click.option("-b", "--become", is_flag=True, default=None, help="Control services with sudo."),
        become_option,
        click.option("--env", "environment", default="default", show_default=True, help="The environment's name."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def trust_options(function: F) -> F:
    """Add what lets a release pass that is signed less, or earlier, than what was rolled out before."""
    options = (
        click.option("--allow-unsigned", default="", metavar="REASON", help="Also a release that is not signed."),
        click.option("--allow-downgrade", default="", metavar="REASON", help="Also one that was signed earlier."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def policy_options(function: F) -> F:
    """Add what names the policy that a command is held to, and what lets it pass by hand."""
    said = "The policy: a file, or git:REF:PATH (else the controller's own)."
    options = (
        click.option("--policy", default="", metavar="FILE", help=said),
        click.option("--override-policy", is_flag=True, help="Go on against the policy; goes into the journal."),
        click.option("--reason", default="", metavar="WHY", help="Why the policy is overridden."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _overridden(options: dict[str, Any]) -> str:
    """Return why the policy is overridden, "" where it is not; refuse one half of the two options."""
    flag, why = bool(options.get("override_policy")), str(options.get("reason") or "").strip()
    if flag != bool(why):
        instead = "Write both: --override-policy --reason WHY"
        what = "no reason is given." if flag else "a reason is given, and nothing that it is for."
        raise InputError(Problem(file="--override-policy", code="E_REASON", what=what, instead=instead))
    return why


def request_of(options: dict[str, Any], **more: Any) -> Request:
    """Return the request that the options make."""
    inventory = options["inventory"] or _default_inventory()
    _named(options["playbook"], inventory, options["limit"])
    return Request(
        playbook=options["playbook"],
        inventory=inventory,
        limit=options["limit"] or "",
        extra_vars=parse_extra_vars(options["extra_vars"]),
        granted=typed_paths(options["extra_vars"]),
        environment=options["environment"],
        forks=options["forks"],
        user=options["user"],
        private_key=options["private_key"],
        become=options["become"],
        become_password=asked_password() if options.get("ask_become_pass") else "",
        state=options.get("state") or "",
        allow_unsigned=options.get("allow_unsigned") or "",
        allow_downgrade=options.get("allow_downgrade") or "",
        policy=options.get("policy") or "",
        override_policy=_overridden(options),
        argv=tuple(sys.argv[1:]),
        **more,
    )


def asked_password() -> str:
    """Ask for sudo's password on a terminal, and return the reference by which it is known from then on."""
    if not sys.stdin.isatty():
        instead = "Write `connection: { become: { password: \"{{ secret('env:SUDO_PASSWORD') }}\" } }`."
        raise click.UsageError(f"-K asks on a terminal, and there is none. {instead}")
    from rollout.secrets.keyring import keyring

    said = click.prompt("sudo's password", hide_input=True, err=True)
    return sealed(keyring().told(TYPED, said))


def _named(playbook: Path, inventory: Sequence[str], limit: str | None) -> None:
    """Refuse what a variable that nobody set leaves behind, and paths that begin nowhere."""
    wrong = []
    if not all(i.strip() for i in inventory):
        what = "the name of an inventory is empty: it would be this whole folder."
        wrong.append(Problem(file="-i", code="E_INVENTORY", what=what, instead="Write -i inventories/production.ini"))
    if limit is not None and not limit.strip():
        what, instead = "it is empty, and would be all hosts of the play.", "Name hosts or groups, or leave it out."
        wrong.append(Problem(file="--limit", code="E_LIMIT", what=what, instead=instead))
    if wrong:
        raise InputError(*wrong)
    standing(str(playbook), *(i for i in inventory if "," not in i))


def _default_inventory() -> tuple[str, ...]:
    named = os.environ.get("ROLLOUT_INVENTORY", "")
    if not named:
        what = "no inventory is named."
        raise InputError(
            Problem(file="-i", code="E_INVENTORY", what=what, instead="Write -i inventories/production.ini")
        )
    return (named,)


def showing(output: str, *, plan: bool = True) -> Showing:
    """Return how a command that acts shows itself; to GitHub no line of it is a command."""
    shown = _showing(output, plan=plan)
    return _unobeyed(shown, plan=plan) if output == "github" else shown


def _unobeyed(shown: Showing, *, plan: bool) -> Showing:
    from rollout.report.github import harmless

    return replace(
        shown,
        plan=(lambda made: _shown(map(harmless, plan_lines(made)))) if plan else shown.plan,
        review=(lambda found: _shown(map(harmless, review_lines(found)))) if plan else shown.review,
        say=lambda line: shown.say(harmless(line)),
        warn=lambda line: shown.warn(harmless(line)),
    )


def _showing(output: str, *, plan: bool) -> Showing:
    """Return what a command shows: a board on a terminal, lines elsewhere."""
    words = output in WORDS
    return Showing(
        sinks=(sink_for(output),),
        plan=(lambda made: _shown(plan_lines(made))) if words and plan else lambda _: None,
        review=(lambda found: _shown(review_lines(found))) if words and plan else lambda _: None,
        say=said_aside if words else lambda _: None,
        warn=said_aside,
    )


def _shown(lines: Iterable[str]) -> None:
    """Write lines as long as somebody reads: who has seen enough of a plan stops nothing."""
    with suppress(BrokenPipeError):
        say(lines)


def said_aside(line: str) -> None:
    """Say a single line on stderr, so that what is piped on stays clean; if anybody listens."""
    with suppress(OSError, ValueError):
        click.echo(line, err=True)


def confirm(question: str) -> bool:
    """Ask once, on a terminal."""
    return click.confirm(question, default=False, err=True)


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()
