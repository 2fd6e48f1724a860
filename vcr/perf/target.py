"""The running machine of a project, if it is of a debug profile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vcr.engines.machine import Channels, read_vm
from vcr.errors import UsageError
from vcr.model.project import Project
from vcr.runtime.record import Records
from vcr.settings import Settings
from vcr.stages import DEBUG_PROFILES

PROFILES = {"boot": "stage", "snapshot": "prod-debug"}  # by the kind of its machine


@dataclass(frozen=True)
class Target:
    """What is looked into."""

    name: str
    profile: str
    channels: Channels
    symbols: Path | None  # what nix/kernel.nix left of its kernel's symbols, if it is of vcr

    @classmethod
    def of(cls, project: Project, settings: Settings) -> Self:
        """Return the machine of PROJECT that is up; raises UsageError."""
        records = Records(settings)
        record = records.load(project.key)
        if record is None or not record.is_running:
            raise UsageError(f"{project.name} is not up", fix="`vcr up` starts it")
        vm = {} if record.runtime else read_vm(Path(record.vm))
        profile = PROFILES.get(vm.get("kind", ""))
        if profile is None or not vm.get("debug", False):
            raise UsageError(
                "the machine cannot be looked into",
                why="a release has no tools for that, and a container is no machine",
                fix=" or ".join(f"`vcr up --profile {name}`" for name in DEBUG_PROFILES),
            )
        symbols = Path(vm["symbols"]) if vm.get("symbols") else None
        return cls(project.name, profile, records.channels(record.where), symbols)
