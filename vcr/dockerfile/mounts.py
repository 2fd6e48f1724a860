"""Parses `RUN --mount`: https://docs.docker.com/reference/dockerfile/#run---mount"""

import csv
import hashlib
import re
from difflib import get_close_matches
from fractions import Fraction

from vcr.dockerfile.state import State
from vcr.dockerfile.syntax import Instruction

COMMON = frozenset({"type", "target"})
OPTIONS = {
    "bind": COMMON | {"source", "from", "rw", "readonly"},
    "cache": COMMON | {"id", "source", "from", "mode", "uid", "gid", "sharing", "readonly", "rw"},
    "tmpfs": COMMON | {"size"},
    "secret": COMMON | {"id", "source", "required", "mode", "uid", "gid", "env"},
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
# As RAMInBytes of github.com/docker/go-units, which BuildKit reads them by.
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([kmgt]?)i?b?", re.IGNORECASE)
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
    options, bare = {"type": "bind"}, ""
    for field in fields:
        key, equals, value = field.partition("=")
        key = SYNONYMS.get(key.strip().lower(), key.strip().lower())
        if key == "from":
            refuse_variable(instruction, f"--mount: from={value}", value)
        value = state.expand(value, instruction.at)
        if key in SWITCHES and equals and value not in TRUE:
            if value not in FALSE:
                raise instruction.mistake(
                    f"--mount: {key}={value} is neither true nor false", fix=f"write {key}=true"
                )
            continue
        if key not in SWITCHES and not equals:
            bare = bare or field
        if key in {"type", "sharing"}:
            value = value.lower()
        if key != "from" or value:  # an empty one is the build context
            options[key] = value
    _check(instruction, options)
    if bare:
        raise instruction.mistake(f"--mount: {bare} has no value", fix=f"write {bare}=VALUE")
    _name_secret(instruction, options)
    return options


def refuse_variable(instruction: Instruction, what: str, value: str) -> None:
    """Raise UsageError when VALUE, of a `from` that messages call WHAT, has a variable."""
    if "$" in value:
        raise instruction.mistake(
            f"{what} has a variable",
            why="Docker does not expand it",
            fix=f"write `FROM {value} AS name`, with an ARG before the first FROM, and from=name",
        )


def _name_secret(instruction: Instruction, options: dict[str, str]) -> None:
    """Let the source of a secret be its id, as BuildKit does; raises UsageError for both."""
    if options["type"] != "secret" or "source" not in options:
        return
    if "id" in options:
        raise instruction.mistake("--mount=type=secret has id and source", fix="leave source out")
    options["id"] = options.pop("source")


def _check(instruction: Instruction, options: dict[str, str]) -> None:
    kind = options["type"]
    if kind not in OPTIONS:
        raise instruction.mistake(
            f"--mount=type={kind} is not supported",
            why="a build has no ssh agent" if kind == "ssh" else "",
            fix="fetch over https: with ADD, or with a token in --mount=type=secret"
            if kind == "ssh"
            else f"use one of {', '.join(OPTIONS)}",
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
            f"--mount: {text} is not a size", fix="write a number and k, m, g or t"
        )
    unit = 1 << {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[match[2].lower()]
    return int(Fraction(match[1]) * unit)


def integer(
    instruction: Instruction, options: dict[str, str], key: str, default: int, *, base: int = 10
) -> int:
    """Return the number that option KEY is; raises UsageError."""
    try:
        number = int(options[key], base) if key in options else default
    except ValueError:
        fix = f"write {key}={'0755' if base == 8 else '1000'}"
        raise instruction.mistake(
            f"--mount: {key}={options[key]} is not a number", fix=fix
        ) from None
    if not 0 <= number <= MAX_NUMBER:
        raise instruction.mistake(
            f"--mount: {key}={options[key]} is out of range", fix=f"write at most {MAX_NUMBER}"
        )
    return number


def placeholder(secret: str) -> str:
    """Return what a step sees instead of a secret.

    The secret itself never gets near a build: while locking, the recorder puts it where
    this stands in a request.
    """
    return f"vcr-secret-{hashlib.sha256(secret.encode()).hexdigest()[:24]}"
