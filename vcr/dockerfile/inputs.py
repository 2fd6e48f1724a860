"""What a Dockerfile takes from outside the context: images, and files by address."""

from dataclasses import dataclass, field, replace

from vcr.dockerfile import config
from vcr.dockerfile.commands import commands_of
from vcr.dockerfile.git_address import GitAddress
from vcr.dockerfile.mounts import parse_mount, refuse_variable
from vcr.dockerfile.remote import RemoteFile, remote_of
from vcr.dockerfile.stages import Resolver
from vcr.dockerfile.state import Budget, State
from vcr.dockerfile.syntax import SCRATCH, Dockerfile, Instruction, Stage, parse, parse_trigger
from vcr.dockerfile.text import Position, mistake
from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, read_text
from vcr.model.arch import Arch
from vcr.model.project import Project


@dataclass(frozen=True)
class Call:
    """A program that a RUN, HEALTHCHECK, CMD or ENTRYPOINT calls, as far as its words say."""

    command: str
    at: Position
    text: str  # of the whole instruction
    keyword: str = "RUN"
    stages: tuple[int, ...] = ()  # the one that it is in, and those below it


@dataclass(frozen=True)
class Inputs:
    """Names of what has to be locked, sorted."""

    images: dict[str, Position]  # neither a stage nor scratch; where one is named first
    # of ADD without --checksum=sha256:, by address → other checksums
    files: dict[str, tuple[str, ...]]
    repositories: dict[GitAddress, Position] = field(default_factory=dict)  # of ADD, where first
    stages: tuple[str, ...] = ()  # names of the Dockerfile's own
    calls: dict[str, tuple[Call, ...]] = field(default_factory=dict)  # by image: see _Walk


def resolver_of(project: Project, arch: Arch, target: str | None = None) -> Resolver:
    """Return the resolver of PROJECT's Dockerfile for ARCH, up to stage TARGET; raises UsageError.

    TARGET goes before the one of vcr.toml.
    """
    section = project.config.project
    wanted = target or section.target
    return Resolver(load_dockerfile(project), arch, project.config.args, wanted, project.build_arch)


