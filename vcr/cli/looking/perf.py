"""`vcr perf record|report|top`: what a machine's CPUs execute."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vcr.app
from vcr.cli.context import App, Group, Seconds, project_argument, variant_of
from vcr.errors import UsageError
from vcr.model.profile import SEALED_PROFILES

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.perf.profile import Profile

FILE = Path("profile.json")
FREQUENCY = 99  # a second; not a divisor of what programs do once a second
LINES = 20  # of a table

frequency_option = click.option(
    "--frequency", type=click.IntRange(1, 1000), default=FREQUENCY, metavar="HZ",
    help=f"Samples per second of the machine's time ({FREQUENCY}).",
)  # fmt: skip
scope_option = click.option(
    "--system/--app", "system", default=False,
    help="The whole machine, or only the app's container (--app).",
)  # fmt: skip


@click.group(cls=Group)
def perf() -> None:
    """Find out where a machine spends its time.

    The machine must be up with the profile vm or prod-debug.
    """


@perf.command(short_help="Sample a machine, and write a profile.")
@project_argument
@click.option(
    "--seconds",
    type=Seconds(0.1),
    metavar="N",
    help="How long (default: until Ctrl-C).",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default=FILE, metavar="FILE",
    help=f"Where to write the profile ({FILE}).",
)  # fmt: skip
@frequency_option
@scope_option
@click.option(
    "--boot", is_flag=True,
    help="Instead, the machine of a release from its first instruction until it is healthy, by"
    " counting instructions: the same each time.",
)  # fmt: skip
@click.option(
    "--profile", type=click.Choice(SEALED_PROFILES), default=SEALED_PROFILES[0],
    help="Of --boot: which release.",
)  # fmt: skip
@click.pass_obj
def record(
    app: App,
    *,
    seconds: float | None,
    output: Path,
    frequency: int,
    system: bool,
    boot: bool,
    profile: str,
) -> None:
    """Sample what the machine executes, and write a profile to a file.

    With --boot, no machine has to be up.
    """
    from vcr.perf.profile import write

    if boot and (seconds is not None or system):
        raise UsageError("--boot takes all of the boot", fix="leave --seconds and --system out")
    if boot:
        found = vcr.app.perf_boot(app.context, variant_of(profile))
    else:
        found = vcr.app.perf_record(
            app.context, seconds=seconds or 0, frequency=frequency, system=system
        )
    write(found, output)
    if app.ui.is_json:
        told = {"file": str(output), "samples": found.samples, "lost": found.lost}
        app.ui.json("perf-record", told)
    else:
        app.ui.data(f"{found.samples} samples in {_duration(found)} → {output}")


@perf.command(short_help="Show what is in a profile.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.svg",
    help="Draw a flame graph into OUT.svg instead.",
)  # fmt: skip
@click.option("-n", "--lines", type=click.IntRange(0), default=0, metavar="N",
              help="Only the first N functions.")  # fmt: skip
@click.pass_obj
def report(app: App, *, file: Path, svg: Path | None, lines: int) -> None:
    """Show the functions of a profile, those with the most samples first."""
    from vcr.atomic import write_text
    from vcr.perf.profile import read
    from vcr.report.flame_svg import draw

    profile = read(file)
    if svg is not None:
        write_text(svg, draw(profile))
    if app.ui.is_json:
        app.ui.json("perf", _as_json(profile, lines))
    elif svg is None:
        app.ui.table(_table(profile, lines))


@perf.command(short_help="Show what a machine executes, as it does.")
@project_argument
@click.option(
    "--every", type=Seconds(0.2), default=2.0, metavar="SECONDS",
    help="Seconds between two updates of the table (2).",
)  # fmt: skip
@frequency_option
@scope_option
@click.pass_obj
def top(app: App, *, every: float, frequency: int, system: bool) -> None:
    """Show the functions that the machine executes most, until Ctrl-C."""
    profiles = vcr.app.perf_top(app.context, every=every, frequency=frequency, system=system)
    with suppress(KeyboardInterrupt):  # which is how it ends
        for profile in profiles:
            if app.ui.is_json:
                app.ui.json("perf", _as_json(profile, LINES))
                continue
            app.ui.clear()
            app.ui.data(f"{profile.name}: {profile.samples} samples in {_duration(profile)}")
            app.ui.table(_table(profile, LINES))


def _duration(profile: "Profile") -> str:
    if profile.clock == "instructions":
        return f"{profile.duration / 1e6:.1f} M instructions"
    return f"{profile.duration:.1f} s"


def _table(profile: "Profile", lines: int) -> list[tuple[str, ...]]:
    from vcr.perf.profile import rows

    whole = max(profile.samples, 1)
    head = ("SELF", "TOTAL", "PROCESS", "OBJECT", "SYMBOL")
    shown = [
        (f"{100 * row.own / whole:5.1f} %", f"{100 * row.total / whole:5.1f} %",
         row.process, row.object or "-", row.symbol or "-")
        for row in rows(profile)[: lines or None]
    ]  # fmt: skip
    return [head, *shown]


def _as_json(profile: "Profile", lines: int) -> dict[str, object]:
    from vcr.perf.profile import rows

    return {
        "name": profile.name,
        "profile": profile.profile,
        "clock": profile.clock,
        "every": profile.every,
        "duration": profile.duration,
        "samples": profile.samples,
        "lost": profile.lost,
        "functions": [vars(row) for row in rows(profile)[: lines or None]],
    }
