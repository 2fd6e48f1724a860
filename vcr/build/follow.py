"""Shows the build of each instruction while Nix builds: a part of the stage's step for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vcr.formats.hashes.progress import read_line
from vcr.model.derivations import described, kind_of
from vcr.model.plan import Plan
from vcr.progress import Step
from vcr.tools.nix import Evaluation
from vcr.tools.nix_log import store_name


@dataclass(frozen=True)
class Instructions:
    """What the layers of a plan are called, by what they are in the Nix store."""

    idents: Mapping[str, str]  # of a derivation → the layer's id in the plan
    outputs: Mapping[str, str]  # of a derivation → its output
    titles: Mapping[str, str]  # of a derivation
    cached: tuple[str, ...]  # titles of those with nothing to do, in the order of the Dockerfile

    @cached_property
    def makers(self) -> Mapping[str, str]:
        """Return of each output its derivation."""
        return {out: drv for drv, out in self.outputs.items()}

    @classmethod
    def of(cls, plan: Plan, evaluation: Evaluation) -> "Instructions":
        """Return those of PLAN, which EVALUATION has evaluated."""
        if not evaluation.layers:  # no target said what they are
            return cls({}, {}, {}, ())
        # Nix sorts names by their bytes.
        idents = sorted(plan.layers, key=lambda ident: ident.encode())
        drvs = dict(zip(idents, (str(layer.drv) for layer in evaluation.layers), strict=True))
        missing = {str(drv) for drv in evaluation.missing}
        # Of instructions that make the same layer, the first one names it.
        in_order = {drvs[ident]: ident for ident in reversed(plan.layers)}
        return cls(
            idents=in_order,
            outputs={str(layer.drv): str(layer.out) for layer in evaluation.layers},
            titles={drv: plan.titles.get(ident, "") for drv, ident in in_order.items()},
            cached=tuple(
                title for ident, title in plan.titles.items() if drvs.get(ident) not in missing
            ),
        )


@dataclass
class Follower:
    """Follows the build of TARGET in STEP; other derivations become parts of it."""

    step: Step
    target: str = ""
    instructions: Instructions = Instructions({}, {}, {}, ())
    hide: Callable[[str], str] = str  # takes secrets from a line
    _parts: dict[str, Step] = field(default_factory=dict)
    _copied: dict[str, Step] = field(default_factory=dict)

    def started(self, drv: str) -> None:
        """Begin the part of the derivation DRV."""
        if drv != self.target:
            self._parts[drv] = self._begin(drv)

    def printed(self, drv: str, text: str) -> None:
        """Show TEXT, a line that the build of DRV printed."""
        step = self._parts.get(drv, self.step)
        kind = kind_of(store_name(drv))
        if kind and kind.hashes and (hashed := read_line(text)):
            step.moved(hashed)
        else:
            step.line(self.hide(text))

    def said(self, text: str) -> None:
        """Show TEXT, which is of Nix itself."""
        self.step.line(self.hide(text))

    def ended(self, drv: str, *, failed: bool) -> None:
        """End the part of DRV; where it FAILED, the whole step is about to."""
        part = self._parts.get(drv)
        out = self.instructions.outputs.get(drv, "")
        if part is not None and failed:
            part.is_failing = True
        elif part is not None and (not out or Path(out).exists()):  # else it was interrupted
            del self._parts[drv]
            part.finish()

    def copying(self, path: str, cache: str) -> None:
        """Show that PATH is copied from CACHE."""
        maker = self.instructions.makers.get(path, "")
        if title := self.instructions.titles.get(maker, ""):
            self._copied[path] = self.step.part(title)
            self._copied[path].because(f"from {cache}")
        else:
            self.step.line(f"copying {store_name(path)} from {cache}")

    def copied(self, path: str) -> None:
        """Show that PATH is there."""
        if part := self._copied.pop(path, None):
            part.finish()

    def _begin(self, drv: str) -> Step:
        if title := self.instructions.titles.get(drv):
            return self.step.part(title)
        name = store_name(drv)
        kind = kind_of(name)
        # Tools and kernels take minutes, once.
        return self.step.part(described(name), is_passing=kind is None or kind.of_project)
