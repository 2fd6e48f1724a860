"""All of vcr.toml: its sections and keys, each with its default and what it means.

Everything is optional. Descriptions are for the reference, docs/reference/vcr.toml.md.
"""

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from vcr.model.attest import AttestSection
from vcr.model.duration import LONGEST, parse_duration
from vcr.model.url import ImageName
from vcr.model.volume import split_volume

# The path component grammar of the OCI distribution specification 1.1, "Pulling manifests".
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_HOST = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, in lower case
_MEMORY = re.compile(r"([0-9]{1,9})\s*(MiB|GiB)")
MAX_MEMORY = 1 << 20  # MiB
LONGEST_NAME = 128  # characters; a part of the names of files, which have 255 at most
_SNAPSHOT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TARGET = re.compile(r"/[!-~]*")  # no end of the line that a request begins with
_SUITE = re.compile(r"[a-z][a-z0-9-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.\-]+")  # Debian policy 5.6.1


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _memory(value: object) -> object:
    """Accept "512 MiB" and "1 GiB"; the value is in MiB."""
    if not isinstance(value, str):
        return value
    match = _MEMORY.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not an amount of memory such as 512 MiB or 1 GiB")
    return int(match[1]) * (1024 if match[2] == "GiB" else 1)


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} is not {what}")
        return value

    return AfterValidator(check)


type Duration = Annotated[
    float,
    BeforeValidator(_duration),
    Field(ge=0, le=LONGEST, allow_inf_nan=False, description='time such as `"30s"`'),
]
type Port = Annotated[int, Field(ge=1, le=65535, description="port, 1 to 65535")]
type Memory = Annotated[
    int,
    BeforeValidator(_memory),
    Field(ge=64, le=MAX_MEMORY, description='memory such as `"512 MiB"`'),
]
type Name = Annotated[
    str,
    Field(max_length=LONGEST_NAME, description="lower-case name"),
    _matching(_NAME, "a lower-case image name such as hello or my-app"),
]
type ServiceName = Annotated[str, _matching(_HOST, "a host name such as db")]
type Package = Annotated[
    str,
    _matching(_PACKAGE, "the name of a Debian package"),
    Field(description="name of a Debian package"),
]
type Suite = Annotated[
    str,
    _matching(_SUITE, "a suite of Debian such as trixie"),
    Field(description="name of a suite of Debian"),
]
type Snapshot = Annotated[
    str,
    _matching(_SNAPSHOT, "a time such as 20261122T000000Z"),
    Field(description='time such as `"20261122T000000Z"`'),
]


class Section(BaseModel):
    """What sections have in common: an unknown key is an error, and so is a wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ProjectSection(Section):
    """What is built, and what it is called."""

    name: Name | None = Field(
        default=None, description="its name; default: the name of its directory"
    )
    dockerfile: str = Field(
        default="Dockerfile", description="the Dockerfile, relative to vcr.toml"
    )
    context: str = Field(default=".", description="the build context, relative to vcr.toml")
    target: str | None = Field(default=None, description="stop at this stage of the Dockerfile")


class Base(Section):
    """What `FROM NAME` starts from: exactly one of `packages`, `image` and `oci`."""

    suite: Suite = Field(default="trixie", description="the Debian suite of the packages")
    packages: tuple[Package, ...] = Field(
        default=(), strict=False, description="Debian packages; vcr adds their dependencies"
    )
    snapshot: Snapshot | None = Field(
        default=None, description="the time of the archive; default: the time of `vcr lock`"
    )
    configure: bool = Field(
        default=False, description="run the packages' scripts, so that apt-get works in RUN"
    )
    image: ImageName | None = Field(
        default=None, description="an image in a registry, such as `name:tag`"
    )
    oci: str | None = Field(default=None, description="a directory with an OCI layout")

    @model_validator(mode="after")
    def _one_kind(self) -> "Base":
        if sum((bool(self.packages), bool(self.image), bool(self.oci))) != 1:
            raise ValueError("give exactly one of packages, image and oci")
        if self.configure and not self.packages:
            raise ValueError("configure is for packages")
        return self


class MachineSection(Section):
    """The virtual machine of the profiles vm and prod."""

    memory: Memory = Field(default=512, description="its memory")  # MiB
    cpus: Annotated[int, Field(ge=1, le=8)] = Field(default=1, description="its CPUs; prod has one")
    ports: tuple[Port, ...] = Field(
        default=(),
        strict=False,
        description="ports of the app; default: those that the image EXPOSEs",
    )
    writable: bool = Field(
        default=False, description="a writable root; changes are lost at power-off"
    )
    engine: Literal["qemu", "cartesi"] = Field(
        default="qemu", description="the engine that runs a prod machine"
    )
    kernel: Literal["vcr", "debian"] = Field(
        default="vcr", description="the kernel that it boots; a Cartesi machine has its own"
    )


class CartesiSection(Section):
    """The Cartesi machine."""

    emulator: str = Field(
        default="", description="a .deb of machine-emulator, instead of the pinned one"
    )
    kernel: str = Field(default="", description="a kernel in OpenSBI, instead of the pinned one")


class EngineSection(Section):
    """Settings of single engines."""

    cartesi: CartesiSection = Field(default=CartesiSection(), description="the Cartesi machine")


class BuildSection(Section):
    """The virtual machines that run RUN."""

    memory: Memory = Field(
        default=2048, description="its memory; a step may use most of it for files"
    )
    pure_caches: tuple[str, ...] = Field(
        default=(), strict=False, description="ids of cache mounts that later steps reuse"
    )


class NormalizeSection(Section):
    """What is taken out of the layer of a RUN."""

    ldconfig: bool = Field(default=True, description="remove `/var/cache/ldconfig/aux-cache`")
    apt_cache: bool = Field(
        default=True, alias="apt-cache", description="remove apt's caches and downloaded packages"
    )
    apt_lists: bool = Field(
        default=False,
        alias="apt-lists",
        description="remove `/var/lib/apt/lists`, which a later step may need",
    )
    logs: bool = Field(default=True, description="remove logs of apt, dpkg, npm and logins")
    machine_id: bool = Field(
        default=True, alias="machine-id", description="empty `/etc/machine-id`"
    )
    backups: bool = Field(
        default=True, description="remove copies that dpkg and shadow keep of the state before"
    )

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the names of the rules that are on."""
        return tuple(name for name, on in self.model_dump(by_alias=True).items() if on)


