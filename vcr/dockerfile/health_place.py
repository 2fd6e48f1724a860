"""Where a project says how the health of its app is checked: for errors about that check."""

from collections.abc import Iterator

from vcr.dockerfile.inputs import resolver_of
from vcr.dockerfile.syntax import Instruction
from vcr.errors import UsageError
from vcr.model.arch import Arch
from vcr.model.project import CONFIG_FILE, Project


def health_place(project: Project) -> str:
    """Return the place of PROJECT's health check, "" where neither of its files has one."""
    health = project.config.health
    if health.http or health.command:
        return f"{CONFIG_FILE}: [health]"
    try:
        checks = (each.at for each in _backwards(project) if each.keyword == "HEALTHCHECK")
        return str(next(checks, ""))
    except UsageError:  # the Dockerfile is another one than when it was built
        return ""


def _backwards(project: Project) -> Iterator[Instruction]:
    """Yield the instructions that PROJECT's target is made of, the last first; UsageError."""
    for stage in resolver_of(project, Arch.RISCV64).lineage():
        yield from reversed(stage.instructions)
