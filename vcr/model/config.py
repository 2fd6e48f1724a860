"""All of vcr.toml: its sections and keys, each with its default and what it means.

Everything is optional. Descriptions are for the reference, docs/reference/vcr.toml.md.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vcr.model.arch import BUILD_ARCH
from vcr.model.attest import AttestSection
from vcr.model.sections.base import Base
from vcr.model.sections.values import (
    NAME,
    Disk,
    Duration,
    ExposedPort,
    Memory,
    Name,
    Platform,
    Port,
    Section,
    ServiceName,
    Text,
)
from vcr.model.url import ImageName
from vcr.model.volume import split_volume

_TARGET = re.compile(r"/[!-~]*")  # no end of the line that a request begins with


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


class MachineSection(Section):
    """The virtual machine of the profiles vm and prod."""

    memory: Memory = Field(default=512, description="its memory")  # MiB
    cpus: Annotated[int, Field(ge=1, le=8)] = Field(default=1, description="its CPUs; prod has one")
    ports: tuple[ExposedPort, ...] = Field(
        default=(),
        strict=False,
        description="ports of the app; default: those that the image EXPOSEs",
    )
    writable: bool = Field(
        default=True,
        description="a writable root, lost at the end; `false` is `docker run --read-only`",
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

    cartesi: CartesiSection = Field(
        default_factory=CartesiSection, description="the Cartesi machine"
    )


class BuildSection(Section):
    """The virtual machines that run RUN."""

    platform: Platform = Field(
        default=f"linux/{BUILD_ARCH}", description="what `$BUILDPLATFORM` is, on every host"
    )
    memory: Memory = Field(
        default=2048, description="its memory; a step may use most of it for files"
    )
    disk: Disk | None = Field(
        default=None,
        description="what a step may write, on the disk of this host; default: most of the memory",
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
    env: dict[str, Text] = Field(default_factory=dict, description="variables")
    ports: tuple[ExposedPort, ...] = Field(
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
            if "/" not in source and not NAME.fullmatch(source):
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
