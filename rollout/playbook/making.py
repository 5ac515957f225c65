"""The last step of a load: a checked model, its hosts and its parts as the play that others work with."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rollout.model.check import Health
from rollout.model.host import HostName
from rollout.model.plan import OnFailure
from rollout.model.play import ArtifactAsk, Play, Resolve
from rollout.model.pool import Drain, PoolSpec
from rollout.model.trust import SignatureAsk
from rollout.playbook.models import HealthModel, PlayModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a play is made of, all of it checked."""

    model: PlayModel
    artifact: ArtifactAsk
    signature: SignatureAsk | None = None
    pools: tuple[PoolSpec, ...]
    resolve: Resolve
    matched: tuple[HostName, ...]
    hosts: tuple[HostName, ...]

    def play(
        self,
        *,
        environment: str,
        forks: int | None,
        seed: int | None,
        runs_nothing: bool,
        line: int,
        sources: Mapping[str, str],
        warnings: tuple[str, ...],
    ) -> Play:
        """Return the play; without a seed one is drawn, for ``order: shuffle``."""
        model = self.model
        drawn = random.SystemRandom().getrandbits(32) if seed is None else seed
        matched = ordered(self.matched, model.order, drawn)
        left = frozenset(self.hosts)
        return Play(
            name=model.name or model.app,
            app=model.app,
            environment=environment,
            hosts=tuple(h for h in matched if h in left),
            matched=matched,
            order=model.order,
            seed=drawn if model.order == "shuffle" else 0,
            serial=model.serial,
            min_in_service=model.min_in_service,
            max_failures=model.max_failures,
            max_fail_percentage_ppm=model.max_fail_percentage,
            allow_outage=model.allow_outage,
            unreachable=model.unreachable,
            forks=forks or model.forks,
            needs=tuple(replace(need, app=app) for app, need in model.needs.items()),
            release_id=model.release.id or "",
            artifact=self.artifact,
            signature=self.signature,
            transfer=model.release.transfer,
            keep=model.release.keep,
            keep_for_s=model.release.keep_for,
            pools=self.pools,
            drain=Drain(deadline_s=model.drain.deadline, on_deadline=model.drain.on_deadline),
            health=health_of(model.health, runs_nothing),
            on_failure=on_failure_of(model),
            step_timeout_s=model.limits.step_timeout,
            progress_deadline_s=model.limits.progress_deadline,
            upload_rate=model.limits.upload_rate,
            pause_timeout_s=model.gates.pause_timeout,
            collect=model.on_failure.collect == "default",
            resolve=self.resolve,
            line=line,
            sources=sources,
            warnings=warnings,
        )


def health_of(model: HealthModel, runs_nothing: bool) -> Health:
    """Return when answers count; where nothing runs, no process can be proven to be the release's."""
    unproven = runs_nothing and "identity" not in model.model_fields_set
    return Health(
        interval_s=model.interval,
        start_period_s=model.start_period,
        healthy_for_s=model.healthy_for,
        deadline_s=model.deadline,
        fall=model.fall,
        watch_interval_s=model.watch_interval,
        identity="none" if unproven else model.identity,
    )


def on_failure_of(model: PlayModel) -> OnFailure:
    """Return what a failure starts; an app that is named twice is brought back once."""
    said = model.on_failure
    return OnFailure(revert=said.revert, before_switch=said.before_switch, also=tuple(dict.fromkeys(said.also)))


def ordered(hosts: Sequence[HostName], order: str, seed: int) -> tuple[HostName, ...]:
    """Return hosts in the play's order."""
    if order == "shuffle":
        shuffled = list(hosts)
        random.Random(seed).shuffle(shuffled)  # noqa: S311  an order, not a secret
        return tuple(shuffled)
    if order in ("sorted", "reverse_sorted"):
        return tuple(sorted(hosts, reverse=order.startswith("reverse")))
    return tuple(reversed(hosts)) if order == "reverse_inventory" else tuple(hosts)
