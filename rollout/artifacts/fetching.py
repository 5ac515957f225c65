"""From a URL to a file in the cache that has the digest of the play: bounded, resumed, tried again, then believed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from rollout.artifacts.cache import Part, folder_of, part_of, tidy
from rollout.artifacts.limits import ArtifactFault, Limits
from rollout.artifacts.remote import PATIENCE, Answer, Interrupted, NotFetched, Patience, Source
from rollout.errors import Reason, Refused
from rollout.model.play import ArtifactAsk
from rollout.secrets.keyring import SecretFault, keyring
from rollout.transports.deadline import Deadline, bounded

Say = Callable[[str], None]


def fetched(ask: ArtifactAsk, cache_dir: Path, limits: Limits, say: Say, patience: Patience = PATIENCE) -> Path:
    """Return where the file lies, in the cache folder; it is fetched where it is not there yet.

    Raises Refused when it cannot be had, and ArtifactFault when it is not what the play says.
    """
    place = folder_of(cache_dir) / ask.sha256
    deadline = Deadline.after(patience.total_s)
    try:
        with part_of(place, ask.url, deadline) as part:
            if part is not None:
                _Fetch(
                    source=_source(ask),
                    part=part,
                    ask=ask,
                    limits=limits,
                    patience=patience,
                    deadline=deadline,
                    say=say,
                ).all()
                part.keep()
        with suppress(OSError):  # a cache that is only read is one too
            os.utime(place)
    except NotFetched as problem:
        raise Refused(_reason(ask, problem, place)) from None
    except OSError as problem:
        what = f"it cannot be kept in {place.parent}: {problem.strerror}."
        raise ArtifactFault("E_CACHE_PLACE", what, "Name another place with XDG_CACHE_HOME.") from None
    tidy(place.parent)
    return place


def forget(path: Path) -> None:
    """Take a file out of the cache that is not what it was any more."""
    path.unlink(missing_ok=True)


def _source(ask: ArtifactAsk) -> Source:
    scheme = ask.url.partition("://")[0]
    for point in entry_points(group="rollout.artifacts", name=scheme):
        made: Source = point.load()(ask.url, _headers(ask))
        return made
    raise NotFetched(f"nothing here fetches from {scheme}://.", "Name a file, or an https:// URL.")


def _headers(ask: ArtifactAsk) -> Mapping[str, str]:
    """Return the headers of the play with the secrets in them: now they are sent."""
    try:
        return keyring().of_headers(ask.headers)
    except SecretFault as fault:
        raise NotFetched(str(fault)) from None


def _reason(ask: ArtifactAsk, problem: NotFetched, place: Path) -> Reason:
    """Return where it is named, why it is not here, and the way out that there always is."""
    file, line, column = ask.place
    at = f"{file}:{line}:{column}: " if file else ""
    instead = f"{problem.instead} Or put the file there yourself: {place}".lstrip()
    return Reason(code="E_FETCH", what=f"{at}{ask.name}: {problem.what}", instead=instead)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetch:
    """One file on its way."""

    source: Source
    part: Part
    ask: ArtifactAsk
    limits: Limits
    patience: Patience
    deadline: Deadline
    say: Say

    def all(self) -> None:
        """Fetch all of it; a part that was there and does not become the right file is fetched again, once."""
        was_begun = self.part.size > 0
        found = self._whole()
        if found != self.ask.sha256 and was_begun:
            self.say(f"what was fetched of {self.ask.name} before is of another file: from the beginning")
            self.part.begin("")
            found = self._whole()
        if found != self.ask.sha256:
            self.part.begin("")
            what = f"what is there has the SHA-256 {found}, and the play says {self.ask.sha256}."
            raise ArtifactFault("E_DIGEST", what, "Correct the play, or have the right file put there.")

    def _whole(self) -> str:
        """Ask until all of it is here, from where it broke off; raise NotFetched when nothing more comes."""
        furthest, failures = -1, 0
        while True:
            try:
                self._some()
                return self.part.digest()
            except Interrupted as problem:
                failures = 0 if self.part.size > furthest else failures + 1
                furthest = max(furthest, self.part.size)
                self._again(problem, failures)

    def _again(self, problem: Interrupted, failures: int) -> None:
        """Wait before it is tried again; raise NotFetched when that is enough."""
        if failures >= self.patience.attempts or self.deadline.over:
            hint = "Try again: it goes on from there." if self.part.size and self.part.tag else "Try again later."
            raise NotFetched(f"{problem.what} {self.part.size} bytes of it came.", hint)
        if problem.again:
            self.part.begin("")
        self.say(f"{self.ask.name}: {problem.what} Trying again")
        time.sleep(min(self.patience.pause_s * 2**failures, self.deadline.left()))

    def _some(self) -> None:
        """Take one answer, as far as it goes; raise Interrupted where that is not to the end."""
        answer = self._opened()
        try:
            self._begin(answer)
            while data := answer.read():
                if self.part.size + len(data) > self.limits.size:
                    raise ArtifactFault("E_ARCHIVE_LIMIT", f"it grows beyond {self.limits.size} bytes.")
                self.part.write(data)
                if self.deadline.over:
                    raise Interrupted(f"it takes more than {self.patience.total_s:g} s.")
        finally:
            with suppress(OSError):
                answer.close()
        if answer.size >= 0 and self.part.size != answer.size:
            raise Interrupted(f"it ended at byte {self.part.size} of {answer.size}.")

    def _begin(self, answer: Answer) -> None:
        if answer.size > self.limits.size:
            raise ArtifactFault("E_ARCHIVE_LIMIT", f"it has {answer.size} bytes and the limit is {self.limits.size}.")
        if answer.start:
            return
        self.part.begin(answer.tag)
        self.say(f"fetching {self.ask.name}" + (f", {answer.size} bytes" if answer.size >= 0 else ""))

    def _opened(self) -> Answer:
        """Ask, within the time: names, handshakes and heads of answers have waits that nothing else bounds."""
        if not self.part.tag:
            self.part.begin("")
        at_most = 2 * (self.patience.connect_s + self.patience.read_s)
        try:
            return bounded(
                lambda: self.source.open(self.part.size, self.part.tag, self.patience),
                Deadline.after(min(self.deadline.left(), at_most)),
                abandon=lambda: None,
                late=lambda answer: answer.close(),
            )
        except TimeoutError:
            raise Interrupted("no whole answer in time.") from None
