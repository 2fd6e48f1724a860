"""What of a host a container is shown, and where: HOST:PATH[:ro], as docker-run(1) has it."""

import re
from dataclasses import dataclass

# The path inside has no colon; what is before may, so that a directory can be called a:b.
_FORM = re.compile(r"(?P<source>.+):(?P<target>/[^:]*)(?::(?P<mode>ro|rw))?", re.DOTALL)


def split_volume(text: str) -> tuple[str, str, bool]:
    """Return source, target and whether it is read-only of TEXT; raises ValueError."""
    match = _FORM.fullmatch(text)
    if match is None or ".." in match["target"].split("/") or "\0" in text:
        raise ValueError(f"{text!r} is not a volume such as data:/var/lib/data")
    return match["source"], match["target"], match["mode"] == "ro"


# https://github.com/moby/moby/blob/v28.0.0/daemon/names/names.go
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")


@dataclass(frozen=True)
class VolumeMount:
    """A volume with a name, and where the app is to see it."""

    name: str
    target: str  # absolute
    read_only: bool = False


def is_name(source: str) -> bool:
    """Return whether SOURCE of a volume is its name, and no path."""
    return _NAME.fullmatch(source) is not None
