"""Parses `RUN --mount`: https://docs.docker.com/reference/dockerfile/#run---mount"""

import csv
import hashlib
import re
from difflib import get_close_matches

from vcr.dockerfile.state import State
from vcr.dockerfile.syntax import Instruction

COMMON = frozenset({"type", "target"})
OPTIONS = {
    "bind": COMMON | {"source", "from", "rw", "readonly"},
    "cache": COMMON | {"id", "source", "from", "mode", "uid", "gid", "sharing", "readonly", "rw"},
    "tmpfs": COMMON | {"size"},
    "secret": COMMON | {"id", "required", "mode", "uid", "gid", "env"},
}
SYNONYMS = {
    "dst": "target",
    "destination": "target",
    "src": "source",
    "ro": "readonly",
    "readwrite": "rw",
}
# As Go's strconv.ParseBool, which BuildKit reads them by.
TRUE, FALSE = (
    frozenset(["1", "t", "T", "TRUE", "true", "True"]),
    frozenset(["0", "f", "F", "FALSE", "false", "False"]),
)
SWITCHES = frozenset({"rw", "readonly", "required"})
SHARING = ("shared", "private", "locked")
_SIZE = re.compile(r"([0-9]{1,15})([kmg]?)b?", re.IGNORECASE)
MAX_NUMBER = (1 << 31) - 1  # as of owners: vcr.formats.users


def parse_mount(state: State, instruction: Instruction, text: str) -> dict[str, str]:
    """Return the options of one --mount=TEXT, synonyms resolved; raises UsageError.

    A switch that is off is left out.
    """
    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise instruction.mistake(
            f"--mount={text} cannot be read", fix="quote a value with a comma"
        ) from None
    options = {"type": "bind"}
    for field in fields:
        key, equals, value = field.partition("=")
        key = SYNONYMS.get(key.strip().lower(), key.strip().lower())
        if key == "from" and "$" in value:
            raise instruction.mistake(
                f"--mount: from={value} has a variable",
                why="Docker does not expand it",
                fix="write `FROM IMAGE AS name` and from=name",
            )
        value = state.expand(value, instruction.at)
        if key in SWITCHES and equals and value not in TRUE:
            if value not in FALSE:
                raise instruction.mistake(
                    f"--mount: {key}={value} is neither true nor false", fix=f"write {key}=true"
                )
            continue
        if key not in SWITCHES and not equals:
            raise instruction.mistake(f"--mount: {field} has no value", fix=f"write {field}=VALUE")
        if key != "from" or value:  # an empty one is the build context
            options[key] = value
    _check(instruction, options)
    return options


def _check(instruction: Instruction, options: dict[str, str]) -> None:
    kind = options["type"]
    if kind not in OPTIONS:
        raise instruction.mistake(
            f"--mount=type={kind} is not supported",
            why="a build has no ssh agent" if kind == "ssh" else "",
            fix=f"use one of {', '.join(OPTIONS)}",
        )
    for key in options:
        if key not in OPTIONS[kind]:
            near = get_close_matches(key, OPTIONS[kind], n=1)
            raise instruction.mistake(
                f"--mount=type={kind} has no option {key}",
                fix=f"did you mean {near[0]}?"
                if near
                else f"it has {', '.join(sorted(OPTIONS[kind]))}",
            )
    if options.get("sharing", SHARING[0]) not in SHARING:
        raise instruction.mistake(
            f"--mount: sharing={options['sharing']} is not supported",
            fix=f"use one of {', '.join(SHARING)}",
        )


def parse_size(instruction: Instruction, text: str) -> int:
    """Return the bytes that a size such as 64m means; raises UsageError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise instruction.mistake(
            f"--mount: {text} is not a size", fix="write a number and k, m or g"
        )
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()]


def integer(
    instruction: Instruction, options: dict[str, str], key: str, default: int, *, base: int = 10
) -> int:
    """Return the number that option KEY is; raises UsageError."""
    try:
        number = int(options[key], base) if key in options else default
    except ValueError:
        raise instruction.mistake(f"--mount: {key}={options[key]} is not a number") from None
    if not 0 <= number <= MAX_NUMBER:
        raise instruction.mistake(f"--mount: {key}={options[key]} is out of range")
    return number


def placeholder(secret: str) -> str:
    """Return what a step sees instead of a secret.

    The secret itself never gets near a build: while locking, the recorder puts it where
    this stands in a request.
    """
    return f"vcr-secret-{hashlib.sha256(secret.encode()).hexdigest()[:24]}"
