"""Refuses to seal a machine of an architecture that no machine can be sealed of."""

from collections.abc import Collection

from vcr.dockerfile.inputs import load_dockerfile
from vcr.dockerfile.stages import SYSTEM, Resolver
from vcr.errors import UsageError
from vcr.model.arch import Arch
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


def shipped_for(project: Project, arch: Arch) -> str:
    """Return which line of PROJECT makes its image for ARCH, "" when none does.

    Raises UsageError for a bad Dockerfile.
    """
    target = project.config.project.target
    resolver = Resolver(
        load_dockerfile(project), Arch.RISCV64, project.config.args, target, project.build_arch
    )
    stage = resolver.target()
    while (below := resolver.earlier(resolver.image_of(stage), stage.index)) is not None:
        stage = below
    if not stage.platform or resolver.arch_of(stage) is not arch:
        return ""
    return (
        f"{stage.start.at}: the image is for {SYSTEM}/{arch}, because its last stage starts from"
        f" --platform={stage.platform}"
    )
