"""Plans the image: walks the stages of the Dockerfile that the target needs.

The result is layers, each an operation of vcr.model.plan, and the image's config.
"""

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vcr.dockerfile import config
from vcr.dockerfile.base_config import wrong_key
from vcr.dockerfile.context import Context
from vcr.dockerfile.stages import Resolver
from vcr.dockerfile.state import DEFAULT_PATH, Budget, State
from vcr.dockerfile.syntax import SCRATCH, Instruction, Stage, parse_trigger
from vcr.errors import LockError, UsageError
from vcr.lock.suggestions import instead
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedBase, LockedDebian
from vcr.model.plan import Copy, Layer, Run, Workdir
from vcr.model.sections.base import Base
from vcr.model.url import familiar_name
from vcr.planner.base import base_config, base_layers, missing_workdir
from vcr.planner.copy import Copier
from vcr.planner.run import Runner
from vcr.planner.titles import COUNTED, Asked, of_base, of_instruction

MAX_LAYERS = 500  # as many as an overlay may have: fs/overlayfs/params.h, OVL_MAX_STACK


@dataclass
class ImagePlanner:
    """Plans images of one Dockerfile; `layers` collects what is needed, in build order."""

    resolver: Resolver
    context: Context
    lock: Lock
    settings: Mapping[str, Base] = field(default_factory=dict)  # [base.NAME] of vcr.toml
    pure_caches: Collection[str] = ()
    layers: dict[str, Layer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)  # what layers are called
    _done: dict[int, State] = field(default_factory=dict)
    _budget: Budget = field(default_factory=Budget)

    @cached_property
    def _runner(self) -> Runner:
        return Runner(
            self.context, self.lock, self.resolver.arch, self.pure_caches, self._layers_of
        )

    def plan(self, target: Stage) -> State:
        """Plan TARGET and all it needs; return its final state. Raises UsageError."""
        if target.index not in self._done:
            state = self._start(target)
            for number, instruction in enumerate(target.instructions, 1):
                self._apply(state, instruction, f"{target.label}.{number}")
            self._done[target.index] = state
        return self._done[target.index]

    def _start(self, stage: Stage) -> State:
        image, escape = self.resolver.image_of(stage), self.resolver.dockerfile.escape
        state = State(stage, self.resolver.arch, escape, self._budget)
        arch = self.resolver.arch_of(stage)  # for stages without an image, too: it may be wrong
        earlier = self.resolver.earlier(image, stage.index)
        if earlier is not None:
            below = self.plan(earlier)
            state.continue_from(below)
        elif image != SCRATCH:
            state.arch = arch
            state.config = self._base_config(image, arch, stage.start)
            state.layers = list(self._base_layers(image, arch, stage.start, stage))
            path = missing_workdir(self._locked(image, arch, stage.start), state.config)
            if path:
                layer = Workdir(path, tuple(state.layers), origin=stage.start.at.origin)
                self._add(state, f"{stage.label}.base.workdir", layer)
        if "PATH" not in state.env:
            state.section("Env", []).insert(0, f"PATH={DEFAULT_PATH}")
        for number, text in enumerate(state.config.pop("OnBuild", None) or [], 1):
            for trigger in parse_trigger(text, f"ONBUILD {number} of {image}", state.escape):
                self._apply(state, trigger, f"{stage.label}.onbuild{number}")
        return state

    def _apply(self, state: State, instruction: Instruction, ident: str) -> None:
        keyword = instruction.keyword
        if keyword in COUNTED:
            layer = f"{ident}.{'copy' if keyword == 'ADD' else keyword.lower()}"
            self.asked.append(of_instruction(layer, instruction, state.stage, state.arch))
        if keyword in config.HANDLERS:
            config.HANDLERS[keyword](state, instruction)
        elif keyword == "ARG":
            config.arg(state, instruction, self.resolver.given, self._known())
        elif keyword == "WORKDIR":
            self._workdir(state, instruction, ident)
        elif keyword == "RUN":
            ident = f"{ident}.run"
            self._add(state, ident, self._runner.plan(state, instruction, ident))
        else:
            copier = Copier(self.context, self.lock, self._layers_of)
            self._add(state, f"{ident}.copy", copier.plan(state, instruction))

    def _known(self) -> dict[str, str]:
        """Return the values an ARG without a default takes, when none is given."""
        return {
            **self.resolver.platform_args(),
            "SOURCE_DATE_EPOCH": str(self.lock.epoch),
            **self.resolver.global_args(),
        }

    def _workdir(self, state: State, instruction: Instruction, ident: str) -> None:
        path = state.absolute(state.expand(instruction.rest, instruction.at))
        state.config["WorkingDir"] = path
        if path != "/":
            owner = state.config.get("User", "")  # BuildKit's rule: the USER in force owns it
            layer = Workdir(path, tuple(state.layers), owner, origin=instruction.at.origin)
            self._add(state, f"{ident}.workdir", layer)

    def _add(self, state: State, ident: str, layer: Workdir | Run | Copy) -> None:
        if len(state.layers) >= MAX_LAYERS:
            raise UsageError(
                f"{layer.origin}: there are more than {MAX_LAYERS} layers",
                fix="combine several RUN or COPY into one",
            )
        self.layers[ident] = layer
        state.layers.append(ident)

    def _layers_of(self, name: str, state: State, instruction: Instruction) -> tuple[str, ...]:
        """Return the layers of what `--from=NAME` means: an earlier stage, else an image."""
        stage = self.resolver.numbered(name, state.stage.index, instruction)
        if stage is not None:
            return tuple(self.plan(stage).layers)
        return self._base_layers(name, self.resolver.arch, instruction)

    @cached_property
    def _familiar_bases(self) -> dict[str, LockedBase]:
        return {familiar_name(name): base for name, base in self.lock.bases.items()}

    @cached_property
    def _familiar_settings(self) -> dict[str, Base]:
        return {familiar_name(name): base for name, base in self.settings.items()}

    def _locked(self, image: str, arch: Arch, instruction: Instruction) -> LockedBase:
        base = self.lock.bases.get(image) or self._familiar_bases.get(familiar_name(image))
        if base is None:
            raise LockError(
                f"{instruction.at}: {image} is not locked",
                why=f"there is no stage and no [base.{image}] of that name",
                fix="run `vcr lock`",
            )
        if arch in base.archs:
            return base
        others = ", ".join(sorted(base.archs))
        if isinstance(base, LockedDebian):
            raise instruction.mistake(
                f"the base {image} is not there for {arch}",
                why=f"{base.suite} has all of its packages only for {others or 'none'}",
                fix=f"name packages in vcr.toml that Debian has for {arch}, and run `vcr lock`",
            )
        raise instruction.mistake(
            f"{image} has no image for {arch}",
            why=f"it has {others}",
            fix=instead(image, "choose another image"),
        )

    def _base_layers(
        self, image: str, arch: Arch, instruction: Instruction, stage: Stage | None = None
    ) -> tuple[str, ...]:
        base = self._locked(image, arch, instruction)
        ident = f"base.{image}" if arch is self.resolver.arch else f"base.{image}.{arch}"
        settings = self._familiar_settings.get(familiar_name(image))
        layers = base_layers(base, settings, ident, arch, self.lock.epoch, instruction.at.origin)
        self.layers |= layers
        self.asked += of_base(image, tuple(layers), stage, arch)
        return tuple(layers)

    def _base_config(self, image: str, arch: Arch, instruction: Instruction) -> dict[str, Any]:
        locked = self._locked(image, arch, instruction)
        config = base_config(locked, arch, self._familiar_settings.get(familiar_name(image)))
        if wrong := wrong_key(config):
            raise instruction.mistake(
                f"the config of {image} is wrong",
                why=f"its {wrong} has another type than in the OCI image specification",
                fix="use another image",
            )
        return deepcopy(config)
