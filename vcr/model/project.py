"""A project: a directory with a Dockerfile and, if it likes, a vcr.toml.

Everything in vcr.toml is optional. An unknown key is an error that names the
nearest one; every message says where in the file it is about.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from vcr.errors import UsageError
from vcr.model.duration import parse_duration

CONFIG_FILE = "vcr.toml"
LOCK_FILE = "vcr.lock"

# The path component grammar of the OCI distribution specification 1.1, "Pulling manifests".
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_MEMORY = re.compile(r"(\d+)\s*(MiB|GiB)")
_SNAPSHOT = re.compile(r"\d{8}T\d{6}Z")
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


type Duration = Annotated[float, BeforeValidator(_duration), Field(ge=0)]
type Port = Annotated[int, Field(ge=1, le=65535)]
type Memory = Annotated[int, BeforeValidator(_memory), Field(ge=64)]
type Name = Annotated[str, _matching(_NAME, "a lower-case image name such as hello or my-app")]
type Package = Annotated[str, _matching(_PACKAGE, "the name of a Debian package")]
type Snapshot = Annotated[str, _matching(_SNAPSHOT, "a time such as 20261122T000000Z")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ProjectSection(_Section):
    """[project]"""

    name: Name | None = None  # default: the directory's name
    dockerfile: str = "Dockerfile"
    context: str = "."
    target: str | None = None  # stop at this stage of the Dockerfile


class Base(_Section):
    """[base.NAME]: what `FROM NAME` starts from; Debian packages or an OCI image."""

    suite: str = "trixie"
    packages: tuple[Package, ...] = Field(default=(), strict=False)
    snapshot: Snapshot | None = None  # default: the archive as it is at `vcr lock`
    configure: bool = False  # run the packages' scripts, so that apt-get works in RUN
    image: str | None = None  # registry reference
    oci: str | None = None  # OCI layout directory, relative to vcr.toml

    @model_validator(mode="after")
    def _one_kind(self) -> "Base":
        if sum((bool(self.packages), bool(self.image), bool(self.oci))) != 1:
            raise ValueError("give exactly one of packages, image and oci")
        if self.configure and not self.packages:
            raise ValueError("configure is for packages")
        return self


class MachineSection(_Section):
    """[machine]: the virtual machine of the stage and prod profiles."""

    memory: Memory = 512  # MiB
    cpus: Annotated[int, Field(ge=1, le=8)] = 1
    ports: tuple[Port, ...] = Field(default=(), strict=False)  # default: EXPOSE
    writable: bool = False  # a tmpfs over the app's root
    engine: Literal["qemu", "cartesi"] = "qemu"  # of the prod profile
    kernel: Literal["vcr", "debian"] = "vcr"  # Cartesi's machine has its own


class CartesiSection(_Section):
    """[engine.cartesi]: the Cartesi machine."""

    emulator: str = ""  # a .deb of machine-emulator instead of the pinned one


class EngineSection(_Section):
    """[engine]: settings of single engines."""

    cartesi: CartesiSection = CartesiSection()


class BuildSection(_Section):
    """[build]: the virtual machines that carry out RUN."""

    memory: Memory = 2048  # MiB; most of it is what a step may write
    pure_caches: tuple[str, ...] = Field(default=(), strict=False)  # ids of cache mounts


class NormalizeSection(_Section):
    """[normalize]: what is taken out of the layer of a RUN; see docs/run-steps.md."""

    ldconfig: bool = True
    apt_cache: bool = Field(default=True, alias="apt-cache")
    apt_lists: bool = Field(default=False, alias="apt-lists")  # a later step may need them
    logs: bool = True
    machine_id: bool = Field(default=True, alias="machine-id")
    backups: bool = True

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the names of the rules that are on."""
        return tuple(name for name, on in self.model_dump(by_alias=True).items() if on)


class HealthSection(_Section):
    """[health]: wins over the Dockerfile's HEALTHCHECK."""

    http: str | None = None  # path asked for from outside
    port: Port | None = None  # default: the first port
    command: tuple[str, ...] = Field(default=(), strict=False)  # run in the container
    interval: Duration = 30.0
    timeout: Duration = 30.0
    start_period: Duration = 0.0
    start_interval: Duration = 5.0
    retries: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _one_probe(self) -> "HealthSection":
        if self.http and self.command:
            raise ValueError("give either http or command, not both")
        if self.http and not self.http.startswith("/"):
            raise ValueError("http is a path and starts with /")
        return self


