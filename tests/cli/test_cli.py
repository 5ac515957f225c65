"""The command line: light, in words, with the exit codes of its contract."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from rollout.cli import COMMANDS, cli, main
from rollout.cli.failures import ending, problem_text, text_of
from rollout.errors import Held, InputError, InvalidTransition, Problem, Reason, Refused, StoreError, Unreachable
from rollout.store.store import Store, open_store
from tests.report import journals
from tests.report.journals import Record

READERS = ("status", "history", "show", "events")
HEAVY = ("pydantic", "sqlalchemy", "rich", "jinja2", "paramiko", "fabric", "yaml")


def write(store: Store, records: list[Record], rollout: str) -> None:
    """Write a scripted journal down as a rollout of this name."""
    store.take("default", "shop", rollout, "alice")
    store.journal(rollout).append([record.event for record in records])


@pytest.fixture
def state(tmp_path: Path) -> str:
    path = str(tmp_path / "state.db")
    store = open_store(path)
    write(store, journals.good(), "20261123-aa")
    write(store, journals.reverted(), "20261123-ab")
    store.close()
    return path


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ROLLOUT_STATE", raising=False)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["no-such-command"]])
def test_the_overview_imports_nothing_heavy(words: list[str]) -> None:
    script = f"""
import sys
from rollout.cli import main
main({words!r})
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip().endswith("[]"), done.stderr


def test_help_costs_few_bare_interpreters() -> None:
    bare, ours = [], []
    for _ in range(7):
        for times, script in ((bare, "pass"), (ours, "from rollout.cli import main; main(['--help'])")):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - begun)
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"rollout --help / python -c pass: {ratio:.1f}")
    assert ratio <= 12


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", READERS)
def test_each_command_is_where_the_overview_says_and_explains_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(cli.get_command(click.Context(cli), name), click.Command)
    assert main([name, "--help"]) == 0
    assert "--state" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["statsu"], 2, "Did you mean 'status'?"),
        (["frobnicate"], 2, "There are: apply"),
        (["status", "--sta", "x"], 2, "No such option"),
        (["--vers"], 2, "No such option"),
        (["show"], 2, "Missing argument 'ID'"),
        (["history", "-n", "0"], 2, "0 is not in the range"),
        (
            ["audit", "verify", "20261123-aa", "--state", "{state}", "--head", ""],
            2,
            "'--head': it is empty. Write the head",
        ),
        (["status", "--output", "html"], 2, "E_OUTPUT: 'html' is no kind of output."),
        (["status", "--output", "xml"], 2, "E_OUTPUT"),
        (["status", "--state", "mysql://u:hunter2@h/d"], 2, "E_STATE_URL"),
        (["status", "--state", "postgresql://u:hunter2@h:port/d"], 2, "E_STATE_URL"),
        (["status", "--state", "{tmp}/none.db"], 8, "E_NO_STATE: there is no state at"),
        (["show", "x"], 8, "Nothing is recorded yet in"),
        (["show", "x", "--state", "{state}"], 8, "E_NO_ROLLOUT: no rollout 'x' is known"),
        (["show", "20261123-a", "--state", "{state}"], 8, "E_AMBIGUOUS: '20261123-a' begins more than one rollout"),
        (["status", "\x1b]0;x\x07", "--state", "{state}"], 8, r"\x1b]0;x\x07"),
    ],
)
def test_what_a_user_did_wrong_is_said_in_words(
    words: list[str], code: int, said: str, state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(state=state, tmp=tmp_path) for word in words]) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert "hunter2" not in shown


