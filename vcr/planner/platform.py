"""Refuses to build a machine of an image that its last stage makes for another platform."""

from collections.abc import Collection

from vcr.dockerfile.inputs import load_dockerfile
from vcr.dockerfile.stages import SYSTEM, Resolver
from vcr.errors import UsageError
from vcr.model.arch import Arch
from vcr.model.plan import Plan
from vcr.model.profile import PROFILES
from vcr.model.project import Project

FIX = "leave --platform out there, or write --platform=$TARGETPLATFORM"


def check_platform(project: Project, plan: Plan, stages: Collection[str]) -> None:
    """Raise UsageError when STAGES have a machine, and PLAN is not of a machine's architecture.

    A container, and a VM in its place, have the image's. PROJECT says which line decided it.
    """
    is_machine = bool(set(stages) - {"image"}) and not PROFILES[plan.profile].is_container
    if is_machine and plan.arch is not Arch.RISCV64:
        where = shipped_for(project, plan.arch) or f"the image is for {SYSTEM}/{plan.arch}"
        raise UsageError(f"{where}, and machines are {SYSTEM}/{Arch.RISCV64}", fix=FIX)


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
