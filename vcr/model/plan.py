"""The plan: everything Nix needs to build a project, as JSON.

A pure function of project and lock; `nix/default.nix` reads it. Python decides
here, Nix builds. Layer operations are carried out by `vcr/sandbox`. Every path
inside an image is absolute and normalised; context paths are relative to it.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from vcr.model.arch import Arch
from vcr.model.health import HealthCheck
from vcr.model.source import ContextSource, Fetched, GitSource, Source, StageSource, UrlSource
from vcr.words import counted

PLAN_SCHEMA = 1
OCI_STORE_NAME = "vcr-oci-blob"  # of each blob of a locked OCI image in the Nix store


@dataclass(frozen=True)
class Debs:
    """A base of Debian packages, unpacked without maintainer scripts."""

    debs: tuple[Fetched, ...]
    configure: bool = False  # a RUN after it lets dpkg configure them
    apt_sources: str = ""  # then: where apt reads the same state of the archive
    arch: Arch = Arch.RISCV64
    op: Literal["debs"] = "debs"


@dataclass(frozen=True)
class OciBase:
    """A base that is an OCI image, flattened to one layer."""

    reference: str  # as skopeo names it
    blobs: dict[str, int]  # digest → bytes, of the plan's architecture; they are in the Nix store
    indexes: dict[str, int]  # the same of what leads to the manifest; no layer is made of them
    manifest: str  # digest of the manifest of the plan's architecture
    config: dict[str, Any]  # what the lock says that its config is; no layer is made of it
    arch: Arch = Arch.RISCV64
    op: Literal["oci"] = "oci"


type Base = Debs | OciBase


@dataclass(frozen=True)
class Additions:
    """What [base.NAME] adds to its packages; every path is absolute."""

    lower: tuple[str, ...]  # the layers of the packages, bottom first
    files: dict[str, str]  # path → text
    links: dict[str, str]  # path → target
    users: dict[str, int]  # name → number, which the group of that name has, too
    origin: str = ""
    op: Literal["additions"] = "additions"


@dataclass(frozen=True)
class Copy:
    """COPY and ADD."""

    sources: tuple[Source, ...]
    dest: str  # absolute; a trailing slash or several sources mean a directory
    lower: tuple[str, ...]  # layers below, bottom first
    chown: str = ""  # as written: user[:group], names looked up in the image
    chmod: str = ""  # octal or symbolic, as written
    exclude: tuple[str, ...] = ()
    parents: bool = False
    link: bool = False  # do not look at the layers below
    extract: bool = False  # ADD: unpack local tar archives
    origin: str = ""  # "Dockerfile:12", for messages
    op: Literal["copy"] = "copy"


@dataclass(frozen=True)
class Workdir:
    """WORKDIR: make the directory (and its parents) where it does not exist."""

    path: str
    lower: tuple[str, ...]
    owner: str = ""  # user[:group] in force
    origin: str = ""
    op: Literal["workdir"] = "workdir"


@dataclass(frozen=True)
class RunMount:
    """One `RUN --mount`: shown to the command, never part of the layer."""

    kind: Literal["bind", "cache", "tmpfs", "secret"]
    target: str  # absolute
    source: ContextSource | StageSource | None = None  # nothing: an empty directory
    path: str = "/"  # in the source
    writable: bool = False  # what is written is lost
    size: int = 0  # of a tmpfs, in bytes; 0 for half the memory
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    content: str = ""  # of a secret: a placeholder, never the secret
    carry: str = ""  # cache declared pure: the name under which later steps go on with it
    carried_from: str = ""  # id of the RUN it goes on from


@dataclass(frozen=True)
class Exchange:
    """A request to the network and its answer, closed by the lock."""

    method: str
    url: str
    accept: str  # the Accept header, "" for anything
    body: str  # SHA-256 of the request's body, 64 hex digits; "" for none
    status: int
    headers: dict[str, str]
    sha256: str  # of the answer's body, 64 hex digits
    size: int  # of the answer's body, bytes


@dataclass(frozen=True)
class Run:
    """RUN: a command in a build machine of the target architecture."""

    argv: tuple[str, ...]
    lower: tuple[str, ...]
    env: tuple[str, ...]  # NAME=value, in force
    user: str
    workdir: str
    arch: Arch
    script: str = ""  # of a here-document, at the path that argv is
    mounts: tuple[RunMount, ...] = ()
    network: Literal["default", "none"] = "default"
    exchanges: tuple[Exchange, ...] = ()
    bodies: tuple[Fetched, ...] = ()  # the exchanges' answers, each once
    origin: str = ""
    op: Literal["run"] = "run"

    @property
    def key(self) -> str:
        """Return a digest of the instruction: what the lock knows it by."""
        told = (self.argv, self.env, self.user, self.workdir, self.script, self.network)
        mounts = [(mount.kind, mount.target, mount.content) for mount in self.mounts]
        text = json.dumps([told, mounts], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


type Layer = Base | Additions | Copy | Workdir | Run


def files_of(layer: Layer) -> tuple[Fetched, ...]:
    """Return the files that LAYER is made of and Nix fetches."""
    match layer:
        case Debs():
            return layer.debs
        case Copy():
            return tuple(source.file for source in layer.sources if isinstance(source, UrlSource))
        case Run():
            return layer.bodies
    return ()


def images_of(layer: Layer) -> dict[str, str]:
    """Return the images that LAYER is made of: how one is named → the manifest's digest."""
    return {layer.reference: layer.manifest} if isinstance(layer, OciBase) else {}


