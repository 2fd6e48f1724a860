"""Which image each stage starts from: stage names, global ARGs, platforms."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from vcr.dockerfile.state import MAX_VARIABLES, expand
from vcr.dockerfile.syntax import Dockerfile, Instruction, Stage
from vcr.dockerfile.text import mistake
from vcr.model.arch import BUILD_ARCH, Arch

SYSTEM = "linux"
UNNAMED = "default"  # what TARGETSTAGE is for a stage without a name, as BuildKit has it


@dataclass(frozen=True)
class Resolver:
    """Resolves names of one Dockerfile for a target architecture."""

    dockerfile: Dockerfile
    arch: Arch
    given: dict[str, str]  # values for ARG from outside
    wanted: str | None = None  # the stage to build, None for the last one
    build_arch: Arch = BUILD_ARCH  # of $BUILDPLATFORM

    def platform_args(self) -> dict[str, str]:
        """Return the predefined platform variables, which are the same in every stage.

        The build platform is not this host's: then two hosts would build two images.
        """
        sides = {"TARGET": self.arch, "BUILD": self.build_arch}
        values = {
            f"{side}{key}": value
            for side, arch in sides.items()
            for key, value in (
                ("PLATFORM", f"{SYSTEM}/{arch}"),
                ("OS", SYSTEM),
                ("ARCH", str(arch)),
                ("VARIANT", ""),
                ("OSVERSION", ""),
            )
        }
        return {**values, "TARGETSTAGE": self.target().name or UNNAMED}

    def global_args(self) -> dict[str, str]:
        """Return the ARGs before the first FROM; raises UsageError."""
        return dict(self._global_args)

    @cached_property
    def _global_args(self) -> dict[str, str]:
        values: dict[str, str] = {}
        known = self.platform_args()
        for instruction in self.dockerfile.global_args:
            for at, word in instruction.words():
                name, equals, default = word.partition("=")
                if name in self.given:
                    values[name] = self.given[name]
                elif equals:
                    values[name] = expand(default, known, self.dockerfile.escape, at)
                known.update({name: values[name]} if name in values else {})
            if sum(map(len, values.values())) > MAX_VARIABLES:
                raise instruction.mistake(f"the ARGs have more than {MAX_VARIABLES} characters")
        return values

    def image_of(self, stage: Stage) -> str:
        """Return the image after FROM, expanded; raises UsageError."""
        image = self._expand(stage.image, stage.start)
        if not image:
            raise stage.start.mistake(
                f"FROM {stage.image} is empty",
                why="an ARG in it has no value",
                fix="give the ARG a default, or a value in [args] of vcr.toml",
            )
        return image

    def arch_of(self, stage: Stage) -> Arch:
        """Return the architecture of STAGE, which starts from an image: --platform or the target's.

        Raises UsageError.
        """
        if not stage.platform:
            return self.arch
        platform = self._expand(stage.platform, stage.start)
        if not platform:
            raise stage.start.mistake(
                f"--platform={stage.platform} is empty",
                why="a variable in it has no value",
                fix="write $BUILDPLATFORM, $TARGETPLATFORM, or an ARG with a value before FROM",
            )
        system, slash, rest = platform.partition("/")
        name = rest.partition("/")[0] if slash else system
        if (slash and system != SYSTEM) or name not in set(Arch):
            raise stage.start.mistake(
                f"--platform={platform} is not supported",
                why="" if name else f"a variable in it has no value: {stage.platform}",
                fix=f"use one of {', '.join(f'linux/{arch}' for arch in Arch)}"
                + ("" if name else ", or an ARG with a value before FROM"),
            )
        return Arch(name)

    def lineage(self) -> Iterator[Stage]:
        """Yield the stage to build, and those it starts from, each by the one before."""
        stage: Stage | None = self.target()
        while stage is not None:
            yield stage
            stage = self.earlier(self.image_of(stage), stage.index)

    def for_image(self) -> "Resolver":
        """Return it for what the image is for: a platform of the last stage's own goes first.

        It is the platform of the target then, too: who builds again knows only what the image is
        for. Raises UsageError.
        """
        *_, start = self.lineage()
        return replace(self, arch=self.arch_of(start)) if start.platform else self

    def earlier(self, name: str, before: int) -> Stage | None:
        """Return the stage called NAME (or numbered so) before stage number BEFORE."""
        wanted = name.lower()
        for stage in reversed(self.dockerfile.stages[:before]):  # the last of a name that is twice
            if stage.name == wanted:
                return stage
        return None

    def numbered(self, name: str, before: int, instruction: Instruction) -> Stage | None:
        """Like `earlier`, and a number also names a stage: for COPY --from."""
        if name.isascii() and name.isdecimal():
            if len(name) > 4 or int(name) >= before:
                raise instruction.mistake(
                    f"there is no stage {name} before this one",
                    fix="write the name of an earlier one: FROM IMAGE AS NAME, --from=NAME",
                )
            return self.dockerfile.stages[int(name)]
        return self.earlier(name, before)

    def target(self) -> Stage:
        """Return the stage to build: the wanted one, else the last; raises UsageError."""
        stages, name = self.dockerfile.stages, self.wanted
        if name is None:
            return stages[-1]
        for stage in reversed(stages):
            if name.lower() == stage.name or name == str(stage.index):
                return stage
        named = ", ".join(stage.name for stage in stages if stage.name) or "no stage has a name"
        raise mistake(stages[0].start.at, f"there is no stage {name!r}", fix=f"stages: {named}")

    def _expand(self, text: str, instruction: Instruction) -> str:
        values = {**self.platform_args(), **self.global_args()}
        return expand(text, values, self.dockerfile.escape, instruction.at)