def load_dockerfile(project: Project) -> Dockerfile:
    """Read and parse the Dockerfile of PROJECT; raises UsageError."""
    name = project.config.project.dockerfile
    try:
        text = read_text(project.dockerfile, MAX_TEXT)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(errors="replace").split("\n")
        raise mistake(
            Position(name, len(before), len(before[-1]) + 1),
            "this is not UTF-8",
            fix="save the file as UTF-8",
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {name}", why=str(error)) from None
    return parse(text, name)


def external_inputs(project: Project) -> Inputs:
    """Return what PROJECT's target takes from outside; raises UsageError.

    Stages that it does not reach are left alone, as they are by a build.
    """
    resolver = resolver_of(project, Arch.RISCV64)
    walk = _Walk(resolver)
    walk.reach(resolver.target())
    stages = tuple(stage.name for stage in resolver.dockerfile.stages if stage.name)
    files = {url: tuple(sorted(checksums)) for url, checksums in sorted(walk.files.items())}
    return Inputs(
        dict(sorted(walk.images.items())),
        files,
        walk.repositories,
        stages,
        {image: tuple(calls) for image, calls in walk.calls.items()},
    )


@dataclass
class _Walk:
    """The stages that a target reaches, and what they take from outside."""

    resolver: Resolver
    images: dict[str, Position] = field(default_factory=dict)
    files: dict[str, set[str]] = field(default_factory=dict)  # of ADD → their checksums
    repositories: dict[GitAddress, Position] = field(default_factory=dict)
    # image → what is called in the stages that start from it, or from a stage that does
    calls: dict[str, list[Call]] = field(default_factory=dict)
    _origins: dict[int, str] = field(default_factory=dict)  # of the stages: the image below
    _below: dict[int, tuple[int, ...]] = field(default_factory=dict)  # each stage, and those below
    _budget: Budget = field(default_factory=Budget)
    _ends: dict[int, State] = field(default_factory=dict)  # of the stages, by their index

    def reach(self, target: Stage) -> None:
        """Go through TARGET and what it takes: stages before it, each of which is read once."""
        reached: dict[int, Stage] = {}
        pending = [target]
        while pending:
            stage = pending.pop()
            if stage.index not in reached:
                reached[stage.index] = stage
                pending += self._sources(stage)
        for _, stage in sorted(reached.items()):
            self._pass(stage)

    def _sources(self, stage: Stage) -> list[Stage]:
        """Return the stages that STAGE is made of."""
        found = [self.resolver.earlier(self.resolver.image_of(stage), stage.index)]
        state = self._state(stage)
        for instruction in self._instructions(stage):
            names = _sources(state, instruction)
            found += [self.resolver.numbered(n, stage.index, instruction) for n in names]
        return [stage for stage in found if stage is not None]

    def _instructions(self, stage: Stage) -> list[Instruction]:
        """Return those of STAGE, behind the triggers of the stage it starts from."""
        below = self.resolver.earlier(self.resolver.image_of(stage), stage.index)
        triggers = [
            trigger
            for instruction in (below.instructions if below is not None else ())
            if instruction.keyword == "ONBUILD"
            for trigger in triggers_of(instruction)
        ]
        return [*triggers, *stage.instructions]

    def _state(self, stage: Stage) -> State:
        return State(stage, Arch.RISCV64, self.resolver.dockerfile.escape, self._budget)

    def _pass(self, stage: Stage) -> None:
        image, state = self.resolver.image_of(stage), self._state(stage)
        below = self.resolver.earlier(image, stage.index)
        self._origins[stage.index] = self._origins[below.index] if below is not None else image
        above = self._below[below.index] if below is not None else ()
        self._below[stage.index] = (stage.index, *above)
        if below is not None:
            state.continue_from(self._ends[below.index])
        elif image != SCRATCH:
            self.images.setdefault(image, stage.start.at)
        for instruction in self._instructions(stage):
            for name in _sources(state, instruction):
                if self.resolver.numbered(name, stage.index, instruction) is None:
                    self.images.setdefault(name, instruction.at)
            self._take(state, instruction)
        self._ends[stage.index] = state

    def _take(self, state: State, instruction: Instruction) -> None:
        """Keep track of variables in STATE, and of what an ADD takes from elsewhere."""
        match instruction.keyword:
            case "ARG":
                known = {**self.resolver.platform_args(), **self.resolver.global_args()}
                config.arg(state, instruction, self.resolver.given, known)
            case "ENV":
                config.env(state, instruction)
            case "RUN" | "HEALTHCHECK" | "CMD" | "ENTRYPOINT":
                self._call(state.stage, instruction)
            case "ADD":
                for at, word in instruction.operands()[:-1]:
                    self._add(remote_of(state, instruction, at, state.expand(word, at)), at)

    def _call(self, stage: Stage, run: Instruction) -> None:
        rest = run.rest.removeprefix("CMD").strip() if run.keyword == "HEALTHCHECK" else run.rest
        words = replace(run, rest=rest).json
        text = "\n".join((*(words or (rest,)), *(doc.content for doc in run.heredocs)))
        calls = self.calls.setdefault(self._origins[stage.index], [])
        below = self._below[stage.index]
        calls += [Call(command, run.at, text, run.keyword, below) for command in commands_of(text)]

    def _add(self, source: RemoteFile | GitAddress | None, at: Position) -> None:
        if isinstance(source, GitAddress):
            self.repositories.setdefault(source, at)
        elif source is not None and not source.is_closed:
            self.files.setdefault(source.url, set()).update({source.checksum} - {""})


def triggers_of(instruction: Instruction) -> list[Instruction]:
    """Return what an ONBUILD holds; raises UsageError."""
    return parse_trigger(instruction.trigger, f"ONBUILD at {instruction.at}", instruction.escape)


def _sources(state: State, instruction: Instruction) -> list[str]:
    """Return the stages and images that COPY --from and RUN --mount take files of."""
    if instruction.keyword == "COPY" and (source := instruction.flag("from")):
        refuse_variable(instruction, f"--from={source}", source)
        return [source]
    if instruction.keyword == "RUN":
        mounts = instruction.flags.get("mount", ())
        options = (parse_mount(state, instruction, text) for text in mounts)
        return [option["from"] for option in options if "from" in option]
    return []
