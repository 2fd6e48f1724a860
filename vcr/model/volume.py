"""What of a host a container is shown, and where: HOST:PATH[:ro], as docker-run(1) has it."""

import re

# The path inside has no colon; what is before may, so that a directory can be called a:b.
_FORM = re.compile(r"(?P<source>.+):(?P<target>/[^:]*)(?::(?P<mode>ro|rw))?", re.DOTALL)


def split_volume(text: str) -> tuple[str, str, bool]:
    """Return source, target and whether it is read-only of TEXT; raises ValueError."""
    match = _FORM.fullmatch(text)
    if match is None or ".." in match["target"].split("/") or "\0" in text:
        raise ValueError(f"{text!r} is not a volume such as data:/var/lib/data")
    return match["source"], match["target"], match["mode"] == "ro"
