"""When an app is asked for its health before it is healthy, and for how long.

Docker's start period, interval and retries say for how long: failures within the start period
do not count. To see health soon an app is asked more often than `interval` until the first
success. Only a start interval that the project gives sets the pace, in the start period:
https://docs.docker.com/reference/dockerfile/#healthcheck. guest/agent/health.go has the same
rule for machines that become a snapshot; tests/vectors/health.json tries both.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from vcr.model.health import HealthCheck

FIRST_PAUSES = (0.02, 1.0)  # seconds between probes: at first, at most
NO_CHECK_SECONDS = 60.0  # for an app without a health check to open its port
NO_CHECK_ROUNDS = 5  # of them, as long as it works
WORKS = 0.1  # what makes it that: the part of a round in which its processes use a CPU


@dataclass(frozen=True)
class Outcome:
    """The result of one probe."""

    healthy: bool
    detail: str
    seconds: float = 0.0  # that the app had until then


@dataclass(frozen=True)
class Clock:
    """What gives the time, in seconds from any moment, and waits for so many of them."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Patience:
    """What a health check says about time. All is in seconds since the app's start."""

    check: HealthCheck | None
    limit: float | None = None  # takes the place of what the check says

    @property
    def seconds(self) -> float:
        """Return for how long the app may be unhealthy."""
        if self.limit is not None:
            return self.limit
        if self.check is None:
            return NO_CHECK_SECONDS
        return self.check.start_period + self.check.retries * self.check.interval

    def is_over(self, begun: float, now: float) -> bool:
        """Return whether a failure of a probe that was BEGUN, and that ends NOW, is the last."""
        counts = self.limit is not None or self.check is None or begun >= self.check.start_period
        return counts and now >= self.seconds

    def pause(self, now: float) -> float | None:
        """Return how long the start interval puts off the next probe; None if it says nothing."""
        check = self.check
        if check is None or not check.start_interval or now >= check.start_period:
            return None
        return min(check.start_interval, check.start_period - now)


def probe_until_healthy(
    probe: Callable[[], Outcome],
    patience: Patience,
    check_alive: Callable[[], None],
    clock: Clock,
) -> Outcome:
    """Call PROBE until the app is healthy or PATIENCE is over; return the last outcome.

    The app starts now. CHECK_ALIVE is called between probes, at least every second, and raises
    to give up at once.
    """
    start = clock.now()
    quick, longest = FIRST_PAUSES
    _wait(patience.pause(0.0) or 0.0, patience, start, check_alive, clock)
    while True:
        begun = clock.now() - start
        outcome = probe()
        if outcome.healthy:
            return outcome
        check_alive()
        now = clock.now() - start
        if patience.is_over(begun, now):
            return outcome
        pause = patience.pause(now)
        if pause is None:
            pause, quick = quick, min(quick * 1.5, longest)
        _wait(pause, patience, start, check_alive, clock)


def _wait(
    seconds: float, patience: Patience, start: float, check_alive: Callable[[], None], clock: Clock
) -> None:
    """Let SECONDS pass, or what a limit leaves of them."""
    if patience.limit is not None:
        seconds = min(seconds, patience.limit - (clock.now() - start))
    while seconds > 0:
        piece = min(seconds, FIRST_PAUSES[1])
        clock.sleep(piece)
        seconds -= piece
        if seconds > 0:
            check_alive()
