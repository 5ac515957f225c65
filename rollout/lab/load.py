"""An open-loop HTTP load: requests leave on a fixed schedule, whatever the answers do.

``Load.start`` runs it as a process of its own, since a rollout beside it must not slow it down;
``python -m rollout.lab.load URL --out FILE`` is that process. It ends when its time or its count is
over, or on SIGTERM; then it waits for what is in flight and writes its summary.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MOST_UNANSWERED = 2000
IDLE_S = 5.0  # a connection that was idle for longer is not used again


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request. ``at`` is its place in the schedule (epoch seconds), ``late_s`` how much later it left.

    ``latency_s`` counts from the schedule, so that a stall shows in every request that it held up.
    ``failure`` is "" or one of connect, reset, timeout, status, garbled, unsent. ``by`` is what the app says of
    itself: the host, the process, and when it was asked and answered, by its monotonic clock.
    """

    id: int
    at: float
    late_s: float
    latency_s: float
    status: int = 0
    version: str = ""
    by: str = ""
    failure: str = ""
    reused: bool = False
    retried: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What became of all requests. Latencies in milliseconds; ``late_ms`` is the generator's own lateness.

    ``retried``: requests on a kept connection that was closed before any answer, sent once more on
    a new one, as browsers do; they count as served only when that went well.
    """

    sent: int = 0
    served: dict[str, int] = field(default_factory=dict)  # version -> answers
    failed: int = 0
    failures: dict[str, int] = field(default_factory=dict)  # kind (and status) -> requests
    retried: int = 0
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    late_ms: float = 0.0


class Broken(Exception):
    """A request that got no good answer; ``kind`` says how."""

    def __init__(self, kind: str, begun: bool = True) -> None:
        """Keep the kind, and whether any byte of an answer came."""
        super().__init__(kind)
        self.kind = kind
        self.begun = begun


@dataclass(eq=False)
class Generator:
    """The load itself, in one event loop. Even requests share connections, odd ones open one each."""

    host: str
    port: int
    path: str = "/"
    rate: float = 100.0
    timeout_s: float = 10.0
    idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    records: list[Sent] = field(default_factory=list)
    unanswered: set[asyncio.Task[None]] = field(default_factory=set)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, seconds: float, count: int) -> None:
        """Send until the time or the count is over or somebody says stop; then wait for the answers."""
        clock = asyncio.get_running_loop().time
        began, epoch = clock(), time.time()
        for number in range(min(count, int(seconds * self.rate))):
            due = began + number / self.rate
            if await self._stopped_before(due):
                break
            if len(self.unanswered) >= MOST_UNANSWERED:
                self.records.append(Sent(id=number, at=epoch + due - began, late_s=0, latency_s=0, failure="unsent"))
                continue
            task = asyncio.create_task(self._one(number, due, epoch - began))
            self.unanswered.add(task)
            task.add_done_callback(self.unanswered.discard)
        await asyncio.gather(*self.unanswered)
        for _, _, writer in self.idle:
            writer.close()

    async def _stopped_before(self, due: float) -> bool:
        """Wait until a request is due; return whether the load was stopped instead."""
        wait_s = due - asyncio.get_running_loop().time()
        if wait_s <= 0:
            await asyncio.sleep(0)
            return self.stopped.is_set()
        try:
            await asyncio.wait_for(self.stopped.wait(), wait_s)
        except TimeoutError:
            return False
        return True

    async def _one(self, number: int, due: float, to_epoch: float) -> None:
        """Send one request and keep what became of it."""
        clock = asyncio.get_running_loop().time
        left = clock()
        said: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._asked(number, said)
        except TimeoutError:
            said["failure"] = "timeout"
        except Broken as broken:
            said["failure"] = broken.kind
        self.records.append(Sent(id=number, at=due + to_epoch, late_s=left - due, latency_s=clock() - due, **said))

    async def _asked(self, number: int, said: dict[str, Any]) -> None:
        """Ask on a kept connection when this request may and there is one, else on a new one."""
        keep = number % 2 == 0
        kept = self._kept() if keep else None
        if kept is not None:
            said["reused"] = True
            try:
                return await self._exchange(*kept, number, keep, said)
            except Broken as broken:
                if broken.begun:
                    raise
                said |= {"reused": False, "retried": True}
        try:
            fresh = await asyncio.open_connection(self.host, self.port)
        except OSError:
            raise Broken("connect") from None
        await self._exchange(*fresh, number, keep, said)

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        now = asyncio.get_running_loop().time()
        while self.idle:
            since, reader, writer = self.idle.pop()
            if now - since < IDLE_S and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, keep: bool, said: dict[str, Any]
    ) -> None:
        """Write one request and read its answer; the connection is kept or closed."""
        stays = False
        try:
            writer.write(
                f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\nX-Request-Id: {number}\r\n"
                f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode()
            )
            stays = await self._answer(reader, said) and keep
        except asyncio.IncompleteReadError as error:
            raise Broken("reset", begun=bool(error.partial)) from None
        except OSError:
            raise Broken("reset", begun=False) from None
        except (ValueError, IndexError, asyncio.LimitOverrunError):
            raise Broken("garbled") from None
        finally:
            if stays:
                self.idle.append((asyncio.get_running_loop().time(), reader, writer))
            else:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, said: dict[str, Any]) -> bool:
        """Read one answer; return whether the other side keeps the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        said["status"] = int(head[0].split(" ")[1])
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        said["by"] = headers.get("x-served-by", "")[:100]
        try:
            body = await (
                reader.readexactly(int(headers["content-length"])) if "content-length" in headers else reader.read()
            )
        except asyncio.IncompleteReadError:
            raise Broken("reset") from None  # the head had come: nothing is sent again
        if said["status"] != 200:
            said["failure"] = "status"
        else:
            said["version"] = body.decode("utf-8", "replace").strip()[:64]
        return "content-length" in headers and headers.get("connection", "keep-alive") != "close"


