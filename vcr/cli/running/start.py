"""The options of a start, which `vcr up` and `vcr run` share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import Seconds, arch_option, engine_option, profile_option, variant_of

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.app import UpOptions, Variant

_OPTIONS = (
    profile_option,
    arch_option,
    engine_option,
    click.option(
        "--enclave", is_flag=True, help="Continue in an emulated enclave (--profile prod)."
    ),
    click.option(
        "-p",
        "--publish",
        multiple=True,
        metavar="[[ADDR:]HOST:]GUEST[/udp]",
        help="Forward a port of this host, or a range FIRST-LAST (default: a free one for every"
        " port of the app).",
    ),
    click.option(
        "-e",
        "--env",
        multiple=True,
        metavar="NAME[=VALUE]",
        help="Set a variable of the app, or give it this host's (dev only).",
    ),
    click.option(
        "--env-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help="Set variables from lines NAME[=VALUE] (dev only).",
    ),
    click.option(
        "-v",
        "--volume",
        multiple=True,
        metavar="HOST|NAME:GUEST[:ro]",
        help="Show the app a file or directory of this host, or a volume that is kept (dev only).",
    ),
    click.option(
        "--runtime",
        type=click.Choice(("vm", "docker", "podman")),
        help="Run it in a VM or by a program of this host, not in vcr's container (dev only).",
    ),
    click.option("--turbo", is_flag=True, help="Give the machine all CPUs of this host (vm only)."),
    click.option(
        "--timeout",
        type=Seconds(1),
        metavar="SECONDS",
        help="Give up if the app is not healthy after so many seconds.",
    ),
)


def start_options[F: Callable[..., object]](function: F) -> F:
    """Add what decides which machine is started, and how."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def start_of(  # noqa: PLR0913 -- one for each option
    *,
    profile: str,
    arch: str | None,
    engine: str | None,
    enclave: bool,
    publish: tuple[str, ...],
    env: tuple[str, ...],
    env_file: Path | None,
    volume: tuple[str, ...],
    runtime: str | None,
    turbo: bool,
    timeout: float | None,
) -> "tuple[Variant, UpOptions]":
    """Return what the options of a start ask for; raises UsageError."""
    from vcr.app.running.start import UpOptions, parse_variables, parse_volume, read_env_file
    from vcr.model.volume import VolumeMount
    from vcr.runtime.ports import parse_forwards
    from vcr.settings import ambient

    shown = [parse_volume(text) for text in volume]
    lines = read_env_file(env_file) if env_file else []
    options = UpOptions(
        enclave=enclave,
        forwards=parse_forwards(publish),
        env=parse_variables((*lines, *env), ambient),
        binds=tuple(each for each in shown if not isinstance(each, VolumeMount)),
        volumes=tuple(each for each in shown if isinstance(each, VolumeMount)),
        runtime=runtime,
        turbo=turbo,
        timeout=timeout,
    )
    return variant_of(profile, arch, engine), options
