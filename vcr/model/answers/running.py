"""What is printed of machines, and of this host."""

from typing import ClassVar, Literal

from pydantic import Field

from vcr.model.answers.base import Answer


class ForwardRow(Answer):
    """A port of this host that leads to one of the app."""

    address: str = Field(description="of this host")
    host: int = Field(description="port of this host")
    guest: int = Field(description="port of the app")
    protocol: str = Field(description="`tcp` or `udp`")


class Machine(Answer):
    """A machine or container that runs: of `up`, `run`, and within `ps`."""

    verb: ClassVar[str] = "up, run"

    name: str = Field(description="of the project")
    project: str = Field(description="its directory")
    profile: str = Field(description="its profile")
    pid: int = Field(description="of its process")
    created: float = Field(description="when it was started, in seconds since 1970")
    forwards: list[ForwardRow] = Field(description="its ports")
    status: str = Field(description="`starting`, `healthy`, `unhealthy`, `exited` or `unknown`")


class Ps(Answer):
    """The machines of this user."""

    verb: ClassVar[str] = "ps"

    machines: list[Machine] = Field(description="each one")


class VolumeRow(Answer):
    """A volume that is kept."""

    name: str = Field(description="of the volume")
    service: str = Field(description='the service that has it, `""` for the app itself')
    project: str = Field(description="the project's directory")
    path: str = Field(description="where its files are on this host")
    size: int = Field(description="bytes on this host")


class Volumes(Answer):
    """The volumes of this user."""

    verb: ClassVar[str] = "ps --volumes"

    volumes: list[VolumeRow] = Field(description="each one")


class Down(Answer):
    """What was stopped."""

    verb: ClassVar[str] = "down"

    stopped: list[str] = Field(description="names of projects")
    volumes: list[VolumeRow] = Field(description="volumes that were removed")


class Exec(Answer):
    """What a command in a machine did."""

    verb: ClassVar[str] = "exec, cat"

    code: int = Field(description="its exit code")
    stdout: str = Field(description="its output; bytes that are not UTF-8 are replaced")
    stderr: str = Field(description="likewise")


class Cp(Answer):
    """What was copied."""

    verb: ClassVar[str] = "cp"

    source: str = Field(description="as it was given")
    target: str = Field(description="likewise")


class SshConfig(Answer):
    """How ssh reaches a machine."""

    verb: ClassVar[str] = "ssh-config"

    host: str = Field(description="its name for ssh")
    config: str = Field(description="lines of ssh_config(5)")


class Finding(Answer):
    """The result of one check."""

    name: str = Field(description="the thing that was checked")
    grade: Literal["ok", "warning", "missing"] = Field(description="the result")
    found: str = Field(description="what was found")
    fix: str = Field(description="what to do; may be empty")


class Doctor(Answer):
    """What this host has and lacks."""

    verb: ClassVar[str] = "doctor"

    findings: list[Finding] = Field(description="each one")
