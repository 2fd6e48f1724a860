"""The instructions that only change an image's config or the variables.

Each function applies one instruction to a State. Keys and their meaning:
https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md, and Docker's
additions Healthcheck, Shell and OnBuild.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from vcr.dockerfile.state import State
from vcr.dockerfile.syntax import Instruction, parse_instruction
from vcr.dockerfile.text import LogicalLine
from vcr.model.duration import parse_duration
from vcr.model.sections.stop_signal import is_signal

NANOSECONDS = 1_000_000_000
LEAST_SECONDS = 0.001  # of a health check's times; 0 is the default
# [ADDRESS:][HOST:]PORTS[/PROTOCOL], as for `docker run -p`; BuildKit takes what is before the
# last colon and does nothing with it.
_PORTS = re.compile(r"(?:.*:)?([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp)?)?", re.IGNORECASE)
_RETRIES = re.compile(r"[0-9]{1,6}")
MAX_PORTS = 200_000  # that one EXPOSE may name; there are 65535 of each protocol


def env(state: State, instruction: Instruction) -> None:
    """ENV name=value ... or ENV name value."""
    for name, value in _pairs(state, instruction):
        state.set_env(name, value, instruction.at)


def label(state: State, instruction: Instruction) -> None:
    """LABEL name=value ..."""
    state.section("Labels", {}).update(_pairs(state, instruction))


def maintainer(state: State, instruction: Instruction) -> None:
    """MAINTAINER name, deprecated: the author of the image."""
    state.author = instruction.rest


def arg(
    state: State, instruction: Instruction, given: Mapping[str, str], known: Mapping[str, str]
) -> None:
    """ARG name[=default] ...: a GIVEN value wins, then the default, then what is KNOWN.

    Known are the ARGs before the first FROM and the platform's.
    """
    for at, word in instruction.words():
        name, equals, default = word.partition("=")
        if not name:
            raise instruction.mistake("ARG needs a name", fix="write ARG NAME or ARG NAME=value")
        if name in given:
            state.set_arg(name, given[name], at)
        elif equals:
            state.set_arg(name, state.expand(default, at), at)
        elif name in known:
            state.set_arg(name, known[name], at)


def cmd(state: State, instruction: Instruction) -> None:
    """CMD: the default command, or arguments of the entry point."""
    state.config["Cmd"] = state.command(instruction)
    state.has_own_cmd = True


def entrypoint(state: State, instruction: Instruction) -> None:
    """ENTRYPOINT: drops a CMD that came from the base."""
    state.config["Entrypoint"] = state.command(instruction)
    if not state.has_own_cmd:
        state.config.pop("Cmd", None)


def user(state: State, instruction: Instruction) -> None:
    """USER name[:group] or numbers; looked up when the machine is built."""
    state.config["User"] = state.expand(instruction.rest, instruction.at)


def expose(state: State, instruction: Instruction) -> None:
    """EXPOSE port[-port][/protocol] ..."""
    ports, named = state.section("ExposedPorts", {}), 0
    for at, word in instruction.words():
        for text in state.expand(word, at).split():
            match = _PORTS.fullmatch(text)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
            named += last - first + 1
            if named > MAX_PORTS:
                raise instruction.mistake(f"EXPOSE names more than {MAX_PORTS} ports")
            if match is None or not 1 <= first <= last <= 65535:
                raise instruction.mistake(
                    f"{text!r} is not a port", fix="write 8000, 8000-8010 or 53/udp"
                )
            for port in range(first, last + 1):
                ports[f"{port}/{(match[3] or 'tcp').lower()}"] = {}


def volume(state: State, instruction: Instruction) -> None:
    """VOLUME: JSON list or words."""
    words = instruction.json
    at = instruction.at
    paths = words if words is not None else tuple(word for _, word in instruction.words())
    if not paths:
        raise instruction.mistake("VOLUME needs a path", fix="write VOLUME /PATH")
    for path in paths:
        name = state.expand(path, at)
        if not name:
            raise instruction.mistake("VOLUME needs a path", fix="write VOLUME /PATH")
        state.section("Volumes", {})[name] = {}


def stopsignal(state: State, instruction: Instruction) -> None:
    """STOPSIGNAL name or number."""
    signal = state.expand(instruction.rest, instruction.at)
    if not is_signal(signal):
        raise instruction.mistake(f"{signal!r} is not a signal", fix="write SIGTERM or 15")
    state.config["StopSignal"] = signal


def shell(state: State, instruction: Instruction) -> None:
    """SHELL in exec form."""
    words = instruction.json
    if not words:
        raise instruction.mistake(
            "SHELL takes the exec form only", fix='write SHELL ["/bin/bash", "-c"]'
        )
    state.config["Shell"] = list(words)


def healthcheck(state: State, instruction: Instruction) -> None:
    """HEALTHCHECK [--flags] CMD command, or NONE."""
    kind, command = [*instruction.rest.split(None, 1), ""][:2]
    if kind.upper() == "NONE":
        if command.strip() or instruction.flags:
            raise instruction.mistake(
                "HEALTHCHECK NONE takes nothing else", fix="write HEALTHCHECK NONE alone"
            )
        state.config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if kind.upper() != "CMD" or not command.strip():
        near = get_close_matches(kind.upper(), ("CMD", "NONE"), n=1)
        raise instruction.mistake(
            f"HEALTHCHECK takes CMD or NONE, not {kind!r}",
            fix=f"did you mean {near[0]}?" if near else "HEALTHCHECK CMD command",
        )
    text = command.strip()
    inner = Instruction("CMD", instruction.line, {}, text, instruction.offset, instruction.escape)
    words = inner.json
    if words == ():
        raise instruction.mistake(
            "HEALTHCHECK CMD needs a command", fix="write HEALTHCHECK CMD COMMAND"
        )
    check: dict[str, object] = {"Test": ["CMD", *words] if words else ["CMD-SHELL", text]}
    for flag, key in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ):
        value = instruction.flag(flag)
        if value is not None:
            check[key] = round(_duration(instruction, flag, value) * NANOSECONDS)
    retries = instruction.flag("retries")
    if retries is not None:
        check["Retries"] = _retries(instruction, retries)
    state.config["Healthcheck"] = check


def onbuild(state: State, instruction: Instruction) -> None:
    """ONBUILD: kept for the image that builds on this one."""
    at = instruction.line.position(instruction.offset)
    line = LogicalLine(at.file, instruction.rest, ((0, at.line, at.column),))
    inner = parse_instruction(line, instruction.escape)
    if inner.keyword in {"ONBUILD", "FROM", "MAINTAINER"}:
        raise instruction.mistake(
            f"ONBUILD {inner.keyword} is not allowed", fix="keep another instruction for later"
        )
    state.section("OnBuild", []).append(instruction.trigger)


HANDLERS: dict[str, Callable[[State, Instruction], None]] = {
    "CMD": cmd,
    "ENTRYPOINT": entrypoint,
    "ENV": env,
    "EXPOSE": expose,
    "HEALTHCHECK": healthcheck,
    "LABEL": label,
    "MAINTAINER": maintainer,
    "ONBUILD": onbuild,
    "SHELL": shell,
    "STOPSIGNAL": stopsignal,
    "USER": user,
    "VOLUME": volume,
}


def _pairs(state: State, instruction: Instruction) -> list[tuple[str, str]]:
    """Read `name=value ...`, or the old form `name value with spaces`."""
    words = instruction.words()
    if "=" not in words[0][1]:
        at, name = words[0]
        value = instruction.rest[len(name) :].strip()
        if not value:
            raise instruction.mistake(
                f"{instruction.keyword} {name} has no value",
                fix=f"write {instruction.keyword} {name}=value",
            )
        return [(state.expand(name, at), state.expand(value, at))]
    pairs = []
    for at, word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise instruction.mistake(
                f"{word!r} is not of the form name=value", fix="quote a value that has spaces"
            )
        pairs.append((state.expand(name, at), state.expand(value, at)))
    return pairs


def _retries(instruction: Instruction, value: str) -> int:
    if not _RETRIES.fullmatch(value):
        raise instruction.mistake(f"--retries is a number, not {value!r}", fix="write --retries=3")
    return int(value)


def _duration(instruction: Instruction, flag: str, value: str) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise instruction.mistake(f"--{flag}: {error}", fix=f"write --{flag}=5s") from None
    if 0 < seconds < LEAST_SECONDS:
        raise instruction.mistake(f"--{flag}: {value} is less than 1ms", fix="write 1ms or more")
    return seconds
