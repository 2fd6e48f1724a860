"""What a Dockerfile takes from outside the context: images, and files by address."""

from dataclasses import dataclass

from vcr.dockerfile import config
from vcr.dockerfile.mounts import parse_mount
from vcr.dockerfile.stages import Resolver
from vcr.dockerfile.state import Budget, State
from vcr.dockerfile.syntax import SCRATCH, Dockerfile, Instruction, parse
from vcr.dockerfile.text import Position, mistake
from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, read_text
from vcr.model.arch import Arch
from vcr.model.project import Project
from vcr.model.url import check_url

URL_PREFIXES = ("http://", "https://")


@dataclass(frozen=True)
class Inputs:
    """Names of what has to be locked, sorted."""

    images: tuple[str, ...]  # neither a stage nor scratch
    urls: tuple[str, ...]  # ADD without --checksum


def load_dockerfile(project: Project) -> Dockerfile:
    """Read and parse the Dockerfile of PROJECT; raises UsageError."""
    name = project.config.project.dockerfile
    try:
        text = read_text(project.dockerfile, MAX_TEXT)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {name}", why=str(error)) from None
    return parse(text, name)


def external_inputs(project: Project) -> Inputs:
    """Return the inputs of PROJECT's Dockerfile, on every stage; raises UsageError."""
    dockerfile = load_dockerfile(project)
    resolver = Resolver(dockerfile, Arch.RISCV64, project.config.args)
    images: set[str] = set()
    urls: set[str] = set()
    budget = Budget()
    for stage in dockerfile.stages:
        image = resolver.image_of(stage)
        if image != SCRATCH and resolver.earlier(image, stage.index) is None:
            images.add(image)
        state = State(stage, Arch.RISCV64, dockerfile.escape, budget)
        for instruction in stage.instructions:
            images.update(_images(resolver, state, instruction))
            urls.update(_urls(resolver, state, instruction))
    return Inputs(tuple(sorted(images)), tuple(sorted(urls)))


def _images(resolver: Resolver, state: State, instruction: Instruction) -> list[str]:
    """Return the images that COPY --from and RUN --mount take files of."""
    sources: list[str] = []
    if instruction.keyword == "COPY" and (source := instruction.flag("from")):
        sources = [source]
    elif instruction.keyword == "RUN":
        mounts = instruction.flags.get("mount", ())
        sources = [
            options["from"]
            for options in (parse_mount(state, instruction, text) for text in mounts)
            if "from" in options
        ]
    return [
        source
        for source in sources
        if resolver.numbered(source, state.stage.index, instruction) is None
    ]


def _urls(resolver: Resolver, state: State, instruction: Instruction) -> list[str]:
    """Keep track of variables in STATE; return the addresses of an ADD without --checksum."""
    match instruction.keyword:
        case "ARG":
            known = {**resolver.platform_args(), **resolver.global_args()}
            config.arg(state, instruction, resolver.given, known)
        case "ENV":
            config.env(state, instruction)
        case "ADD" if instruction.flag("checksum") is None:
            found = ((at, state.expand(word, at)) for at, word in instruction.operands()[:-1])
            return [
                checked_address(at, word) for at, word in found if word.startswith(URL_PREFIXES)
            ]
    return []


def checked_address(at: Position, text: str) -> str:
    """Return TEXT, an address that stands AT; raises UsageError unless it is one."""
    try:
        return check_url(text)
    except ValueError as error:
        raise mistake(at, f"{text} is not an address", why=str(error)) from None