class HealthSection(Section):
    """When the app is healthy; wins over the Dockerfile's HEALTHCHECK."""

    http: str | None = Field(
        default=None, description="a path; an answer of 2xx or 3xx means healthy"
    )
    port: Port | None = Field(default=None, description="the port to ask; default: the first port")
    command: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="runs in the app's container; exit code 0 means healthy",
    )
    interval: Duration = Field(default=30.0, description="time between two probes")
    timeout: Duration = Field(default=30.0, description="how long one probe may take")
    start_period: Duration = Field(default=0.0, description="time in which failures do not count")
    start_interval: Duration | None = Field(
        default=None,
        description="time between two probes in the start period; default: at most a second",
    )
    retries: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=3, description="number of failures in a row that makes the app unhealthy"
    )

    @model_validator(mode="after")
    def _one_probe(self) -> "HealthSection":
        if self.http and self.command:
            raise ValueError("give either http or command, not both")
        if self.http and not self.http.startswith("/"):
            raise ValueError("http is a path and starts with /")
        if self.http and not _TARGET.fullmatch(self.http):
            raise ValueError(
                "characters in a path of http that are not ASCII have to be percent-encoded"
            )
        return self


class ServiceSection(Section):
    """A database or the like beside the app, in the profile dev."""

    image: ImageName | None = Field(
        None, description="an image in a registry, locked by digest; or use `build`"
    )
    build: str | None = Field(
        None, description="directory of another project with a vcr.lock, relative to vcr.toml"
    )
    env: dict[str, str] = Field(default_factory=dict, description="variables")
    ports: tuple[Port, ...] = Field(
        (), strict=False, description="default: the ports that the image EXPOSEs"
    )
    volumes: tuple[str, ...] = Field(
        (),
        strict=False,
        description="`NAME:PATH` for a directory that is kept, or `HOST:PATH[:ro]`; HOST contains"
        " a `/`",
    )
    health: tuple[str, ...] = Field(
        (), strict=False, description="command that exits with 0 when the service is ready"
    )
    timeout: Duration = Field(60.0, description="longest time until it is ready")

    @model_validator(mode="after")
    def _one_kind(self) -> "ServiceSection":
        if bool(self.image) == bool(self.build):
            raise ValueError("give either image or build")
        for text in self.volumes:
            source, _, _ = split_volume(text)
            if "/" not in source and not _NAME.fullmatch(source):
                raise ValueError(f"{text!r} is not a volume such as data:/var/lib/data")
        return self


class Config(Section):
    """All of vcr.toml."""

    project: ProjectSection = ProjectSection()
    args: dict[str, str] = Field(default_factory=dict, description="Values for ARG, by name.")
    base: dict[ImageName, Base] = Field(default_factory=dict)
    build: BuildSection = BuildSection()
    normalize: NormalizeSection = NormalizeSection()
    machine: MachineSection = MachineSection()
    engine: EngineSection = EngineSection()
    health: HealthSection = HealthSection()
    services: dict[ServiceName, ServiceSection] = Field(
        default_factory=dict,
        description="Databases and other programs beside the app, by host name.",
    )
    attest: AttestSection = AttestSection()