def test_a_changed_journal_is_not_believed(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(state)
    with store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE records SET body = replace(body, 'web2', 'web3') WHERE seq = 31")
    store.close()
    for command in ("show", "events", "status"):
        assert main([command, "20261123-ab", "--state", state]) == 8
        assert "E_CHAIN: record 31 of rollout 20261123-ab" in capsys.readouterr().err


def test_nothing_recorded_yet_is_no_failure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["status"]) == main(["history"]) == 0
    assert main(["status", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    assert not (tmp_path / "home").exists()


def test_history_is_a_table_with_the_newest_first(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--state", state]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["STARTED", "WHAT", "APP", "RELEASE", "ENVIRONMENT", "END", "EXIT", "TOOK", "BY", "ROLLOUT"]
    assert first.split()[2:] == [
        "apply",
        "shop",
        "2.0.0",
        "default",
        "reverted",
        "4",
        "0.0s",
        "alice@bastion",
        "20261123-ab",
    ]
    assert second.endswith("20261123-aa")
    assert main(["history", "--state", state, "--app", "other"]) == 0
    assert capsys.readouterr().out == "No rollout matches.\n"
    assert main(["history", "--state", state, "--json", "-n", "1"]) == 0
    assert [r["id"] for r in json.loads(capsys.readouterr().out)] == ["20261123-ab"]


def test_status_of_one_is_its_recap_and_its_hosts(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "20261123-ab", "--state", state]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("REVERTED: shop 2.0.0 to default")
    assert "web2  2      reverted  1.0.0    as found" in shown
    assert main(["status", "20261123-ab", "--state", state, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["end"], said["hosts"]["web2"]["state"], said["holder"]) == ("reverted", "reverted", None)
    assert said["hosts"]["web2"]["failure"].startswith("http :8080/healthz answered 500")


def test_status_names_a_rollout_whose_process_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "state.db")
    store = open_store(path)
    write(store, journals.orphaned(), "r1")
    assert main(["status", "--state", path]) == 0
    assert f"Rollout r1 is at work: pid {os.getpid()} on" in capsys.readouterr().out
    with store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE leases SET started = '1'")
    store.close()
    assert main(["status", "--state", path]) == 0
    assert "its process is gone. Type: rollout resume, heal or revert r1" in capsys.readouterr().out
    assert main(["status", "r1", "--state", path, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["end"], said["holder"]["alive"], said["hosts"]["web1"]["out"]) == ("", False, True)


def test_show_tells_the_story_and_events_the_journal(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "20261123-ab", "--state", state]) == 0
    assert "Evidence of web2" in capsys.readouterr().out
    assert main(["events", "20261123-ab", "--state", state]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(journals.reverted())
    assert main(["events", "20261123-ab", "--state", state, "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["previous_hash"] for one in said[1:]] == [one["hash"] for one in said[:-1]]
    assert main(["show", "20261123-ab", "--state", state, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["records"]) == len(said)


def test_a_reader_that_left_gets_no_traceback(state: str) -> None:
    code = "from rollout.cli import main; raise SystemExit(main())"
    script = f"set -o pipefail; {sys.executable} -c '{code}' events 20261123-ab --state {state} | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_every_problem_is_said_with_its_caret() -> None:
    source = "  serail: [1]\x1b[31m"
    problems = [
        Problem(file="p.yml", line=7, column=3, code="E_UNKNOWN_KEY", what="no key `serail`.", source=source),
        Problem(file="p.yml", line=2, column=1, code="E_DUPLICATE", what="`hosts` twice."),
    ]
    assert text_of(InputError(*problems)).splitlines() == [
        "p.yml:2:1: E_DUPLICATE: `hosts` twice.",
        "p.yml:7:3: E_UNKNOWN_KEY: no key `serail`.",
        r"    7 |   serail: [1]\x1b[31m",
        "      |   ^",
        "2 problems. Nothing was contacted.",
    ]
    assert problem_text(problems[1]).count("\n") == 0


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError(Problem(file="f", code="E_X", what="x")), 2, "f: E_X: x"),
        (Refused(Reason(code="E_FLOOR", what="6 - 1 < 6"), Reason(code="E_DISK", what="full")), 6, "E_DISK: full"),
        (Held("E_HELD: r1"), 7, "E_HELD: r1"),
        (StoreError("E_JOURNAL_FULL: no room"), 8, "no room"),
        (Unreachable("web1: no route"), 6, "no route"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (EOFError(), 1, "E_BUG: EOFError"),
        (BrokenPipeError("a socket's"), 1, "E_BUG: BrokenPipeError"),
        (InvalidTransition("the story so far"), 1, "E_BUG: InvalidTransition"),
    ],
)
def test_errors_end_with_their_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ending(["status"]) as end:
        raise error
    assert end.code == code  # type: ignore[unreachable]
    assert said in capsys.readouterr().err


def test_a_bug_of_ours_leaves_a_report_without_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ending(["apply", "-e", "password=hunter2"]) as end:
        secret = "hunter2"
        try:
            {}[secret]
        except KeyError as cause:
            raise RuntimeError(f"no {secret}") from cause
    assert end.code == 1  # type: ignore[unreachable]
    said = capsys.readouterr().err
    (report,) = (tmp_path / "home" / "rollout" / "crashes").iterdir()
    text = report.read_text()
    assert str(report) in said
    assert "Traceback" not in said
    for part in (
        "builtins.RuntimeError",
        "builtins.KeyError",
        "test_cli.py:",
        "rollout 0.",
        "sqlalchemy 2",
        "command apply",
    ):
        assert part in text
    assert "hunter2" not in text + said
    for private in (report, report.parent, report.parent.parent):
        assert private.stat().st_mode & 0o077 == 0
