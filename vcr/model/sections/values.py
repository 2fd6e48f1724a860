"""Values of keys of vcr.toml, and what its sections have in common."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from vcr.model.arch import platform_arch
from vcr.model.duration import LONGEST, parse_duration

# The path component grammar of the OCI distribution specification 1.1, "Pulling manifests".
NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_EXPOSED = re.compile(r"([0-9]{1,5})(?:/(tcp|udp))?")
_HOST = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, in lower case
_MEMORY = re.compile(r"([0-9]{1,9})\s*(MiB|GiB)")
MAX_MEMORY = 1 << 20  # MiB
MAX_DISK = 64 << 10  # MiB; a kernel keeps 16 MiB for each GiB
LONGEST_NAME = 128  # characters; a part of the names of files, which have 255 at most


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


def _platform(text: str) -> str:
    return f"linux/{platform_arch(text)}"


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"{text!r} has a NUL, which no program can be given")
    return text


def _exposed(value: int | str) -> int | str:
    match = _EXPOSED.fullmatch(str(value))
    is_port = match is not None and isinstance(value, str) == bool(match[2])
    if match is None or not is_port or not 1 <= int(match[1]) <= 65535:
        raise ValueError(f"{value!r} is not a port, 1 to 65535, or one such as 53/udp")
    return f"{int(match[1])}/{match[2]}" if match[2] else int(match[1])


def matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    """Return what refuses a text that PATTERN does not match; WHAT says what it should be."""

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
type ExposedPort = Annotated[
    int | str,
    AfterValidator(_exposed),
    Field(description='port, 1 to 65535, or one such as `"53/udp"`'),
]
type Memory = Annotated[
    int,
    BeforeValidator(_memory),
    Field(ge=64, le=MAX_MEMORY, description='memory such as `"512 MiB"`'),
]
type Disk = Annotated[
    int,
    BeforeValidator(_memory),
    Field(ge=64, le=MAX_DISK, description='size such as `"4 GiB"`'),
]
type Name = Annotated[
    str,
    Field(max_length=LONGEST_NAME, description="lower-case name"),
    matching(NAME, "a lower-case image name such as hello or my-app"),
]
type Platform = Annotated[
    str,
    AfterValidator(_platform),
    Field(description='platform such as `"linux/riscv64"`'),
]
type Text = Annotated[str, AfterValidator(_without_nul), Field(description="text")]
type ServiceName = Annotated[str, matching(_HOST, "a host name such as db")]


class Section(BaseModel):
    """What sections have in common: an unknown key is an error, and so is a wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
