"""Makes the plan of a project: a pure function of project, lock and context."""

from difflib import get_close_matches
from typing import Literal

from vcr.dockerfile.config import NANOSECONDS
from vcr.dockerfile.context import Context
from vcr.dockerfile.ignore import load_ignore
from vcr.dockerfile.inputs import resolver_of
from vcr.dockerfile.stages import Resolver
from vcr.dockerfile.state import DEFAULT_SHELL, State
from vcr.dockerfile.syntax import Dockerfile, Stage
from vcr.errors import UsageError
from vcr.lock.engine import current_engine, own_emulator, own_kernel
from vcr.model.arch import Arch, has_kvm
from vcr.model.board import BOARDS
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe
from vcr.model.lockfile import Lock
from vcr.model.plan import BuildMachine, Image, Machine, Plan
from vcr.model.profile import PROFILES
from vcr.model.project import Project
from vcr.planner.image import ImagePlanner
from vcr.planner.ports import split_exposed
from vcr.planner.run import PROXY_ARGS
from vcr.planner.titles import titles

# With less, Debian's kernel, which takes 60 MiB, does not come to mount its root when it has
# a debug profile's ports, too.
DEBIAN_DEBUG_MIB = 160


def make_plan(
    project: Project,
    lock: Lock,
    *,
    arch: Arch,
    profile: str,
    target: str | None = None,
    engine: str | None = None,
) -> Plan:
    """Plan PROJECT for ARCH and PROFILE, up to Dockerfile stage TARGET; raises UsageError.

    ENGINE replaces the one of vcr.toml. A platform of the last stage goes before ARCH.
    """
    resolver = resolver_of(project, arch, target).for_image()
    dockerfile = resolver.dockerfile
    _check_args(project.config.args, dockerfile, resolver)
    context = Context(project.context, load_ignore(project.ignore_file), project.own_files)
    planner = ImagePlanner(
        resolver, context, lock, project.config.base, project.config.build.pure_caches
    )
    state = _planned(planner, resolver.target())
    return Plan(
        name=project.name,
        profile=profile,
        arch=state.arch,
        epoch=lock.epoch,
        context=str(project.context),
        layers=planner.layers,
        titles=titles(planner.asked, dockerfile),
        image=Image(tuple(state.layers), state.config, state.author),
        machine=_machine(project, state, engine, profile),
        build=BuildMachine(
            project.config.build.memory,
            project.config.normalize.rules,
            kvm=PROFILES[profile].is_container and has_kvm(state.arch),
            disk_mib=project.config.build.disk or 0,
        ),
    )


def _planned(planner: ImagePlanner, target: Stage) -> State:
    try:
        return planner.plan(target)
    except RecursionError:
        raise target.start.mistake(
            "its stages depend on each other too many times",
            fix="remove stages that only pass files on",
        ) from None


def _check_args(args: dict[str, str], dockerfile: Dockerfile, resolver: Resolver) -> None:
    """Refuse a value for an ARG that the Dockerfile does not have: surely a typo."""
    instructions = [
        *dockerfile.global_args,
        *(i for s in dockerfile.stages for i in s.instructions),
    ]
    declared = {
        word.partition("=")[0]
        for instruction in instructions
        if instruction.keyword == "ARG"
        for _, word in instruction.words()
    }
    for name in sorted(set(args) - declared - PROXY_ARGS - set(resolver.platform_args())):
        near = get_close_matches(name, declared, n=1)
        raise UsageError(
            f"vcr.toml: [args] {name} is not an ARG of {dockerfile.file}",
            fix=f"did you mean {near[0]}?" if near else "remove it, or declare it with ARG",
        )


def _machine(project: Project, state: State, engine: str | None, profile: str) -> Machine:
    config = project.config
    ports, udp_ports, _ = split_exposed(
        config.machine.ports or state.config.get("ExposedPorts") or {}
    )
    locked = current_engine(project, engine)
    own, own_boots = own_emulator(project), own_kernel(project)
    debug = PROFILES[profile].debug
    if debug and PROFILES[profile].is_sealed and locked.name != "qemu":
        raise UsageError(
            f"there is no {profile} on {locked.name}",
            why="its machines have no port for commands",
            fix=f"use --profile {profile} --engine qemu",
        )
    kernel = _kernel(project, state.arch, profile)
    if debug and kernel == "debian" and config.machine.memory < DEBIAN_DEBUG_MIB:
        raise UsageError(
            f"{config.machine.memory} MiB are not enough for Debian's kernel in {profile}",
            why="the kernel takes 60 MiB, and a debug profile has more devices",
            fix=f'set memory = "{DEBIAN_DEBUG_MIB} MiB", or use --profile'
            f" {PROFILES[profile].release}",
        )
    return Machine(
        memory_mib=config.machine.memory,
        cpus=config.machine.cpus,
        ports=ports,
        udp_ports=udp_ports,
        health=_health(project, state, ports),
        writable=config.machine.writable,
        engine=locked.name,
        engine_version=locked.words,
        debug=debug,
        emulator=str(own) if own else "",
        emulator_kernel=str(own_boots) if own_boots else "",
        kernel=kernel,
    )


def _kernel(project: Project, arch: Arch, profile: str) -> Literal["vcr", "debian"]:
    """Return whose kernel a machine of ARCH boots; one in place of a container, vcr's own."""
    kernel = project.config.machine.kernel
    if PROFILES[profile].is_container:
        return "vcr"
    if kernel == "debian" and BOARDS[arch].bus != "pci":
        raise UsageError(
            f"vcr.toml: [machine] kernel is Debian's, which boots no machine of {arch}",
            why=f"its virtual machine is {BOARDS[arch].machine.partition(',')[0]}, without PCI",
            fix="leave it out: vcr's own kernel is the default",
        )
    return kernel


def _health(project: Project, state: State, ports: tuple[int, ...]) -> HealthCheck | None:
    """Return vcr.toml's health check, else the Dockerfile's."""
    section = project.config.health
    if not section.http and not section.command:
        return _dockerfile_health(state)
    probe: HttpProbe | CommandProbe
    if section.http:
        port = section.port or (ports[0] if ports else None)
        if port is None:
            raise UsageError(
                "vcr.toml: [health] http needs a port",
                why="the app exposes no port",
                fix="set port in [health], or EXPOSE one in the Dockerfile",
            )
        probe = HttpProbe(port, section.http)
    else:
        probe = CommandProbe(section.command)
    return HealthCheck(
        probe,
        section.interval,
        section.timeout,
        section.start_period,
        section.start_interval,
        section.retries,
    )


def _dockerfile_health(state: State) -> HealthCheck | None:
    check = state.config.get("Healthcheck") or {}
    kind, *words = check.get("Test") or ["NONE"]
    if kind == "NONE":
        return None
    shell = state.config.get("Shell") or DEFAULT_SHELL
    probe = CommandProbe((*shell, *words) if kind == "CMD-SHELL" else tuple(words))

    def seconds[T](key: str, default: T) -> float | T:
        # Docker takes 0, like a missing value, for the default.
        return check[key] / NANOSECONDS if check.get(key) else default

    return HealthCheck(
        probe,
        interval=seconds("Interval", 30.0),
        timeout=seconds("Timeout", 30.0),
        start_period=seconds("StartPeriod", 0.0),
        start_interval=seconds("StartInterval", None),
        retries=check.get("Retries") or 3,
    )
