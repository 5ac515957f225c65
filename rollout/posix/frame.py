"""The frame: one Op as the bytes of one script, and the bytes that come back as one Reply.

The remote command is one constant; standard input carries the script's length and a newline, the script,
then the payload. The reply's lines are marked by a nonce that only this step knows, so that rc files,
messages of the day and whatever a release prints are noise, and nothing on the host can forge a trailer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from rollout.posix import (
    activate,
    adopt,
    check,
    converse,
    delta,
    drift,
    epoch,
    evidence,
    identity,
    install,
    keeping,
    layout,
    ledger,
    lock,
    observe,
    owner,
    prune,
    reply,
    settle,
    task,
)
from rollout.posix.op import (
    READ_ONLY,
    Activate,
    Adopt,
    AskBalancer,
    Close,
    Collect,
    Deed,
    Identify,
    Inspect,
    Install,
    Mark,
    Observe,
    Op,
    Prune,
    ReadManifest,
    Reply,
    RunCheck,
    RunTask,
    Settle,
    Survey,
    TellBalancer,
    Withdraw,
)
from rollout.posix.quote import Script, assign, lean
from rollout.posix.stateop import ReadState, WriteState

CONSTANT = f"exec /bin/sh -c '{owner.READER}'"

MAX_FIELDS = 4096
MAX_VALUE = 262_144  # characters of one field
MAX_TAIL = 16_384  # lines
MAX_LINE = 4096  # characters of one line of the tail
_NONCE = re.compile(r"[A-Za-z0-9]{16,64}")
_STATUS: dict[str, Literal["done", "refused", "failed"]] = {"done": "done", "refused": "refused", "failed": "failed"}

# A start-up file that runs another shell (`exec bash`) would have that one read standard input as its own script:
# this one, and then the payload. Only what CONSTANT has read goes on.
ONLY_IF_TOLD = '[ "${s+told}" ] || exit 97\n'

# What stands before this line are assignments of quoted values, and what follows is the same whatever they are.
TEXT = ": text\n"

# The last line calls, and is no command before its last character: a script that was cut off does nothing.
# The subshell lets go of the lock before the trailer is out, so that the next step finds it free.
_RUN = '{ O=$(main </dev/null); printf "\\n%s\\n" "$O"; }\n'
_RUN_FED = '{ O=$(main 8<&0 </dev/null); printf "\\n%s\\n" "$O"; }\n'  # 8: the payload
_CHANGE = lean("""
    main() { found; own; lock; guarded 9>&-; }
    guarded() { belongs; epoch; replay; work; }
""")
_UNRECORDED = lean("""
    main() { found; own; lock; guarded 9>&-; }
    guarded() { belongs; epoch; work; }
""")
_NOTHING_MORE = lean("work() { finish done; }")
_KEEP = lean("""
    main() { made; found; own; lock; guarded 9>&-; }
    guarded() { belongs; work; }
""")  # the leases that it carries are its fence
_READ = lean("main() { enter; work; }")
_LOOK_IN = lean("main() { work; }")  # Observe says itself when there is nothing to enter
_LOOK_IN_AT_HOME = lean("main() { at_home; work; }")


def render(op: Op, nonce: str, payload_size: int = 0) -> bytes:
    """Return what is sent for ``op``: the length line and the script; the payload follows it.

    ``payload_size``: the bytes that will follow, checked against what an Install announces (0: not checked).
    Raises ValueError for values that no script can carry.
    """
    if payload_size and payload_size != _announced(op.do):
        raise ValueError(f"a payload of {payload_size} bytes was announced as {_announced(op.do)}")
    step = _sent(said(op, nonce))
    return _sent(said_first(op, nonce)) + step if op.site.owner else step


def _sent(made: Script) -> bytes:
    script = (ONLY_IF_TOLD + made.values + made.text).encode()
    return b"%d\n" % len(script) + script


def said(op: Op, nonce: str) -> Script:
    """Return the script of an Op in its two parts, without the line that stands before both."""
    if not _NONCE.fullmatch(nonce):
        raise ValueError("a nonce is 16 to 64 letters and digits")
    run = _RUN_FED if isinstance(op.do, Install | WriteState) else _RUN
    found = "found() { home; enter; }\n" if layout.at_home(op.site) else "found() { enter; }\n"
    body = _head(op, nonce) + found + _main(op) + run
    return Script(values=body.values, text=TEXT + body.text)


def said_first(op: Op, nonce: str) -> Script:
    """Return what stands before the step of an app whose files are another user's: it goes on as that user."""
    become = owner.script(op, nonce)
    return Script(values=become.values, text=TEXT + become.text)


