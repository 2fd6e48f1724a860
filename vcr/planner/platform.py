"""For which platform a project is built: its last stage may say it, and not each can be sealed."""

from collections.abc import Collection, Sequence

from vcr.dockerfile.inputs import resolver_of
from vcr.dockerfile.stages import SYSTEM
from vcr.errors import UsageError
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock
from vcr.model.plan import Plan
from vcr.model.profile import PROFILES, SEALED_ARCHS
from vcr.model.project import Project

FIX = "leave --platform out there, or write --platform=$TARGETPLATFORM"


def check_platform(project: Project, plan: Plan, stages: Collection[str]) -> None:
    """Raise UsageError when STAGES have a machine of PLAN's profile that cannot be of its ARCH.

    Others have the image's architecture. PROJECT says which line decided it.
    """
    is_machine = bool(set(stages) - {"image"})
    if is_machine and not PROFILES[plan.profile].has_machines(plan.arch):
        where = shipped_for(project, plan.arch)
        raise unsealed(plan.profile, plan.arch, where)


def unsealed(profile: str, arch: Arch, where: str = "") -> UsageError:
    """Return the error that PROFILE has no machines of ARCH, which the line WHERE decided, if any.

    It is another FIX where that is the command line's.
    """
    platforms = " or ".join(f"{SYSTEM}/{each}" for each in SEALED_ARCHS)
    if where:
        return UsageError(f"{where}, and {profile} machines are {platforms}", fix=FIX)
    return UsageError(
        f"{profile} machines are {' or '.join(SEALED_ARCHS)}",
        why=f"no machine of {arch} can be sealed yet",
        fix=f"leave --arch out, use --profile vm, or only `vcr build image --arch {arch}`",
    )


def target_arch(project: Project, arch: Arch) -> Arch:
    """Return what ARCH comes to for PROJECT, as Resolver.for_image says.

    Raises UsageError for a bad Dockerfile.
    """
    return resolver_of(project, arch).for_image().arch


def for_targets(project: Project, new: Lock, archs: Sequence[Arch]) -> tuple[Lock, list[Arch]]:
    """Return what ARCHS come to for PROJECT, and NEW without answers that are for no target.

    Raises UsageError for a bad Dockerfile.
    """
    runs = {arch: some for arch, some in new.runs.items() if target_arch(project, arch) is arch}
    wanted = dict.fromkeys(target_arch(project, arch) for arch in archs)
    return new.model_copy(update={"runs": runs}), list(wanted)


def shipped_for(project: Project, arch: Arch) -> str:
    """Return which line of PROJECT makes its image for ARCH, "" when none does.

    Raises UsageError for a bad Dockerfile.
    """
    resolver = resolver_of(project, Arch.RISCV64)
    *_, stage = resolver.lineage()
    if not stage.platform or resolver.arch_of(stage) is not arch:
        return ""
    return (
        f"{stage.start.at}: the image is for {SYSTEM}/{arch}, because its last stage starts from"
        f" --platform={stage.platform}"
    )
