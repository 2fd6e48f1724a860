"""What `vcr up` and `vcr run` share: the options of a start, and building what is started."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Seconds, arch_of, engine_option, profile_option
from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, read_text

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.engines.container.bundle import Bind
    from vcr.engines.container.machine import Additions
    from vcr.engines.machine import Forward
    from vcr.model.plan import Machine
    from vcr.model.project import Project
    from vcr.runtime.record import Records

VM = "vm"  # of --runtime
_OPTIONS = (
    profile_option,
    engine_option,
    click.option("--enclave", is_flag=True, help="Go on in an emulated enclave (--profile prod)."),
    click.option(
        "-p",
        "--publish",
        multiple=True,
        metavar="[[ADDR:]HOST:]GUEST",
        help="Forward a port of this host; without it, every port of the app gets a free one.",
    ),
    click.option(
        "-e",
        "--env",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a variable of the app (dev only).",
    ),
    click.option(
        "--env-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help="Set variables from lines NAME=VALUE (dev only).",
    ),
    click.option(
        "-v",
        "--volume",
        multiple=True,
        metavar="HOST:GUEST[:ro]",
        help="Show the app a file or directory of this host (dev only).",
    ),
    click.option(
        "--runtime",
        type=click.Choice(("vm", "docker", "podman")),
        help="Run it in a VM or by a program of this host, not in vcr's container (dev only).",
    ),
    click.option("--turbo", is_flag=True, help="Give the machine all CPUs of this host (vm only)."),
    click.option(
        "--timeout",
        type=Seconds(1),
        metavar="SECONDS",
        help="Give up on an app that is not healthy by then.",
    ),
)


def start_options[F: Callable[..., object]](function: F) -> F:
    """Add what decides which machine is started, and how."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True)
class Start:
    """The options of a start, as given."""

    profile: str
    engine: str | None
    enclave: bool
    publish: tuple[str, ...]
    env: tuple[str, ...]
    env_file: Path | None
    volume: tuple[str, ...]
    runtime: str | None
    turbo: bool
    timeout: float | None

    def chosen(self, app: App) -> "Start":
        """Return it with a VM as its runtime, and say why, where no container can be made."""
        if self.profile != "dev" or self.runtime:
            return self
        from vcr.engines.container.probe import why_no_container

        why = why_no_container()
        if not why:
            return self
        app.ui.note(f"it runs in a VM. {why}")
        return replace(self, runtime=VM)

    def forwards(self) -> "list[Forward]":
        """Return the forwards that were asked for; raises UsageError."""
        from vcr.runtime.ports import parse_forward

        return [parse_forward(text) for text in self.publish]

    def additions(self, app: App) -> "Additions":
        """Return what is given at the start; raises UsageError where there is no place for it."""
        from vcr.engines.container.machine import Additions

        lines = read_env_file(self.env_file) if self.env_file else []
        env = [_variable(text) for text in (*lines, *self.env)]
        binds = tuple(parse_volume(text) for text in self.volume)
        additions = Additions(tuple(env), binds, runtime=self.runtime or "")
        if additions.runtime == VM and self.profile == "dev":
            if env or binds:
                raise no_place("-v" if binds else "-e")
            return replace(additions, runtime="")
        if additions and self.profile != "dev":
            raise UsageError(
                f"variables, volumes and --runtime are not for the profile {self.profile}",
                why="all of the machine is in its digests",
                fix="use --profile dev, or ENV and COPY in the Dockerfile",
            )
        if self.turbo:
            return replace(additions, cpus=self._all_cpus(app))
        return self._with_skopeo(additions, app) if self.runtime else additions

    def _all_cpus(self, app: App) -> int:
        """Return how many CPUs this host has for a machine, and say what that means."""
        if self.profile != "vm":
            raise UsageError(
                f"--turbo is not for the profile {self.profile}",
                why="its CPUs would race each other; dev has those of this host anyway",
                fix="use --profile vm, or leave it out",
            )
        from vcr.model.board import SEALED

        cpus = min(len(os.sched_getaffinity(0)), SEALED.max_cpus)
        app.ui.warn(
            f"--turbo: {cpus} CPUs that run at once. NOTHING ABOUT THIS RUN IS REPRODUCIBLE: "
            "what happens first is up to this host"
        )
        return cpus

    def with_services(
        self, app: App, project: "Project", additions: "Additions", *, hot: bool = False
    ) -> "Additions":
        """Build the services of PROJECT; return ADDITIONS with them, in the profile dev.

        Raises UsageError where they cannot be started.
        """
        if not project.config.services:
            return additions
        if self.runtime == VM:
            raise no_place("[services]")
        if self.profile != "dev":
            app.ui.note("[services] are for the profile dev: none is started")
            return additions
        if self.runtime:
            raise UsageError(
                f"{self.runtime} starts no services",
                why="they share the app's network, which vcr's own containers have",
                fix="leave --runtime out, or take [services] out of vcr.toml",
            )
        if hot:
            raise UsageError(
                "--hot and [services] do not go together",
                why="a new version starts beside the old one: its services would be there twice",
                fix="`vcr run` without --hot; `LABEL vcr.dev.mount` shows an app its source",
            )
        from vcr.build.services import build_services

        return replace(additions, services=build_services(app.settings, app.ui, project))

    def _with_skopeo(self, additions: "Additions", app: App) -> "Additions":
        """Check the program that was asked for, and bring what fills its store."""
        from vcr.engines.container.docker import check_program
        from vcr.tools.nix import Nix
        from vcr.tools.skopeo import Skopeo

        check_program(additions.runtime)
        skopeo = Skopeo.of_toolset(Nix(app.settings).toolset("oci")).program
        return replace(additions, skopeo=skopeo)

    def build(self, app: App) -> "tuple[Project, Path, Records]":
        """Build the project; return it, what its machine is started from, and the records."""
        from vcr.build.builder import Builder
        from vcr.model.profile import PROFILES
        from vcr.runtime.record import Records

        if self.enclave and self.profile != "prod":
            raise UsageError("an enclave goes on from a sealed snapshot", fix="add --profile prod")
        profile = PROFILES[self.profile]
        vm = self.runtime == VM
        arch = arch_of(None, self.profile)
        project, plan = app.prepare(arch=arch, profile=self.profile, engine=self.engine)
        if self.enclave:
            from vcr.app.building.build import check_enclave

            check_enclave(plan.machine.engine)
        if profile.is_sealed:
            _check_emulator(plan.machine, app.outside)
        if vm:
            from vcr.engines.container.machine import LIVE_LABEL, live_mount

            if live_mount(plan.image.config):
                raise no_place(f"LABEL {LIVE_LABEL}")
            plan = replace(plan, machine=replace(plan.machine, debug=True))
        machine = profile.machine(enclave=self.enclave, vm=vm)
        stages = (*profile.stages(enclave=self.enclave, vm=vm), machine)
        built = Builder(app.settings, app.ui, project).build(plan, stages)
        return project, built.path(machine), Records(app.settings)


