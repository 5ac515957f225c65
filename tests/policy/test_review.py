"""What a review lists of a plan, and how people and programs read it."""

from __future__ import annotations

from dataclasses import replace

from rollout.engine.review import (
    Fewer,
    LocalCommand,
    OutsideFile,
    Review,
    asked_in,
    commands_for,
    files_of,
    local_commands,
    plain_review,
    secrets_in,
    words_of,
)
from rollout.engine.weaker import Weaker
from rollout.model.check import HttpCheck
from rollout.model.host import Connection, HostName
from rollout.model.plan import Hook, Plan, Run, Step
from rollout.model.pool import HaproxyPool, PoolName
from rollout.model.secret import sealed
from rollout.model.task import Task
from rollout.report.reviewview import review_lines
from rollout.store.codec import canonical
from tests.policy.test_weaker import H1, play

HERE = Task(argv=("make", "notes"), where="controller", cwd="/p", undo=Task(shell="rm x | cat", where="controller"))
THERE = Task(argv=("true",))


def plan_with(**more: object) -> Plan:
    return Plan(id="1", environment="prod", plays=(replace(play(), **more),))  # type: ignore[arg-type]


def test_every_command_on_this_machine_is_listed_once_wherever_it_stands() -> None:
    one = play()
    step = Step(do=Run(task=HERE, position="before_drain"), undo=(Run(task=THERE, position="after_revert"),))
    back = Step(do=Run(task=THERE, position="prepare"), undo=(Run(task=HERE, position="after_revert", undoing=True),))
    failed = Run(task=replace(HERE, undo=None), position="on_failure")
    hosts = {h: replace(p, steps=(step, back), on_failure=(failed,)) for h, p in one.hosts.items()}
    hook = Hook(run=Run(task=replace(HERE, undo=None), position="before_rollout"), before=0, host=HostName(""))
    found = [str(c) for c in local_commands(plan_with(hosts=hosts, hooks=(hook,)))]
    assert found == [
        "shop, before_rollout: make notes",
        "shop, on_failure: make notes",
        "shop, before_drain: make notes",
        "shop, undo of before_drain: sh -c 'rm x | cat'",
        "shop, undo of after_revert: make notes",
        "shop, undo of after_revert: sh -c 'rm x | cat'",
    ]


def test_a_command_for_a_secret_is_one_on_this_machine() -> None:
    told = [sealed(ref) for ref in ("env:A", "cmd:pass show 'a b'", "sops:/p/s.yml#db", "ansible-vault:/p/v.yml#db")]
    checks = (HttpCheck(port=80, headers=dict(enumerate(told))),)  # type: ignore[arg-type] # names do not matter
    step = Step(do=Run(task=THERE, position="prepare"))
    hosts = {H1: replace(play().hosts[H1], steps=(step,), checks=checks)}
    assert {str(c) for c in local_commands(plan_with(hosts=hosts))} == {
        "shop, for the value of a secret: pass show 'a b'",
        "shop, for the value of a secret: sops -d --extract '[\"db\"]' /p/s.yml",
        "shop, for the value of a secret: ansible-vault view /p/v.yml",
    }
    assert [c.words for c in commands_for("shop", ["cmd:pass 'a"])] == [("sh", "cmd:pass 'a")], "it is no words"


def test_a_host_that_is_this_machine_is_listed() -> None:
    here = replace(play().hosts[H1], connection=Connection(address="h1", transport="local"))
    found = [str(c) for c in local_commands(plan_with(hosts={H1: here}))]
    assert found == ["shop, everything that it is told, for it is this machine: host h1"]


def test_what_a_task_sets_and_whom_it_becomes_are_words_of_its_command() -> None:
    task = replace(HERE, env={"PATH": "/evil", "A": "1"}, user="deploy")
    assert words_of(task) == ("env", "A", "PATH", "sudo", "-n", "-u", "deploy", "make", "notes")


def test_files_are_listed_with_what_they_are_for() -> None:
    keyed = Connection(address="h", key_files=("/k/id",), known_hosts=("/k/known",))
    spec = HaproxyPool(name=PoolName("web"), backend="web", socket="/run/haproxy.sock")
    pool = replace(play().pools[0], spec=spec)
    hosts = {H1: replace(play().hosts[H1], connection=keyed)}
    made = replace(plan_with(hosts=hosts, pools=(pool,), delegates={HostName("d"): keyed}), sources={"/x.yml": "1"})
    assert list(dict.fromkeys(map(str, files_of(made)))) == [
        "/k/id (key of shop's hosts)",
        "/k/known (known hosts of shop)",
        "/run/haproxy.sock (HAProxy's socket of pool web)",
        "/x.yml (variables or hosts)",
    ]


def test_secrets_are_named_as_they_are_sealed_and_as_they_are_asked_for() -> None:
    assert secrets_in(canonical({"a": "x\x0eenv:PW\x0fy", "b": ["\x0ecmd:pass show\x0f"]})) == {
        "env:PW",
        "cmd:pass show",
    }
    text = 'a: "{{ secret(\'env:PW\') }}"\nb: \'{{ env("ROLLOUT_VAR_x", "d") }}\'\n'
    text += "c: '{{ secret( name ) }}'\nprintenv(1)\n"
    assert asked_in(text) == {"secret(env:PW)", "env(ROLLOUT_VAR_x)", "secret(name)"}


REVIEW = Review(
    environment="prod",
    local_commands=(
        LocalCommand(app="shop", when="before_batch", words=("curl", "-d", "\x0eenv:PW\x0f", "x\x1b[2J"), folder="/p"),
        LocalCommand(app="", when="to put the checkout's commit on record", words=("git", "status"), ours=True),
    ),
    outside_files=(OutsideFile(path="/etc/key", what="key of shop's hosts"),),
    secrets=("env:PW",),
    new_hosts=(H1,),
    weaker=(Fewer(app="shop", since="20260101T000000-abcdef", found=(Weaker(name="fall", what="more"),)),),
)


def test_a_review_as_people_read_it() -> None:
    assert (
        "\n".join(review_lines(REVIEW))
        == """
Commands that run on this machine:
  - shop, before_batch: curl -d 'secret(env:PW)' 'x\\x1b[2J'
  - git status: to put the checkout's commit on record

Files outside of the project:
  - /etc/key (key of shop's hosts)

Secrets and variables of the environment that are asked for:
  - env:PW

Hosts that nothing was deployed to before in prod: h1

Weaker than in the last rollout of shop that succeeded (20260101T000000-abcdef):
  - fall: more"""
    )


def test_a_first_rollout_says_so_in_one_line_and_nothing_is_said_of_nothing() -> None:
    assert review_lines(Review(environment="prod", new_hosts=(H1,), first=True)) == [
        "",
        "Nothing was deployed in prod before: 1 new host",
    ]
    assert review_lines(Review()) == []


def test_a_review_as_programs_read_it() -> None:
    said = plain_review(REVIEW)
    assert said["new_hosts"] == ["h1"]
    assert said["weaker"] == [{"app": "shop", "since": "20260101T000000-abcdef", "name": "fall", "what": "more"}]
    assert set(said) == {"local_commands", "outside_files", "secrets", "new_hosts", "first", "weaker"}