def _announced(deed: Deed) -> int:
    if isinstance(deed, WriteState):
        return deed.more + deed.lease
    if isinstance(deed, Install) and not deed.present:
        return install.sent(deed) + deed.release.manifest_size
    return 0


def _head(op: Op, nonce: str) -> Script:
    said = assign("N", nonce) + assign("wait", max(1, int(op.timeout_s)))
    said += assign("become", "" if op.become == op.site.owner else op.become)
    said += assign("secret", "" if op.site.owner else op.password)  # it is the SSH user's: for the way to the owner
    said += layout.arguments(op.site) + reply.TEXT + layout.LOOK + layout.ENTER
    if isinstance(op.do, READ_ONLY):
        return said + _body(op)
    said += assign("record", epoch.record_name(op.id)) + epoch.arguments(op.epoch)
    return said + reply.DURABLE + lock.TEXT + epoch.TEXT + _body(op)


def _main(op: Op) -> str:
    deed = op.do
    if isinstance(deed, WriteState):
        return _KEEP
    if isinstance(deed, Observe) and layout.at_home(op.site):
        return _LOOK_IN_AT_HOME
    if isinstance(deed, Observe | AskBalancer | ReadState):
        return _LOOK_IN
    if isinstance(deed, READ_ONLY):
        return _READ
    return _UNRECORDED if isinstance(deed, Settle | Close | TellBalancer) else _CHANGE


def _body(op: Op) -> Script:
    match op.do:
        case Observe():
            return observe.script(op.do)
        case Install():
            return install.script(op.do)
        case Activate():
            return activate.script(op.do)
        case Withdraw():
            return activate.withdraw(op.do)
        case Mark():
            return ledger.script(op.do)
        case Prune():
            return prune.script(op.do)
        case Survey():
            return adopt.survey(op.do)
        case Adopt():
            return adopt.script(op.do)
        case Inspect():
            return drift.script(op.do)
        case ReadManifest():
            return delta.read(op.do)
        case Identify():
            return identity.script(op.do)
        case RunTask():
            return task.script(op.do)
        case RunCheck():
            return check.script(op.do)
        case Collect():
            return evidence.script(op.do)
        case Settle():
            return settle.script(op.do)
        case Close():
            return Script(text=_NOTHING_MORE)
        case ReadState():
            return keeping.read(op.do)
        case WriteState():
            return keeping.write(op.do)
        case AskBalancer() | TellBalancer():
            return converse.script(op.do)


def parse(nonce: str, stdout: bytes) -> Reply | None:
    """Return the reply between the two marks of ``nonce``, or None: no trailer, the outcome is unknown."""
    mark = f"{nonce} ".encode()
    said = [line[line.index(mark) + len(mark) :] for line in stdout.split(b"\n") if mark in line]
    lines = [line.decode("utf-8", "replace") for line in said]
    if "begin" not in lines:
        return None
    return _between(lines[lines.index("begin") + 1 :])


def _between(lines: Iterable[str]) -> Reply | None:
    fields: dict[str, str] = {}
    tail: list[str] = []
    summary = ""
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "end":
            return _ended(rest, summary, fields, tail)
        if word == "f" and len(fields) < MAX_FIELDS:
            key, _, value = rest.partition(" ")
            fields[key] = value[:MAX_VALUE]
        elif word == "t" and len(tail) < MAX_TAIL:
            tail.append(rest[:MAX_LINE])
        elif word == "s":
            summary = rest[:MAX_LINE]
    return None


def _ended(rest: str, summary: str, fields: dict[str, str], tail: list[str]) -> Reply | None:
    status, _, code = rest.partition(" ")
    known = _STATUS.get(status)
    if known is None or not re.fullmatch(r"-|E_[A-Z_]{1,40}", code):
        return None
    return Reply(status=known, code="" if code == "-" else code, summary=summary, fields=fields, tail=tuple(tail))