def repositories_of(layer: Layer) -> tuple[GitSource, ...]:
    """Return what LAYER takes of git repositories."""
    sources = layer.sources if isinstance(layer, Copy) else ()
    return tuple(source for source in sources if isinstance(source, GitSource))


def words_of(base: Base) -> str:
    """Return what BASE is, in a few words."""
    if isinstance(base, OciBase):
        return f"OCI image {base.manifest[:19]}"
    return counted(len(base.debs), "Debian package")


@dataclass(frozen=True)
class Image:
    """The image to build: layers bottom first, and the OCI config object as it will be written."""

    layers: tuple[str, ...]
    # "config" of the OCI image config: Env, Entrypoint, Cmd, User, WorkingDir, Labels, ...
    config: dict[str, Any] = field(default_factory=dict)
    author: str = ""  # "author" beside it


@dataclass(frozen=True)
class Machine:
    """The virtual machine of the profiles vm and prod."""

    memory_mib: int
    cpus: int
    ports: tuple[int, ...]  # TCP ports of the guest that are forwarded
    health: HealthCheck | None
    writable: bool  # a tmpfs overlay over the app's root, lost at power-off
    engine: str = "qemu"  # of prod: qemu or cartesi
    engine_version: str = ""  # in words, as the ladder has it
    debug: bool = False  # tools inside and a channel to them: another rootfs
    kernel: str = "vcr"  # of vm and of prod on qemu: vcr or debian
    emulator: str = ""  # a package of the Cartesi emulator that is not the pinned one
    emulator_kernel: str = ""  # what its machine boots, if not the pinned one
    udp_ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class BuildMachine:
    """The virtual machines that run RUN."""

    memory_mib: int
    normalize: tuple[str, ...]  # names of vcr.sandbox.normalize.RULES
    kvm: bool = False  # only for the profile dev: it is not deterministic
    disk_mib: int = 0  # what a step may write, on the host's disk; 0: in its memory


@dataclass(frozen=True)
class Plan:
    """The plan of a build, which Nix reads."""

    name: str
    profile: str
    arch: Arch
    epoch: int  # seconds since 1970, for every timestamp
    context: str  # absolute path of the build context
    layers: dict[str, Layer]  # by id, in build order
    image: Image
    machine: Machine
    build: BuildMachine
    schema: int = PLAN_SCHEMA
    titles: dict[str, str] = field(default_factory=dict)  # of layers, by id: for people, not Nix

    @property
    def terms(self) -> dict[str, Any]:
        """Return what a ladder is about; ladders of unlike terms are not to be compared."""
        return {
            "name": self.name,
            "profile": self.profile,
            "arch": str(self.arch),
            "engine": self.machine.engine,
            "engine_version": self.machine.engine_version,
            "epoch": self.epoch,
        }

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, no spaces, newline at the end."""
        data = _plain(dataclasses.asdict(dataclasses.replace(self, titles={})))
        del data["titles"]
        return json.dumps(data, sort_keys=True, separators=(",", ":")) + "\n"


def _plain(value: Any) -> Any:
    """Write numbers so that every Nix passes them on as they are.

    builtins.toJSON writes 2.0 as 2 up to Nix 2.8 and as 2.0 in later ones, and has six
    significant digits in the former, all of them in the latter. Whole numbers and those of
    six digits are the same in both.
    """
    if isinstance(value, float):
        short = float(f"{value:.6g}")
        return int(short) if short.is_integer() else short
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return value