def summary_of(records: Sequence[Sent], seconds: float) -> Summary:
    """Return what became of all requests."""
    latencies = sorted(r.latency_s * 1000 for r in records) or [0.0]
    failed = [r for r in records if r.failure]
    return Summary(
        sent=len(records),
        served=dict(sorted(Counter(r.version for r in records if not r.failure).items())),
        failed=len(failed),
        failures=dict(Counter(f"{r.failure} {r.status}" if r.failure == "status" else r.failure for r in failed)),
        retried=sum(r.retried for r in records),
        seconds=round(seconds, 3),
        p50_ms=round(latencies[len(latencies) // 2], 1),
        p99_ms=round(latencies[len(latencies) * 99 // 100], 1),
        max_ms=round(latencies[-1], 1),
        late_ms=round(max((r.late_s for r in records), default=0.0) * 1000, 1),
    )


@dataclass(eq=False)
class Load:
    """A load that runs in a process of its own."""

    process: subprocess.Popen[bytes]
    out: Path

    @classmethod
    def start(
        cls, url: str, folder: Path, *, rate: float = 100.0, seconds: float = 600.0, count: int = 100_000
    ) -> Load:
        """Start it; return when its first request is about to leave. Its files go into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        out = folder / "load.json"
        argv = [sys.executable, "-m", "rollout.lab.load", url, "--out", str(out), "--rate", str(rate)]
        argv += ["--seconds", str(seconds), "--count", str(count)]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)  # noqa: S603 (our own argv)
        load = cls(process, out)
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            load.kill()
            raise OSError(f"the load generator did not start: {argv}")
        return load

    def __enter__(self) -> Load:
        """Let it run for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, with or without a summary."""
        self.kill()

    def stop(self, within_s: float = 30.0) -> Summary:
        """Stop sending, wait for what is in flight, return the summary."""
        self.process.terminate()
        self.process.wait(within_s)
        self.kill()
        return Summary(**json.loads(self.out.read_text(encoding="utf-8"))["summary"])

    def records(self) -> list[Sent]:
        """Return every request, after ``stop``, in the order in which they ended."""
        return [Sent(**record) for record in json.loads(self.out.read_text(encoding="utf-8"))["requests"]]

    def kill(self) -> None:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


async def _main(options: argparse.Namespace) -> None:
    url = urlsplit(options.url)
    generator = Generator(
        host=url.hostname or "127.0.0.1",
        port=url.port or 80,
        path=url.path or "/",
        rate=options.rate,
        timeout_s=options.timeout,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, generator.stopped.set)
    print("ready", flush=True)
    began = time.monotonic()
    await generator.run(options.seconds, options.count)
    summary = summary_of(generator.records, time.monotonic() - began)
    told = {"summary": asdict(summary), "requests": [asdict(r) for r in generator.records]}
    Path(options.out).write_text(json.dumps(told), encoding="utf-8")


def main() -> None:
    """Run a load from the command line."""
    parser = argparse.ArgumentParser(prog="python -m rollout.lab.load", description="An open-loop HTTP load.")
    parser.add_argument("url")
    parser.add_argument("--out", required=True, help="where the summary and every request go, as JSON")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=600.0, help="the longest time to send")
    parser.add_argument("--count", type=int, default=100_000, help="the most requests to send")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds until a request has failed")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