def _check_emulator(machine: "Machine", outside: tuple[Path, ...]) -> None:
    """Raise UsageError when MACHINE goes on in an emulator of the project that is not OUTSIDE.

    It is built in a sandbox and runs in none: whoever wrote vcr.toml may be a stranger.
    """
    if machine.engine != "cartesi" or not machine.emulator:
        return
    if any(Path(machine.emulator).is_relative_to(place.resolve()) for place in outside):
        return
    raise UsageError(
        "vcr.toml: [engine.cartesi] emulator is a program that would run on this host, as you",
        why="what a project brings runs in machines and sandboxes only",
        fix="use the pinned one, or, if you trust whoever made it, allow it:"
        f" `--allow-outside {shlex.quote(machine.emulator)}`",
    )


def no_place(what: str) -> UsageError:
    """Return the error that a VM has no place for WHAT, which was asked for."""
    return UsageError(
        f"{what} is not for --runtime vm",
        why="nothing of this host is shown to a VM, and all that it starts with is in its build",
        fix="put it into the image by ENV or COPY, or run where containers can be made",
    )


def read_env_file(path: Path) -> list[str]:
    """Return the NAME=VALUE lines of PATH, comments and empty lines left out; raises UsageError."""
    try:
        text = read_text(path, MAX_TEXT)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}", why=str(error)) from None
    lines = (line.strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def parse_volume(text: str) -> "Bind":
    """Read HOST:GUEST[:ro]; HOST is relative to the working directory. Raises UsageError."""
    from vcr.engines.container.bundle import Bind
    from vcr.model.volume import split_volume

    try:
        host, guest, read_only = split_volume(text)
    except ValueError:
        raise UsageError(
            f"{text!r} does not say what to show where",
            fix="write -v ./data:/data or -v ./data:/data:ro",
        ) from None
    source = Path(host).absolute()
    if not os.path.exists(source):  # noqa: PTH110 -- False for a name that is too long
        raise UsageError(f"there is no {host} to show to the app", fix="make it first")
    return Bind(source, guest, read_only=read_only)


def _variable(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not name or not equals or "\0" in text:
        raise UsageError(f"{text!r} sets no variable", fix="write -e NAME=VALUE")
    return text
