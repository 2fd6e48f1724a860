"""The running machine of a project, if it is of a debug profile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vcr.engines.machine import Channels, read_vm
from vcr.errors import UsageError
from vcr.model.profile import DEBUG_PROFILES, SEALED_ARCHS
from vcr.model.project import Project
from vcr.runtime.record import Records
from vcr.settings import Settings


@dataclass(frozen=True)
class Target:
    """What is looked into."""

    name: str
    profile: str
    arch: str  # of Arch
    channels: Channels
    symbols: Path | None  # what nix/kernel.nix left of its kernel's symbols, if it is of vcr

    @classmethod
    def of(cls, project: Project, settings: Settings) -> Self:
        """Return the machine of PROJECT that is up; raises UsageError."""
        records = Records(settings)
        record = records.running(project)
        vm = read_vm(Path(record.vm))
        if not vm.get("debug", False):
            raise UsageError(
                "the machine cannot be looked into",
                why="a release has no tools for that, and a container is not a machine",
                fix=" or ".join(f"`vcr up --profile {name}`" for name in DEBUG_PROFILES),
            )
        symbols = Path(vm["symbols"]) if vm.get("symbols") else None
        arch = str(vm.get("arch", SEALED_ARCHS[0]))  # a sealed machine does not say it
        channels = records.channels(record.where)
        return cls(project.name, record.profile, arch, channels, symbols)
