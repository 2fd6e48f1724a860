"""When is the app healthy: the Dockerfile's HEALTHCHECK or vcr.toml's [health].

Semantics and defaults are those of the Dockerfile reference,
https://docs.docker.com/reference/dockerfile/#healthcheck. All times are seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpProbe:
    """Ask over HTTP from outside; any 2xx or 3xx answer is healthy."""

    port: int  # in the guest
    path: str = "/"


@dataclass(frozen=True)
class CommandProbe:
    """Run a command inside the app's container; exit code 0 is healthy."""

    argv: tuple[str, ...]  # the shell form is already wrapped in the image's SHELL


@dataclass(frozen=True)
class HealthCheck:
    """A probe and its timing."""

    probe: HttpProbe | CommandProbe
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float | None = None  # not given: as often as vcr/runtime/patience.py has it
    retries: int = 3
