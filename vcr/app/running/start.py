"""The options of a start, and building what is started: shared by `up` and `run`."""

import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vcr.app.building.build import check_enclave
from vcr.app.context import Context, Variant
from vcr.build.builder import Builder
from vcr.build.services import build_services
from vcr.engines.container.bundle import Bind
from vcr.engines.container.docker import check_program
from vcr.engines.container.machine import LIVE_LABEL, Additions, live_mount
from vcr.engines.container.probe import why_no_container
from vcr.engines.machine import Forward
from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, read_text
from vcr.model.arch import native_arch
from vcr.model.board import BOARDS
from vcr.model.plan import Machine, Plan
from vcr.model.profile import PROFILES, Profile
from vcr.model.project import Project
from vcr.model.volume import VolumeMount, is_name, split_volume
from vcr.runtime.volumes import directory_of, note_project
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo

VM = "vm"  # of UpOptions.runtime


@dataclass(frozen=True)
class UpOptions:
    """The options of a start, besides the variant."""

    enclave: bool = False  # continue in an emulated enclave, of the profile prod
    forwards: tuple[Forward, ...] = ()  # a port of the app that none leads to gets a free one
    env: Mapping[str, str] = field(default_factory=dict)  # of the profile dev, as binds
    binds: tuple[Bind, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()  # kept for the project
    runtime: str | None = None  # vm, docker, podman; None: vcr's container where there can be one
    turbo: bool = False  # all CPUs of this host, which is not reproducible
    timeout: float | None = None  # seconds until it has to be healthy


@dataclass(frozen=True)
class Start:
    """Which build is started, and how."""

    variant: Variant
    options: UpOptions

    @property
    def profile(self) -> str:
        """Return the name of the profile that it is built for."""
        return self.variant.profile

    @property
    def facts(self) -> Profile:
        """Return what that profile is."""
        return PROFILES[self.variant.profile]

    def chosen(self, context: Context) -> "Start":
        """Return it with a VM as its runtime, and say why, where no container can be made.

        Raises UsageError for a container of another architecture than this host's.
        """
        if not self.facts.is_container or self.options.runtime:
            return self
        if (arch := self.variant.chosen_arch()) is not native_arch():
            raise UsageError(
                f"no container of {arch} runs on this host, which is {native_arch()}",
                fix="use --profile vm, or add --runtime vm",
            )
        why = why_no_container()
        if not why:
            return self
        context.ui.note(f"it runs in a VM. {why}")
        return replace(self, options=replace(self.options, runtime=VM))

    def additions(self, context: Context) -> Additions:
        """Return what is given at the start; raises UsageError where there is no place for it."""
        options = self.options
        env = tuple(f"{name}={value}" for name, value in options.env.items())
        additions = Additions(env, options.binds, runtime=options.runtime or "")
        if additions.runtime == VM and self.facts.is_container:
            if env or options.binds or options.volumes:
                raise no_place("-v" if options.binds or options.volumes else "-e")
            return replace(additions, runtime="")
        if (additions or options.volumes) and not self.facts.is_container:
            raise UsageError(
                f"variables, volumes and --runtime are not for the profile {self.profile}",
                why="everything in the machine is part of its digests",
                fix="use --profile dev, or ENV and COPY in the Dockerfile",
            )
        if options.runtime and options.volumes:
            raise UsageError(
                f"{options.runtime} is not given volumes with names",
                why="they are vcr's, which fills them from the image",
                fix="leave --runtime out, or show a directory: -v ./data:/data",
            )
        if options.turbo:
            return replace(additions, cpus=self._all_cpus(context))
        return _with_skopeo(additions, context) if options.runtime else additions

    def _all_cpus(self, context: Context) -> int:
        """Return how many CPUs this host has for a machine, and say what that means."""
        if self.facts.kind != "boot" or not self.facts.debug:
            raise UsageError(
                f"--turbo is not for the profile {self.profile}",
                why="its CPUs would race each other; dev has those of this host anyway",
                fix="use --profile vm, or leave it out",
            )
        cpus = min(len(os.sched_getaffinity(0)), BOARDS[self.variant.chosen_arch()].max_cpus)
        context.ui.warn(
            f"--turbo: {cpus} CPUs that run at once. NOTHING ABOUT THIS RUN IS REPRODUCIBLE: "
            "this host decides what happens first"
        )
        return cpus

    def with_volumes(self, context: Context, project: Project, additions: Additions) -> Additions:
        """Return ADDITIONS with the volumes of PROJECT that are asked for by name."""
        if not self.options.volumes:
            return additions
        note_project(context.settings, project)
        place = directory_of(context.settings, project)
        for each in self.options.volumes:
            if Path(each.name).is_dir():
                context.ui.note(
                    f"-v {each.name} is a volume with a name; ./{each.name} shows the directory"
                )
        binds = (
            Bind(place / each.name, each.target, read_only=each.read_only)
            for each in self.options.volumes
        )
        sources = tuple(dict.fromkeys(place / each.name for each in self.options.volumes))
        return replace(additions, binds=(*additions.binds, *binds), volumes=sources)

    def with_services(
        self, context: Context, project: Project, additions: Additions, *, hot: bool = False
    ) -> Additions:
        """Build the services of PROJECT; return ADDITIONS with them, in the profile dev.

        Raises UsageError where they cannot be started.
        """
        runtime = self.options.runtime
        if not project.config.services:
            return additions
        if runtime == VM:
            raise no_place("[services]")
        if not self.facts.is_container:
            context.ui.note("[services] are for the profile dev: none is started")
            return additions
        if runtime:
            raise UsageError(
                f"{runtime} starts no services",
                why="they share the app's network, which only vcr's own containers can",
                fix="leave --runtime out, or take [services] out of vcr.toml",
            )
        if hot:
            raise UsageError(
                "--hot and [services] do not go together",
                why="a new version starts beside the old one: its services would be there twice",
                fix="`vcr run` without --hot; `LABEL vcr.dev.mount` shows an app its source",
            )
        services = build_services(context.settings, context.ui, project)
        return replace(additions, services=services)

    def build(self, context: Context) -> tuple[Project, Path]:
        """Build the project; return it and what its machine is started from. Raises VcrError."""
        enclave, vm = self.options.enclave, self.options.runtime == VM
        profile = self.facts
        if enclave and not profile.can_be_enclosed:
            raise UsageError(
                "an enclave continues from a sealed snapshot", fix="add --profile prod"
            )
        project, plan = context.prepare(self.variant)
        context.note_ports(plan, enclave=enclave)
        if enclave:
            check_enclave(plan.machine.engine)
        if profile.is_sealed:
            _check_emulator(plan.machine, context.outside)
        if vm:
            if live_mount(plan.image.config):
                raise no_place(f"LABEL {LIVE_LABEL}")
            plan = replace(plan, machine=replace(plan.machine, debug=True))
        if profile.kind == "boot" or vm:
            _note_cpus(context, plan)
        machine = profile.machine(enclave=enclave, vm=vm)
        stages = (*profile.stages(enclave=enclave, vm=vm), machine)
        built = Builder(context.settings, context.ui, project).build(plan, stages)
        return project, built.path(machine)


def _note_cpus(context: Context, plan: Plan) -> None:
    """Say that the machine of PLAN has fewer CPUs than it asks for, if it has."""
    most = BOARDS[plan.arch].max_cpus
    if plan.machine.cpus > most:
        context.ui.note(f"the machine has {most} CPUs: kernels for {plan.arch} have no more")


def _with_skopeo(additions: Additions, context: Context) -> Additions:
    """Check the program that was asked for, and bring what fills its store."""
    check_program(additions.runtime)
    return replace(additions, skopeo=Skopeo.pinned(Nix(context.settings)).program)


def _check_emulator(machine: Machine, outside: tuple[Path, ...]) -> None:
    """Raise UsageError when MACHINE continues in an emulator of the project that is not OUTSIDE.

    It is built in a sandbox and runs in none: whoever wrote vcr.toml may be a stranger.
    """
    if machine.engine != "cartesi" or not machine.emulator:
        return
    if any(Path(machine.emulator).is_relative_to(place.resolve()) for place in outside):
        return
    raise UsageError(
        "vcr.toml: [engine.cartesi] emulator is a program that would run on this host, as you",
        why="files of a project run only in machines and sandboxes",
        fix="use the pinned one, or, if you trust whoever made it, allow it:"
        f" `--allow-outside {shlex.quote(machine.emulator)}`",
    )


def no_place(what: str) -> UsageError:
    """Return the error that a VM has no place for WHAT, which was asked for."""
    return UsageError(
        f"{what} is not for --runtime vm",
        why="a VM sees nothing of this host, and everything that it starts with is part of its"
        " build",
        fix="put it into the image by ENV or COPY, or run where containers can be made",
    )


def read_env_file(path: Path) -> list[str]:
    """Return the lines of PATH that are NAME=VALUE or NAME, without comments; raises UsageError."""
    try:
        text = read_text(path, MAX_TEXT)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}", why=str(error)) from None
    lines = (line.strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def parse_volume(text: str) -> Bind | VolumeMount:
    """Read NAME:GUEST[:ro] or HOST:GUEST[:ro]; raises UsageError.

    HOST is relative to the working directory, and a path: `./data` where `data` is a name.
    """
    try:
        host, guest, read_only = split_volume(text)
    except ValueError:
        raise UsageError(
            f"{text!r} does not say what to show and where",
            fix="write -v ./data:/data, -v ./data:/data:ro or, for a volume that is kept,"
            " -v data:/data",
        ) from None
    if is_name(host):
        return VolumeMount(host, guest, read_only=read_only)
    source = Path(host).absolute()
    if not os.path.exists(source):  # noqa: PTH110 -- False for a name that is too long
        raise UsageError(f"there is no {host} to show to the app", fix="make it first")
    return Bind(source, guest, read_only=read_only)


def parse_variables(texts: Iterable[str], outside: Callable[[str], str | None]) -> dict[str, str]:
    """Read NAME=VALUE, or NAME, whose value is OUTSIDE's; raises UsageError.

    A name that has no value outside sets nothing, as docker-run(1) has it.
    """
    variables: dict[str, str] = {}
    for text in texts:
        name, equals, given = text.partition("=")
        if not name or "\0" in text:
            raise UsageError(f"{text!r} does not set a variable", fix="write -e NAME=VALUE")
        value = given if equals else outside(name)
        if value is not None:
            variables[name] = value
    return variables
