"""[base.NAME] of vcr.toml: what `FROM NAME` starts from."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from vcr.model.sections.additions import Inside, UserName, UserNumber, check_additions
from vcr.model.sections.stop_signal import is_signal
from vcr.model.sections.values import Port, Section, Text, matching
from vcr.model.url import ImageName

_SNAPSHOT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SUITE = re.compile(r"[a-z][a-z0-9-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIRECTORY = re.compile(r"/[^\x00-\x1f\x7f]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.\-]+")  # Debian policy 5.6.1

type Package = Annotated[
    str,
    matching(_PACKAGE, "the name of a Debian package"),
    Field(description="name of a Debian package"),
]
type Suite = Annotated[
    str,
    matching(_SUITE, "a suite of Debian such as trixie"),
    Field(description="name of a suite of Debian"),
]
type Snapshot = Annotated[
    str,
    matching(_SNAPSHOT, "a time such as 20261122T000000Z"),
    Field(description='time such as `"20261122T000000Z"`'),
]

type EnvName = Annotated[
    str, matching(_VARIABLE, "the name of a variable"), Field(description="name of a variable")
]
type Directory = Annotated[
    str, matching(_DIRECTORY, "an absolute path such as /app"), Field(description="absolute path")
]


def _signal(text: str) -> str:
    if not is_signal(text):
        raise ValueError(f"{text!r} is not a signal such as SIGQUIT")
    return text


type Signal = Annotated[
    str,
    AfterValidator(_signal),
    Field(description='signal such as `"SIGQUIT"`'),
]
# Of [base.NAME]: what is of the image and not of what is locked.
CONFIG_KEYS = ("env", "entrypoint", "cmd", "workdir", "user", "ports", "stop_signal")
IMAGE_KEYS = (*CONFIG_KEYS, "files", "links", "users")


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
    env: dict[EnvName, Text] = Field(
        default_factory=dict, description="variables, as ENV would set them (packages only)"
    )
    entrypoint: tuple[Text, ...] = Field(
        default=(), strict=False, description="as ENTRYPOINT (packages only)"
    )
    cmd: tuple[Text, ...] = Field(default=(), strict=False, description="as CMD (packages only)")
    workdir: Directory | None = Field(default=None, description="as WORKDIR (packages only)")
    user: Text | None = Field(default=None, description="as USER (packages only)")
    ports: tuple[Port, ...] = Field(
        default=(), strict=False, description="as EXPOSE (packages only)"
    )
    stop_signal: Signal | None = Field(default=None, description="as STOPSIGNAL (packages only)")
    files: dict[Inside, Text] = Field(
        default_factory=dict,
        description="files to add, or to replace: what is in them; executable if that begins"
        " with `#!` (packages only)",
    )
    links: dict[Inside, Text] = Field(
        default_factory=dict, description="symbolic links to add: where they lead (packages only)"
    )
    users: dict[UserName, UserNumber] = Field(
        default_factory=dict,
        description="users to add, each with a group; from 1000 on with a home (packages only)",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "Base":
        if sum((bool(self.packages), bool(self.image), bool(self.oci))) != 1:
            raise ValueError("give exactly one of packages, image and oci")
        if self.packages:
            check_additions(self.files, self.links, self.users)
            return self
        for key in ("configure", *IMAGE_KEYS):
            if getattr(self, key):
                raise ValueError(f"{key} is for packages; an image has its own")
        return self

    @property
    def source(self) -> "Base":
        """Return the same without its image's config: what a lock is about."""
        return Base.model_validate(self.model_dump(exclude=set(IMAGE_KEYS)))

    @property
    def image_config(self) -> dict[str, Any]:
        """Return the object `config` of an OCI image config that the keys describe."""
        config: dict[str, Any] = {
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "WorkingDir": self.workdir,
            "User": self.user,
            "ExposedPorts": {f"{port}/tcp": {} for port in self.ports},
            "StopSignal": self.stop_signal,
        }
        return {key: value for key, value in config.items() if value}
