"""What is due: the steps that may begin now. Pure, and flat in the size of the fleet."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.engine.state import At, Phase, State
from rollout.model.event import StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Keep


def due(state: State) -> tuple[StepStarted, ...]:
    """Return the steps to begin now, numbered on from the last one, in a fixed order."""
    if state.finished or state.fenced:
        return ()
    found = _DUE[state.phase](state)
    return tuple(_numbered(state, found))


def _numbered(state: State, found: Iterator[tuple[HostName, bool]]) -> Iterator[StepStarted]:
    op = state.ops
    for host, undo in found:
        op += 1
        now = state.hosts[host]
        at = now.way_at if undo else now.at
        action = now.way[at] if undo else state.program(host).steps[at].do
        yield StepStarted(host=host, op=op, at=at, undo=undo, action=action)


def _staging(state: State) -> Iterator[tuple[HostName, bool]]:
    """The whole fleet, ``forks`` at a time, before any host leaves rotation."""
    room = state.play.forks - state.in_flight
    for host in sorted(state.preparing, key=state.place.__getitem__)[: max(0, room)]:
        room -= 1
        yield host, False
    for place in range(state.next_up, min(state.next_up + room, len(state.order))):
        yield state.order[place], False


def _rolling(state: State) -> Iterator[tuple[HostName, bool]]:
    yield from _between_steps(state)
    yield from _leaving(state)


def _leaving(state: State) -> Iterator[tuple[HostName, bool]]:
    """The next hosts of the batch: as many serving ones as the floor left room for at the start."""
    if not state.batch_open:
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


def _closing(state: State) -> Iterator[tuple[HostName, bool]]:
    """Write down on every host that its rollout went well."""
    room = state.play.forks - state.in_flight
    for place in range(state.next_up, len(state.order)):
        if room <= 0:
            return
        host = state.order[place]
        if state.hosts[host].phase is At.DONE and isinstance(state.next_step(host), Keep):
            room -= 1
            yield host, False


def _nothing(_: State) -> Iterator[tuple[HostName, bool]]:
    return iter(())


_DUE = {
    Phase.PENDING: _nothing,
    Phase.STAGING: _staging,
    Phase.ROLLING: _rolling,
    Phase.CLOSING: lambda state: (pair for part in (_between_steps, _closing) for pair in part(state)),
    Phase.HALTING: _between_steps,
    Phase.REVERTING: _between_steps,
    **dict.fromkeys((Phase.SUCCEEDED, Phase.HALTED, Phase.REVERTED, Phase.STRANDED), _nothing),
}
