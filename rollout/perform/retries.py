"""The one place where things are tried again, and how: tenacity, on whatever clock drives the step."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from rollout.errors import BalancerError, Unreachable
from rollout.perform.effects import Sleep


async def _sleep(seconds: float) -> None:
    await Sleep(seconds=seconds)


def reconnecting(
    now: Callable[[], float], deadline: float, first_s: float, told: Callable[[str], None]
) -> AsyncRetrying:
    """Try again what was certainly not sent, with growing pauses, until the deadline; each new reason is told."""
    said = [""]

    def tell(tried: RetryCallState) -> None:
        why = str(tried.outcome.exception()) if tried.outcome else ""
        if why != said[0]:
            told(why)
        said[0] = why

    return _until(now, deadline, first_s, Unreachable).copy(before_sleep=tell)


def rereading(now: Callable[[], float], deadline: float, first_s: float) -> AsyncRetrying:
    """Ask a balancer again that could not be read, until the deadline."""
    return _until(now, deadline, first_s, BalancerError)


def _until(now: Callable[[], float], deadline: float, first_s: float, kind: type[Exception]) -> AsyncRetrying:
    def stop(tried: RetryCallState) -> bool:
        return now() + (tried.upcoming_sleep or 0.0) >= deadline

    return AsyncRetrying(
        sleep=_sleep,
        stop=stop,
        wait=wait_exponential(multiplier=first_s, max=8.0),
        retry=retry_if_exception_type(kind),
        reraise=True,
    )
