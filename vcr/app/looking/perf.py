"""`perf`: what the CPUs of a machine execute."""

from collections.abc import Iterator
from contextlib import suppress

from vcr.app.context import Context, Variant
from vcr.build.builder import Builder
from vcr.errors import UsageError
from vcr.model.stage import STAGES
from vcr.perf.boot import read_samples
from vcr.perf.guest import Options, Report, sample, total
from vcr.perf.profile import Profile
from vcr.perf.symbols import KernelSymbols
from vcr.perf.target import Target
from vcr.tools.nix import Nix

FREQUENCY = 99  # a second; not a divisor of what programs do once a second


def perf_record(
    context: Context, *, seconds: float = 0, frequency: int = FREQUENCY, system: bool = False
) -> Profile:
    """Sample the machine that is up for SECONDS, 0 until Ctrl-C, and return its profile.

    FREQUENCY is the number of samples per second of the machine's time. SYSTEM samples the whole
    machine, not only the app's container. Raises UsageError when no machine is up that can be
    looked into, and VcrError.
    """
    target = _target(context)
    options = Options(frequency, seconds, 1.0, only_app=not system)
    reports: list[Report] = []
    coming = _sampled(context, target, options)  # the sampler is built by now
    with suppress(KeyboardInterrupt):  # what was seen until then counts
        for report in coming:
            if not seconds and not reports:  # said when it samples: a busy machine begins late
                context.ui.note("until Ctrl-C")
            reports.append(report)
    return total(reports, target, options)


def perf_top(
    context: Context, *, every: float = 2.0, frequency: int = FREQUENCY, system: bool = False
) -> Iterator[Profile]:
    """Yield, each EVERY seconds, the profile of the last EVERY seconds of the machine that is up.

    Otherwise as `perf_record`; errors are raised at once.
    """
    target = _target(context)
    options = Options(frequency, 0, every, only_app=not system)
    reports = _sampled(context, target, options)
    return (total([report], target, options) for report in reports)


def perf_boot(context: Context, variant: Variant = Variant("prod")) -> Profile:
    """Build the machine of VARIANT, a release, and return the profile of its boot.

    It counts instructions, from the first one until the app is healthy, so it is the same each
    time. Raises UsageError for a machine without a boot to sample, and VcrError as `build`.
    """
    project, plan = context.prepare(variant)
    if plan.machine.engine != "qemu" or plan.machine.kernel != "vcr":
        raise UsageError(
            "only QEMU counts instructions, and only with vcr's own kernel",
            why=f"vcr.toml has engine {plan.machine.engine}, kernel {plan.machine.kernel}",
        )
    builder = Builder(context.settings, context.ui, project)
    built = builder.build(plan, (*STAGES, "machine", "samples"))
    return read_samples(built.path("samples"), project.name, variant.profile)


def _target(context: Context) -> Target:
    return Target.of(context.started_project(), context.settings)


def _sampled(context: Context, target: Target, options: Options) -> Iterator[Report]:
    """Return what is seen in TARGET, as it comes."""
    with context.ui.step("sampler") as step:
        built = Nix(context.settings).build(f"samplers.{target.arch}", step.line)
        program = (built / "sampler").read_bytes()
    kernel = (
        KernelSymbols.read(target.symbols / "System.map") if target.symbols else KernelSymbols()
    )
    return sample(target.channels.debug, program, options, kernel)
