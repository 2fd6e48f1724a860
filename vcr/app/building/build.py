"""`build`: the stages of a project, and with them its digest ladder."""

from collections.abc import Sequence

from vcr.app.context import Context, Variant
from vcr.build.builder import Builder, Built, RunError
from vcr.build.debug_shell import check_seat, open_shell
from vcr.build.shell_terminal import Seat
from vcr.errors import UsageError
from vcr.model.profile import PROFILES
from vcr.planner.platform import unsealed


def build(
    context: Context,
    variant: Variant = Variant(),
    *,
    last: str | None = None,
    timeout: float = 0,
    debug_shell: Seat | None = None,
) -> Built:
    """Build the project's stages up to LAST, and return them with the digest ladder.

    LAST is a stage such as "image" or "seal"; None builds all stages of the profile. One step may
    take TIMEOUT seconds, 0 for any. When a RUN fails, there is a shell in its build machine at the
    terminal DEBUG_SHELL, before the error is raised. Raises UsageError, LockError, FetchError,
    HostError, and VcrError when a step fails.
    """
    if debug_shell is not None:
        check_seat(debug_shell, context.ui)
    stages = stages_up_to(last, variant)
    project, plan = context.prepare(variant)
    context.note_ports(plan)
    if "enclave" in stages:
        check_enclave(plan.machine.engine)
    builder = Builder(context.settings, context.ui, project, timeout)
    try:
        return builder.build(plan, stages)
    except RunError as error:
        if debug_shell is not None:
            open_shell(builder, plan, error.ident, debug_shell)
        raise


def build_stages(context: Context, variant: Variant, stages: Sequence[str]) -> Built:
    """Build exactly STAGES of the project; raises as `build` does."""
    project, plan = context.prepare(variant)
    return Builder(context.settings, context.ui, project).build(plan, stages)


def stages_up_to(last: str | None, variant: Variant) -> tuple[str, ...]:
    """Return the stages of VARIANT up to LAST, None for all; raises UsageError, HostError."""
    arch, profile = variant.chosen_arch(), variant.profile
    facts = PROFILES[profile]
    if last != "image" and not facts.has_machines(arch):
        raise unsealed(profile, arch)
    enclave = facts.can_be_enclosed and last == "enclave"
    stages = facts.stages(arch=arch, enclave=enclave)
    if last and last not in stages:
        raise UsageError(f"the profile {profile} has no stage {last}", fix="use --profile prod")
    return stages[: stages.index(last) + 1] if last else stages


def check_enclave(engine: str) -> None:
    """Raise UsageError unless an enclave can run what ENGINE has made."""
    if engine != "qemu":
        raise UsageError(
            f"there is no enclave for the engine {engine}",
            why="an enclave continues only from snapshots of the engine qemu",
            fix="add --engine qemu",
        )
