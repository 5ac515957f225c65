"""What a play has to send: its artifact, and what differs from releases that its hosts have."""

from __future__ import annotations

import io
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from rollout.app.pacing import Pace
from rollout.app.sealing import Seals
from rollout.model.release import Delta, Pull
from rollout.posix.install import sent
from rollout.posix.manifest import digest
from rollout.posix.op import Install, Op, Reply

if TYPE_CHECKING:
    from rollout.artifacts.delta import Cut
    from rollout.artifacts.package import Package
    from rollout.model.play import ArtifactAsk


ROTATED = (
    "what its templates come to is not what was planned: a secret in them has another value by now; end this rollout "
    "and apply anew"
)


@dataclass(slots=True, kw_only=True)
class Sending:
    """The artifact of one play, where it is at hand, and the deltas that were made of it, by their digest."""

    package: Package | None = None
    ask: ArtifactAsk | None = None  # as the play says it, with what may be secret: for hosts that fetch it themselves
    cuts: dict[str, Cut] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)  # of all uploads of a rollout together
    key: bytes = field(default=b"", repr=False)  # the state's, for the seals of manifests

    def add(self, cut: Cut) -> None:
        """Have a delta at hand; one of the same bytes may be there."""
        if self.cuts.setdefault(cut.delta.artifact, cut) is not cut:
            cut.close()

    def keep(self, digests: Set[str]) -> None:
        """Close the deltas that no host is sent."""
        for unused in self.cuts.keys() - digests:
            self.cuts.pop(unused).close()

    def payload(self, op: Op) -> tuple[BinaryIO, int] | Reply | None:
        """Return the bytes that follow an Op: an Install is followed by them and by its manifest.

        A delta that is not at hand, as after a takeover, is answered as a host answers that cannot use it.
        """
        do = op.do
        if not isinstance(do, Install) or do.present or self.package is None:
            return None
        size = sent(do) + do.release.manifest_size
        manifest = self._manifest(op, do) if do.rendered else ""
        if do.rendered and digest(manifest) != do.release.manifest:
            return Reply(status="refused", code="E_CHANGED", summary=ROTATED)
        if isinstance(do.way, Pull):
            return self._request(manifest, size)
        if not isinstance(do.way, Delta):
            return self.pace.of(self.package.open(manifest)), size
        cut = self.cuts.get(do.way.artifact)
        if cut is None:
            return Reply(status="refused", code="E_BASE", summary="what differs is not at hand here any more")
        return self.pace.of(cut.open(manifest)), size

    def _manifest(self, op: Op, do: Install) -> str:
        """Return the host's own manifest; the Op has its secrets in it by now."""
        assert self.package is not None  # noqa: S101 - payload() has looked
        seals = Seals(key=self.key, environment=op.site.environment, app=op.site.app)
        return seals.manifest(do.release.id, self.package.manifest_text, do.rendered, sealed=do.sealed)

    def _request(self, manifest: str, size: int) -> tuple[BinaryIO, int] | Reply:
        """Return what a host fetches the artifact with, made anew each time: what is signed for an hour ends."""
        if self.ask is None or self.package is None:
            what = "where the artifact is fetched from is not at hand here any more"
            return Reply(status="refused", code="E_BASE", summary=what)
        from rollout.artifacts.pulled import request
        from rollout.artifacts.remote import NotFetched

        try:
            said = request(self.ask)
        except NotFetched as fault:
            return Reply(status="refused", code="E_FETCH", summary=f"{fault.what} {fault.instead}".rstrip())
        return io.BytesIO(said + (manifest or self.package.manifest_text).encode()), size

    def close(self) -> None:
        """Close the files of the deltas; the artifact is whoever's opened it."""
        for cut in self.cuts.values():
            cut.close()


def pace_of(rates: Iterable[int]) -> Pace:
    """Return the pace of a rollout: of several plays that say one the slowest counts, for all of them."""
    return Pace(rate=min((rate for rate in rates if rate), default=0))
