"""What the command line asked for, and the plays that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.errors import NothingToDo, Reason, Refused

if TYPE_CHECKING:
    from rollout.artifacts.package import Package
    from rollout.model.play import ArtifactAsk, Play
    from rollout.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One command's words. ``state``: a path or URL, "" for the default."""

    playbook: Path
    inventory: Sequence[str] = ()
    limit: str = ""
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    granted: Sequence[str] | None = None  # paths outside of the project that were typed; None: those in extra_vars
    environment: str = "default"
    forks: int | None = None
    user: str | None = None
    private_key: str | None = None
    become: bool | None = None
    become_password: str = ""  # a reference
    state: str = ""
    message: str = ""
    yes: bool = False
    allow_bad: bool = False
    allow_unsigned: str = ""  # why
    allow_downgrade: str = ""  # why
    policy: str = ""  # a file or git:REF:PATH; "": the controller's own
    override_policy: str = ""  # why
    lock_wait_s: float = 0.0
    output: str = "auto"
    argv: Sequence[str] = ()
    confirm: Callable[[str], bool] | None = None
    plan_file: Path | None = None  # the file that `plan --out` wrote


def plays_of(request: Request, *, released: bool = True) -> tuple[Play, ...]:
    """Load the playbook and its inventory: one play at least; raise InputError with everything that is wrong."""
    from rollout.inventory import load_inventory
    from rollout.inventory.project import folder_of
    from rollout.playbook.load import load

    inventory = load_inventory([Path(i) for i in request.inventory], folder_of(request.playbook))
    plays = load(
        request.playbook,
        inventory,
        limit=request.limit,
        extra_vars=dict(request.extra_vars),
        granted=request.granted,
        environment=request.environment,
        forks=request.forks,
        user=request.user,
        private_key=request.private_key,
        become=request.become,
        become_password=request.become_password,
        released=released,
    )
    if not plays:
        raise NothingToDo(f"nothing to do: `when` leaves every play of {request.playbook} out")
    return plays


def warned(plays: Sequence[Play], say: Callable[[str], None]) -> None:
    """Say what the plays are warned of, each thing once."""
    for warning in dict.fromkeys(w for play in plays for w in play.warnings):
        say(f"warning: {warning}")


def store_of(request: Request, *, writing: bool) -> Store:
    """Open the state. In CI the default one is refused for writing: it dies with the runner and protects nobody."""
    import os

    from rollout.app.states import open_state
    from rollout.store.place import state_url

    place, is_default = state_url(request.state or None)
    if writing and is_default and os.environ.get("CI"):
        what = "CI is set and the state would lie in the default place, which dies with the runner."
        raise Refused(
            Reason(code="E_STATE_CI", what=what, instead="Name one that lasts: --state PATH or ROLLOUT_STATE.")
        )
    return open_state(place)


def package_of(artifact: ArtifactAsk, say: Callable[[str], None] = lambda _: None) -> Package:
    """Read, hash and check an artifact; one that is named by a URL is fetched, where it is not there yet."""
    from rollout.artifacts.package import prepare

    return prepare(artifact, cache_dir(), say=say)


def fetch(artifacts: Iterable[ArtifactAsk], say: Callable[[str], None]) -> None:
    """Fetch what is named by a URL, so that nobody waits for it later; raise Refused or InputError."""
    for artifact in artifacts:
        if artifact.url:
            from rollout.artifacts.package import fetch as fetched

            fetched(artifact, cache_dir(), say=say)


def fetched(artifact: ArtifactAsk) -> Path:
    """Return where the file that a URL names lies by now."""
    from rollout.artifacts.package import fetch as fetch_one

    return fetch_one(artifact, cache_dir())


def cache_dir() -> Path:
    """Return the folder of what may be made again at any time."""
    from platformdirs import user_cache_path

    return user_cache_path("rollout", appauthor=False)
