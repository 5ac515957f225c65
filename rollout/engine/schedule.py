"""What is due: the steps of a play that may begin now. Pure, and flat in the size of the fleet."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.engine.state import At, Phase, State
from rollout.model.event import HookStarted, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Keep

Begun = StepStarted | HookStarted


def due(state: State, *, after: int | None = None, elsewhere: int = 0, keep: bool = True) -> tuple[Begun, ...]:
    """Return the steps of a play to begin now, numbered on from the last one, in a fixed order.

    ``after``: the number of the rollout's last step, where other plays have some too; ``elsewhere``:
    how many of theirs are in flight; ``keep``: whether success may be written down.
    """
    if state.finished or state.fenced:
        return ()
    room = state.play.forks - state.in_flight - elsewhere
    found = _between_steps(state) if state.phase is Phase.CLOSING and not keep else _DUE[state.phase](state, room)
    first = state.ops if after is None else after
    steps = tuple(_numbered(state, found, first))
    return steps + _hook(state, first + len(steps) + 1)


def _hook(state: State, op: int) -> tuple[HookStarted, ...]:
    """Return the hook that stands before the next batch, or before the end; they run one after the other."""
    at = state.next_hook() if state.phase is Phase.ROLLING and not state.batch_open and not state.hook_op else None
    if at is None or state.blocked is not None or state.paused is not None:
        return ()
    hook = state.play.hooks[at]
    return (HookStarted(play=state.index, op=op, at=at, host=hook.host, action=hook.run),)


def _numbered(state: State, found: Iterator[tuple[HostName, bool]], op: int) -> Iterator[StepStarted]:
    for host, undo in found:
        op += 1
        now = state.hosts[host]
        at = now.way_at if undo else now.at
        action = now.way[at] if undo else state.program(host).steps[at].do
        yield StepStarted(play=state.index, host=host, op=op, at=at, undo=undo, action=action)


def _staging(state: State, room: int) -> Iterator[tuple[HostName, bool]]:
    """The whole fleet, ``forks`` at a time, before any host leaves rotation."""
    for host in sorted(state.preparing, key=state.place.__getitem__)[: max(0, room)]:
        room -= 1
        yield host, False
    for place in range(state.next_up, len(state.order)):
        if room <= 0:
            return
        host = state.order[place]
        if state.hosts[host].phase is At.WAITING:
            room -= 1
            yield host, False


def _rolling(state: State, _: int) -> Iterator[tuple[HostName, bool]]:
    yield from _between_steps(state)
    yield from _leaving(state)


def _leaving(state: State) -> Iterator[tuple[HostName, bool]]:
    """The next hosts of the batch: as many serving ones as the floor left room for at the start."""
    if not state.batch_open or state.paused is not None:
        return
    working, extra = state.working, 0
    for place in range(state.next_up, len(state.order)):
        host = state.order[place]
        now = state.hosts[host]
        if now.batch > state.batch or extra >= state.play.forks:
            return
        if now.phase is not At.READY or now.batch < state.batch:
            continue
        if state.program(host).serving:
            if working >= state.play.width:
                return
            working += 1
        extra += 1
        yield host, False


def _between_steps(state: State) -> Iterator[tuple[HostName, bool]]:
    """Hosts that are out of rotation come first: they restore capacity."""
    for host in sorted(state.active, key=lambda h: state.place[h]):
        now = state.hosts[host]
        if now.phase is At.REVERTING:
            yield host, True
        elif state.phase is Phase.ROLLING or (state.phase is Phase.HALTING and state.past_verify(host)):
            yield host, False


def _closing(state: State, room: int) -> Iterator[tuple[HostName, bool]]:
    """Write down on every host that its rollout went well."""
    yield from _between_steps(state)
    for place in range(state.next_up, len(state.order)):
        if room <= 0:
            return
        host = state.order[place]
        if state.hosts[host].phase is At.DONE and isinstance(state.next_step(host), Keep):
            room -= 1
            yield host, False


def _returning(state: State, _: int) -> Iterator[tuple[HostName, bool]]:
    return _between_steps(state)


def _nothing(_: State, __: int) -> Iterator[tuple[HostName, bool]]:
    return iter(())


_DUE = {
    Phase.PENDING: _nothing,
    Phase.STAGING: _staging,
    Phase.ROLLING: _rolling,
    Phase.CLOSING: _closing,
    Phase.HALTING: _returning,
    Phase.REVERTING: _returning,
    **dict.fromkeys((Phase.SUCCEEDED, Phase.HALTED, Phase.REVERTED, Phase.STRANDED), _nothing),
}
