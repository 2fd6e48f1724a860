"""What every use-case works with: the project's directory, settings, where progress goes.

Importing this is cheap: neither pydantic nor rich, so that the command line may name
`Variant` and `Context` while it only shows its help.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vcr.errors import UsageError
from vcr.model.arch import Arch, native_arch
from vcr.model.profile import DEFAULT, PROFILES
from vcr.model.stage import ENGINES
from vcr.private import keep_private
from vcr.settings import Settings
from vcr.ui import Ui, silent

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.model.plan import Plan
    from vcr.model.project import Project


@dataclass(frozen=True)
class Variant:
    """Which build of a project is meant; raises UsageError for an unknown name."""

    profile: str = DEFAULT  # one of vcr.model.profile.PROFILES
    arch: Arch | None = None  # None: this host's for dev, else riscv64
    engine: str | None = None  # what runs a prod machine; None: as vcr.toml has it
    target: str | None = None  # stop at this stage of the Dockerfile; None: the last one

    def __post_init__(self) -> None:
        for what, name, known in (
            ("profile", self.profile, PROFILES),
            ("engine", self.engine or ENGINES[0], ENGINES),
        ):
            if name not in known:
                raise UsageError(f"there is no {what} {name!r}", fix=f"use {', '.join(known)}")

    def chosen_arch(self) -> Arch:
        """Return the architecture; raises HostError when dev has none for this host."""
        if self.arch is not None:
            return self.arch
        return native_arch() if PROFILES[self.profile].is_container else Arch.RISCV64


@dataclass(frozen=True)
class Context:
    """The directory of a use-case, and who is informed of its progress.

    Making one keeps vcr's own directories, which the settings name, from other users; raises
    HostError where that is impossible.
    """

    directory: Path = field(default_factory=Path)  # of the project
    settings: Settings = field(default_factory=Settings.load)  # of the environment
    ui: Ui = field(default_factory=silent)  # progress, notes and warnings only, never data
    outside: tuple[Path, ...] = ()  # what a project may name besides its own files

    def __post_init__(self) -> None:
        settings = self.settings
        for directory in (settings.state_dir, settings.cache_dir, settings.runtime_dir):
            keep_private(directory)

    def load_project(self) -> "Project":
        """Return the project; raises UsageError."""
        from vcr.model.project import load_project

        return load_project(self.directory, outside=self.outside)

    def started_project(self) -> "Project":
        """Return the project to find what of it is up; raises UsageError.

        Where its paths lead is not checked: it was when the project was started.
        """
        from vcr.model.places import ANYWHERE
        from vcr.model.project import load_project

        return load_project(self.directory, outside=ANYWHERE)

    def note_ports(self, plan: "Plan", *, enclave: bool = False) -> None:
        """Say which ports that the image EXPOSEs nothing leads to; ENCLAVE: it runs in one."""
        from vcr.planner.ports import split_exposed
        from vcr.runtime.ports import notes

        others = split_exposed(plan.image.config.get("ExposedPorts") or {})[2]
        carried = "TCP and UDP only"
        is_cartesi = PROFILES[plan.profile].is_sealed and plan.machine.engine == "cartesi"
        if enclave or is_cartesi:
            where = "an enclave" if enclave else "a Cartesi machine"
            carried = f"TCP only into {where}"
            others = (*(f"{port}/udp" for port in plan.machine.udp_ports), *others)
        for note in notes(others, plan.machine.ports, carried):
            self.ui.note(note)

    def prepare(self, variant: Variant) -> "tuple[Project, Plan]":
        """Return the project and the plan of VARIANT; raises UsageError, LockError, HostError."""
        from vcr.planner.prepare import prepare

        return prepare(
            self.directory,
            arch=variant.chosen_arch(),
            profile=variant.profile,
            target=variant.target,
            engine=variant.engine,
            outside=self.outside,
        )
