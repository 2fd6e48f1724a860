"""What each layer is called while it is built: the words of its instruction, and its number.

As BuildKit shows them: `[build 2/5] RUN make`, with the name of the stage where the Dockerfile
has several, and where several platforms are built `[linux/ARCH build 2/5] RUN make`. FROM an
image of elsewhere is counted, and so is all that may make a layer:
https://github.com/moby/buildkit/blob/v0.13.0/frontend/dockerfile/dockerfile2llb/convert.go
(cmdTotal, prefixCommand).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter

from vcr.dockerfile.syntax import Dockerfile, Instruction, Stage
from vcr.model.arch import Arch

COUNTED = frozenset({"ADD", "COPY", "RUN", "WORKDIR"})
MAX_CHARACTERS = 1000


@dataclass(frozen=True)
class Asked:
    """A layer, and which instruction asks for it."""

    ident: str
    words: str
    stage: Stage | None = None  # None: it is not counted
    arch: Arch | None = None  # of what it is for


def of_base(image: str, idents: Sequence[str], stage: Stage | None, arch: Arch) -> Iterator[Asked]:
    """Yield what asks for the layers IDENTS of IMAGE for ARCH, which STAGE is made from."""
    yield Asked(idents[0], f"FROM {image}", stage, arch)
    for ident in idents[1:]:
        what = "its packages are configured" if ident.endswith(".configured") else "its additions"
        yield Asked(ident, f"FROM {image}, {what}", arch=arch)


def of_instruction(ident: str, instruction: Instruction, stage: Stage, arch: Arch) -> Asked:
    """Return what asks for the layer IDENT: INSTRUCTION of STAGE, which is for ARCH."""
    text = " ".join(instruction.line.text.split())
    words = f"{instruction.keyword}{text[len(instruction.keyword) :]}"
    if instruction.heredocs:
        first, *more = instruction.heredocs[0].content.strip().split("\n")
        words = f"{words} ({first.strip()}{'…' if more else ''})"
    return Asked(ident, words, stage, arch)


def titles(asked: Sequence[Asked], dockerfile: Dockerfile) -> dict[str, str]:
    """Return what each layer of ASKED, by id, is called; the first that asks for one names it."""
    several = len(dockerfile.stages) > 1
    platforms = len({step.arch for step in asked if step.arch}) > 1
    totals = Counter(step.stage.index for step in asked if step.stage)
    seen: Counter[int] = Counter()
    found: dict[str, str] = {}
    for step in _in_order(asked):
        prefix = platform = f"linux/{step.arch} " if platforms and step.arch else ""
        if platform and not step.stage:
            prefix = f"[{platform.strip()}] "
        if step.stage:
            seen[step.stage.index] += 1
            total = str(totals[step.stage.index])
            name = f"{_name(step.stage)} " if several else ""
            prefix = f"[{platform}{name}{seen[step.stage.index]:>{len(total)}}/{total}] "
        found.setdefault(step.ident, _cut(f"{prefix}{step.words}"))
    return found


def _in_order(asked: Sequence[Asked]) -> list[Asked]:
    """Return ASKED by stages; what is not counted stays after what it came with."""
    stages = accumulate((step.stage.index if step.stage else -1 for step in asked), _last)
    pairs = sorted(zip(stages, asked, strict=True), key=itemgetter(0))
    return [step for _, step in pairs]


def _last(before: int, now: int) -> int:
    return before if now < 0 else now


def _name(stage: Stage) -> str:
    return stage.name or f"stage-{stage.index}"


def _cut(title: str) -> str:
    return f"{title[:MAX_CHARACTERS]}…" if len(title) > MAX_CHARACTERS else title
