"""What is sent holds the values, and nothing else does."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model.check import HttpCheck
from rollout.model.release import Release, ReleaseId, Shared, SharedFile, Site
from rollout.model.secret import TYPED, sealed
from rollout.model.task import Task
from rollout.perform.here import run_here
from rollout.posix.op import Epoch, Install, Op, RunTask
from rollout.secrets.keyring import Keyring, SecretFault
from rollout.secrets.redaction import Redaction

PW = sealed("env:PW")
VALUE = "it's $(a) \\ secret"
OP = Op(
    id="r.1",
    epoch=Epoch(number=1, rollout="r", sequence=1),
    site=Site(root="/srv/x", app="x", environment="e"),
    do=RunTask(task=Task(argv=("a",), env={"A": f"x{PW}", "B": "b"}, stdin=f"{PW}\n")),
)


def keys(value: str = VALUE) -> Keyring:
    return Keyring(environ={"PW": value, "PATH": "/usr/bin:/bin"}, hides=Redaction())


def test_an_op_is_sent_with_the_values_and_stays_without_them() -> None:
    sent = keys().of_op(OP)
    assert isinstance(sent.do, RunTask)
    assert (sent.do.task.env, sent.do.task.stdin) == ({"A": f"x{VALUE}", "B": "b"}, f"{VALUE}\n")
    assert VALUE not in repr(OP)
    release = Release(id=ReleaseId("v1"), artifact="a", manifest="m")
    shared = Shared(files=(SharedFile(path="pw", content=f"pw={PW}\n"), SharedFile(path="key")))
    installed = keys().of_op(replace(OP, do=Install(release=release, shared=shared)))
    assert isinstance(installed.do, Install)
    assert [f.content for f in installed.do.shared.files] == [f"pw={VALUE}\n", None]


def test_what_holds_no_secret_is_sent_as_it_is() -> None:
    plain = replace(OP, do=RunTask(task=Task(argv=("a",), env={"A": "b"})))
    assert keys().of_op(plain) is plain


def test_a_task_of_another_user_is_given_its_variables_on_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out"
    task = Task(
        shell=f"cat >{out}; echo $A/$B/$ROLLOUT >>{out}; tr '\\0' ' ' </proc/$$/cmdline >>{out}",
        env={"A": PW, "B": "b"},
        stdin="first\nsecond\n",
        user="root",
    )
    sent = keys().of_task(task)
    assert VALUE not in " ".join((*sent.argv, sent.shell, *sent.env.values()))
    assert sent.env == {"B": "b"}
    assert sent.label == task.label
    done = subprocess.run(sent.argv, input=sent.stdin, env={"B": "b"}, text=True, check=False)
    assert done.returncode == 0
    assert out.read_text().startswith(f"first\nsecond\n{VALUE}/b/\n")
    assert VALUE not in out.read_text().partition("/b/\n")[2], "nor is it an argument of what runs in the end"


@pytest.mark.parametrize("value", ["two\nlines", "cr\r", "ümlaut"])
def test_a_value_that_would_be_two_headers_is_refused_without_being_shown(value: str) -> None:
    check = HttpCheck(port=80, headers={"Authorization": f"Bearer {PW}", "Accept": "x"})
    with pytest.raises(SecretFault) as caught:
        keys(value).of_check(check)
    assert str(caught.value) == "E_SECRET: env:PW is not one line of plain letters, as the header Authorization needs"
    assert keys().of_check(check).headers == {"Authorization": f"Bearer {VALUE}", "Accept": "x"}  # type: ignore[union-attr]


def test_a_task_here_has_its_secret_and_what_it_says_back_is_clean() -> None:
    ring = keys("s3cr3t-value")
    reply = run_here(ring.of_task(Task(shell="echo got $A; cat; exit 3", env={"A": PW}, stdin=PW)), {})
    assert reply.tail == ("got s3cr3t-value", "s3cr3t-value")
    assert ring.hidden(reply).tail == ("got ***", "***")


def test_a_password_that_was_typed_since_counts_where_the_plan_names_none() -> None:
    ring, asks = keys(), replace(OP, become="root")
    assert ring.of_op(asks).password == ""
    ring.told(TYPED, "typed-since")
    assert ring.of_op(asks).password == "typed-since"
    assert ring.of_op(replace(asks, password=sealed("env:PW"))).password == VALUE, "the plan's own wins"
    assert ring.of_op(replace(asks, become="")).password == "", "where nobody becomes anybody it is not sent"