class Config(_Section):
    """All of vcr.toml."""

    project: ProjectSection = ProjectSection()
    args: dict[str, str] = Field(default_factory=dict)  # values for ARG
    base: dict[str, Base] = Field(default_factory=dict)
    build: BuildSection = BuildSection()
    normalize: NormalizeSection = NormalizeSection()
    machine: MachineSection = MachineSection()
    engine: EngineSection = EngineSection()
    health: HealthSection = HealthSection()


@dataclass(frozen=True)
class Project:
    """A project on disk, its configuration checked."""

    root: Path
    name: str
    config: Config
    dockerfile: Path
    context: Path

    @property
    def key(self) -> str:
        """Return a name for this checkout of the project, unique on this host."""
        place = hashlib.sha256(str(self.root).encode()).hexdigest()
        return f"{self.name}-{place[:12]}"

    @property
    def lock_file(self) -> Path:
        """Return the path of vcr.lock."""
        return self.root / LOCK_FILE


def load_project(root: Path) -> Project:
    """Read the project in directory ROOT; raises UsageError."""
    if not root.is_dir():
        raise UsageError(f"{root} is not a directory", fix="name a project's directory")
    root = root.resolve()
    config = _load_config(root / CONFIG_FILE)
    dockerfile = root / config.project.dockerfile
    context = (root / config.project.context).resolve()
    if not dockerfile.is_file():
        raise UsageError(
            f"there is no {config.project.dockerfile} in {root}",
            why="a project is a directory with a Dockerfile",
            fix="write one, or `vcr create NAME --template python` makes a whole project",
        )
    if not context.is_dir():
        raise UsageError(
            f"the build context {config.project.context!r} is not a directory",
            fix=f"change context in {CONFIG_FILE}",
        )
    return Project(root, config.project.name or _name_of(root), config, dockerfile, context)


def _name_of(root: Path) -> str:
    name = "-".join(re.findall(r"[a-z0-9]+", root.name.lower()))
    return name or "app"


def _load_config(path: Path) -> Config:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}", why=str(error)) from None
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path.name} is not valid TOML", why=str(error)) from None
    except ValidationError as error:
        raise _explain(error.errors()[0], text) from None


def _explain(error: ErrorDetails, text: str) -> UsageError:
    """Turn one of pydantic's errors into words about vcr.toml."""
    where = [str(part) for part in error["loc"]]
    line = _line_of(where, text)
    place = f"{CONFIG_FILE}:{line}" if line else CONFIG_FILE
    dotted = ".".join(where)
    if error["type"] == "extra_forbidden":
        known = _keys_at(where[:-1])
        near = get_close_matches(where[-1], known, n=1, cutoff=0.5)
        return UsageError(
            f"{place}: unknown key {dotted!r}",
            fix=f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}",
        )
    reason = error["msg"].removeprefix("Value error, ")
    return UsageError(f"{place}: {dotted or 'the file'} is wrong", why=reason)


def _line_of(where: list[str], text: str) -> int:
    """Find the line of a key: its table's header first, then the key below it."""
    lines, start = text.splitlines(), 0
    for depth in range(len(where), 0, -1):
        header = re.compile(rf"\s*\[\s*{re.escape('.'.join(where[:depth]))}\s*\]")
        found = next((n for n, line in enumerate(lines, 1) if header.match(line)), 0)
        if found:
            start = found
            break
    for number, line in enumerate(lines[start:], start + 1):
        if any(re.match(rf"\s*\"?{re.escape(part)}\"?\s*=", line) for part in where):
            return number
    return start


def _keys_at(where: list[str]) -> list[str]:
    model: Any = Config
    for name in _field_names(where):
        model = model.model_fields[name].default.__class__
    return sorted((Base if where[:1] == ["base"] else model).model_fields)


def _field_names(where: list[str]) -> Iterator[str]:
    yield from (name for name in where[:1] if name != "base")
