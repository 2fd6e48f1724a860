"""A build on one page of HTML that needs nothing else: no script, no address, no font.

Readable in light and in dark. What is the same in two builds is the same in their pages,
but for how long steps took, what was cached, and what is said of attestations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from vcr.build.builder import BuiltStage
from vcr.model.ladder import Rung
from vcr.report.files import File
from vcr.report.graph import Graph
from vcr.report.graph_svg import draw
from vcr.report.html import bar, document, folded, paragraph, section, table, word
from vcr.ui import human_size

HOW_TO_CHECK = (
    "Everybody who builds the same source gets the same digests; <code>vcr verify</code> compares"
    " them, and <code>vcr explain</code> says where two builds differ."
)
ONE_INSTRUCTION = (
    "The machine counts an instruction as a nanosecond, so these are times of its own clock,"
    " the same on every host."
)
NO_TIMELINE = (
    "Nothing is known of it. A machine that boots when it is started does so by the clock of"
    " its host; one of the profile prod, on the engine qemu, counts its instructions."
)
NO_ATTESTATION = (
    "No statement was given. vcr attest makes one; vcr report --attestation shows it here."
)


@dataclass(frozen=True)
class Milestone:
    """How far a machine has come after so many instructions."""

    name: str
    instructions: int


@dataclass(frozen=True)
class Component:
    """Something that the build is made of, by its bytes."""

    name: str
    version: str  # "" when its bytes do not say
    size: int  # bytes, as fetched; 0 when they are not counted
    digest: str
    address: str  # package URL, or where it is fetched from


@dataclass(frozen=True)
class Attested:
    """What came of verifying a file."""

    file: str
    holds: bool
    words: str  # what it says and who signed it, or why it does not hold
    is_kept: bool = False  # a receipt: it belongs to what holds, and was not verified

    @property
    def state(self) -> str:
        """Return what came of it, in a word or two."""
        return "verified" if self.holds else "kept" if self.is_kept else "not verified"


@dataclass(frozen=True)
class Report:
    """What the page shows."""

    title: str
    about: str  # one line: profile, architecture, epoch
    ladder: tuple[Rung, ...]
    graph: Graph
    stages: tuple[BuiltStage, ...]
    sizes: dict[str, tuple[int, int]]  # of each stage: own bytes, with all it refers to
    machine: tuple[tuple[str, str], ...]  # facts about the prod machine, if there is one
    boot: tuple[Milestone, ...]  # of the prod machine, in their order
    components: dict[str, tuple[Component, ...]]  # by what they are for
    attested: tuple[Attested, ...]
    files: tuple[File, ...]  # the largest


def page(report: Report) -> str:
    """Return the page."""
    sections = [
        *section("The digest ladder", _ladder(report)),
        *section("Attestations", _attested(report)),
        *section("What is built from what", ['<div class="wide">', draw(report.graph), "</div>"]),
        *section("Stages", _stages(report)),
        *(section("The machine", table((), report.machine)) if report.machine else ()),
        *section("From the first instruction to health", _boot(report)),
        *section("Components", _components(report)),
        *section("Largest files of the image", _files(report)),
    ]
    return document(report.title, report.about, sections)


def _ladder(report: Report) -> list[str]:
    rows = [(rung.name, str(rung.digest), human_size(rung.size)) for rung in report.ladder]
    return [*table(("rung", "digest", "size"), rows), f"<p>{HOW_TO_CHECK}</p>"]


def _attested(report: Report) -> list[str]:
    if not report.attested:
        return [paragraph(NO_ATTESTATION)]
    rows = [
        (
            each.file,
            each.state if each.is_kept else word(each.state, good=each.holds),
            each.words,
        )
        for each in report.attested
    ]
    return table(("file", "", "content, or why it does not hold"), rows)


def _stages(report: Report) -> list[str]:
    rows = [
        (
            stage.name,
            "cached" if stage.cached else f"{stage.seconds:.1f} s",
            stage.reason,
            *map(human_size, report.sizes[stage.name]),
        )
        for stage in report.stages
    ]
    return table(("stage", "took", "why it was built", "size", "with everything it needs"), rows)


def _boot(report: Report) -> Iterator[str]:
    if not report.boot:
        yield paragraph(NO_TIMELINE)
        return
    yield paragraph(ONE_INSTRUCTION)
    whole = report.boot[-1].instructions
    steps = pairwise((Milestone("", 0), *report.boot))
    rows = [
        (
            here.name,
            f"{here.instructions / 1e6:.1f} M",
            f"{here.instructions / 1e6:.1f} ms",
            f"{(here.instructions - before.instructions) / 1e6:.1f} M",
            bar(before.instructions / whole, here.instructions / whole),
        )
        for before, here in steps
    ]
    yield from table(("until", "instructions", "time", "since the previous one", ""), rows)


def _components(report: Report) -> Iterator[str]:
    for number, (use, components) in enumerate(report.components.items()):
        rows = [
            (c.name, c.version, human_size(c.size) if c.size else "", c.digest, c.address)
            for c in components
        ]
        total = human_size(sum(c.size for c in components))
        head = ("component", "version", "size", "digest", "package or address")
        summary = f"{use}: {len(rows)} in total, {total}"
        yield from folded(summary, table(head, rows), is_open=number == 0)


def _files(report: Report) -> list[str]:
    rows = [(file.path, file.layer, human_size(file.size)) for file in report.files]
    return table(("file", "layer", "size"), rows)
