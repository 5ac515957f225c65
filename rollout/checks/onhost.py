"""Checks by ``curl`` on the host: for hosts whose sshd refuses to forward a stream."""

from __future__ import annotations

import http.client
import io
from dataclasses import dataclass

from rollout.checks.http import asked_name, read
from rollout.checks.wire import Lines
from rollout.errors import OutcomeUnknown, Unreachable
from rollout.model.check import HttpCheck, Probed, TcpCheck
from rollout.ports import Raw, Session
from rollout.posix.quote import assign
from rollout.posix.sanitise import line as one_line

CAP = 196_608
SHELL_S = 10.0  # what a slow shell may take besides: a command that is cut off would take the connection with it
# All that curl is told goes by its standard input: arguments can be read by everybody on the host (S24).
_SCRIPT = """
if ! command -v curl >/dev/null 2>&1; then echo E_NO_CURL >&2; exit 127; fi
if [ -z "$to" ]; then
    to=${SSH_CONNECTION-}; to=${to#* }; to=${to#* }; to=${to%% *}
    case $to in '') to=127.0.0.1;; *:*) to=[$to];; esac
fi
{ printf 'connect-to = "::%s:%s"\\n' "$to" "$port"; printf '%s\\n' "$options"; } |
    curl -q -K - 2>&3 3>&- | head -c "$cap"
"""


class _Came:
    """An answer that came already, in the shape of a socket."""

    def __init__(self, said: bytes) -> None:
        self.said = said

    def makefile(self, mode: str) -> Lines:
        """Return it as a file."""
        del mode
        return Lines(io.BytesIO(self.said))  # bytes in memory are read like a raw stream


@dataclass(frozen=True, slots=True)
class CurlProbe:
    """Asks from the host by ``curl``; the answer is parsed and judged here, as any other."""

    spec: HttpCheck | TcpCheck
    session: Session
    name: str

    def probe(self, timeout_s: float) -> Probed:
        """Ask once; curl keeps the time. Never raises for what the host does."""
        limit = min(timeout_s, self.spec.timeout_s)
        try:
            script = self._script(limit).encode()
            raw = self.session.run(b"%d\n" % len(script) + script, None, deadline_s=limit + SHELL_S)
        except (Unreachable, OutcomeUnknown) as e:
            return Probed(ok=False, reachable=False, summary=one_line(str(e)))
        except ValueError as e:  # a NUL in what the play says
            return Probed(ok=False, summary=f"port {self.spec.port}: {one_line(str(e))}")
        return self._judged(raw)

    def _judged(self, raw: Raw) -> Probed:
        at = f"port {self.spec.port}, by curl on the host"
        said = one_line(raw.stderr, 120)
        if b"E_NO_CURL" in raw.stderr and raw.exit_status == 127:
            why = "its sshd refuses forwarding and it has no curl: write `from: controller` in the check"
            return Probed(ok=False, reachable=False, summary=f"{at}: {why}")
        if isinstance(self.spec, TcpCheck):
            accepted = raw.stdout.strip(b"0.\r\n") != b""  # the time to connect: 0.000000 when nobody accepted
            return Probed(ok=accepted, summary=f"{at}: {'accepted' if accepted else said}")
        answer = http.client.HTTPResponse(_Came(raw.stdout), method=self.spec.method)  # type: ignore[arg-type]
        try:
            answer.begin()
            return read(self.spec, answer)
        except (http.client.HTTPException, OSError, ValueError):
            return Probed(ok=False, summary=f"{at}: {said or 'no HTTP answer'}")

    def _script(self, limit_s: float) -> str:
        spec = self.spec
        scheme, path = ("telnet", "") if isinstance(spec, TcpCheck) else (spec.scheme, spec.path)
        name = self.name if isinstance(spec, TcpCheck) else asked_name(spec, self.name)
        url = f"{scheme}://{_bracketed(name)}:{spec.port}{path}"
        said = assign("to", _bracketed(spec.host)) + assign("port", spec.port) + assign("cap", CAP)
        options = [("url", url), ("max-time", f"{limit_s:.2f}"), *_COMMON, *self._options()]
        said += assign("options", "\n".join(f'{name} = "{_escaped(value)}"' for name, value in options))
        return str(said) + "exec 3>&2\n" + _SCRIPT

    def _options(self) -> list[tuple[str, str]]:
        spec = self.spec
        if isinstance(spec, TcpCheck):
            return [("write-out", "%{time_connect}\\n"), ("output", "/dev/null")]
        headers = {"User-Agent": "rollout", **spec.headers}
        said = [("header", f"{name}: {value}") for name, value in headers.items()]
        said += [("request", spec.method)]
        said += [("data-binary", spec.body)] if spec.body else []
        # Byte for byte what the server sent, for the one parser that judges all answers.
        flags = ["include", "raw", "http1.1", *(["head"] if spec.method == "HEAD" else [])]
        return [*said, *((flag, "") for flag in flags), *([] if spec.verify_tls else [("insecure", "")])]


_COMMON = (("silent", ""), ("show-error", ""), ("globoff", ""), ("noproxy", "*"))


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _escaped(value: str) -> str:
    """Return a value between double quotes of curl's configuration."""
    for plain, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        value = value.replace(plain, written)
    return value
