"""Samples of a running machine, taken by guest/sampler, which is brought there when needed."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from pydantic import (
    BaseModel,
    ConfigDict,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from vcr.agent.client import NoAnswerError
from vcr.agent.debug import Request, ask
from vcr.engines.exec import MachineInside
from vcr.errors import VcrError
from vcr.foreign import MAX_LINE
from vcr.perf.profile import Profile, fold
from vcr.perf.symbols import KernelSymbols
from vcr.perf.target import Target
from vcr.runtime.exec import answer

PLACE = "/run/vcr"  # memory of the machine
NANOSECONDS = 1_000_000_000
MAX_COMPLAINT = 4096  # bytes


@dataclass(frozen=True)
class Options:
    """How to sample."""

    frequency: int  # a second of the machine's time
    seconds: float  # 0: until nobody listens any more
    every: float  # seconds between reports
    only_app: bool  # the app's container, without the rest of the machine


@dataclass(frozen=True)
class Report:
    """What was seen in a stretch of time."""

    seconds: float
    lost: int
    stacks: Counter[str]


def sample(
    channel: Path, program: bytes, options: Options, kernel: KernelSymbols
) -> Iterator[Report]:
    """Yield what PROGRAM, guest/sampler, sees in the machine at CHANNEL; raises VcrError."""
    argv = [_bring(channel, program)]
    argv += ["-frequency", str(options.frequency), "-every", str(options.every)]
    argv += ["-seconds", str(options.seconds), *(("-app",) if options.only_app else ())]
    for line in _lines(channel, tuple(argv)):
        yield _report(line, kernel)


def total(reports: Iterable[Report], target: Target, options: Options) -> Profile:
    """Return the profile of TARGET that REPORTS make together."""
    stacks: Counter[str] = Counter()
    duration, lost = 0.0, 0
    for report in reports:
        stacks += report.stacks
        duration += report.seconds
        lost += report.lost
    return Profile(
        name=target.name,
        profile=target.profile,
        clock="time",
        every=NANOSECONDS // options.frequency,
        duration=round(duration, 3),
        lost=lost,
        stacks=dict(stacks),
    )


class _Stack(BaseModel):
    model_config = ConfigDict(strict=True)

    process: str
    count: PositiveInt
    frames: list[str]


class _Line(BaseModel):
    """What guest/sampler prints of an interval: guest/sampler/main.go."""

    model_config = ConfigDict(strict=True)

    seconds: FiniteFloat
    lost: NonNegativeInt
    stacks: list[_Stack]


def _report(line: bytes, kernel: KernelSymbols) -> Report:
    """Read LINE; raises VcrError."""
    try:
        told = _Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        why = f"{where}: {first['msg']}"
        raise VcrError("the machine's sampler sends invalid data", why=why) from None
    stacks: Counter[str] = Counter()
    for stack in told.stacks:
        frames = [kernel.resolve(frame) for frame in stack.frames]
        stacks[fold(stack.process, frames)] += stack.count
    return Report(told.seconds, told.lost, stacks)


def _bring(channel: Path, program: bytes) -> str:
    """Put PROGRAM into the machine unless it is there, and return its path; raises VcrError."""
    path = f"{PLACE}/sampler-{hashlib.sha256(program).hexdigest()[:16]}"
    machine = MachineInside(channel, lambda: None)
    if answer(machine, Request(argv=("test", "-x", path), system=True)).code == 0:
        return path
    script = f"gunzip > {path}.$$ && chmod 700 {path}.$$ && mv {path}.$$ {path}"
    with TemporaryFile() as packed:
        packed.write(zlib.compress(program, wbits=zlib.MAX_WBITS | 16))
        packed.seek(0)
        request = Request(argv=("sh", "-c", script), system=True, has_input=True)
        done = answer(machine, request, packed.fileno())
    if done.code:
        why = done.err.decode("utf-8", "replace").strip()
        raise VcrError("the machine does not accept the sampler", why=why)
    return path


def _lines(channel: Path, argv: tuple[str, ...]) -> Iterator[bytes]:
    """Yield the lines that the command ARGV prints in the machine; raises VcrError."""
    out, complaint = b"", b""
    try:
        for piece in ask(channel, Request(argv=argv, system=True)):
            if piece.kind == "exit" and piece.code:
                said = complaint.decode("utf-8", "replace").strip()
                why = said or f"the sampler ended with {piece.code}"
                raise VcrError("the machine cannot be sampled", why=why)
            if piece.kind == "err":
                complaint = (complaint + piece.data)[-MAX_COMPLAINT:]
                continue
            *whole, out = (out + piece.data).split(b"\n")
            yield from whole
            if len(out) > MAX_LINE:
                raise VcrError("the machine's sampler sends endless data")
    except NoAnswerError as error:
        raise VcrError("the machine does not answer", why=str(error)) from None
