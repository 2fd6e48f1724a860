"""Builds a project: project and lock → plan → Nix → digest ladder.

The plan is written to the cache under its own hash; stages are realised side by side as far
as one does not need the other, and what was cached says so and what was built says why. GC roots
and the derivations of the last build are kept per project under the state directory.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vcr.atomic import write_text
from vcr.build.absent import explained
from vcr.build.contents import Contents, with_contents
from vcr.build.follow import Follower, Instructions
from vcr.build.history import LAYERS, LOCK, PROJECT, last_drvs, read_builds, remember
from vcr.build.known import Known
from vcr.build.plan_file import write
from vcr.build.reason import why_built
from vcr.build.side_by_side import SideBySide
from vcr.diagnosis.facts import read_facts
from vcr.diagnosis.words import Cause, Situation, cause_of, port_of
from vcr.errors import VcrError
from vcr.flock import flocked
from vcr.lock.git import GitStore
from vcr.lock.oci import ImageStore
from vcr.model.ladder import Rung, read_rungs
from vcr.model.plan import OciBase, Plan, Run, repositories_of
from vcr.model.project import Project
from vcr.model.stage import ALL_STAGES, STAGES
from vcr.planner.platform import check_platform
from vcr.progress import Step
from vcr.settings import Settings
from vcr.tools.git import Git
from vcr.tools.nix import Evaluation, Nix, Target
from vcr.tools.nix_failure import BuilderError, ContextError, TimedOutError
from vcr.tools.nix_store import NixStore
from vcr.tools.skopeo import Skopeo
from vcr.ui import Ui


class RunError(VcrError):
    """A RUN of the Dockerfile failed: the command, or what it needs."""

    def __init__(self, plan: Plan, ident: str, what: str, error: VcrError) -> None:
        """IDENT is the layer's in PLAN; WHAT names its line, the rest is as ERROR has it."""
        why = explained(plan, ident, what, error)
        super().__init__(what, why=why.why, fix=why.fix, tail=error.tail, code=error.code)
        self.ident = ident


@dataclass(frozen=True)
class BuiltStage:
    """One stage of a build that succeeded."""

    name: str
    path: Path  # in the Nix store
    cached: bool
    reason: str  # why it was built, or which cache it is from; "" when it was there
    seconds: float = 0.0  # that it took


@dataclass(frozen=True)
class Built:
    """What a build produced."""

    plan: Plan
    stages: tuple[BuiltStage, ...]
    ladder: tuple[Rung, ...]
    grown: int = 0  # bytes by which the store has grown

    def path(self, stage: str) -> Path:
        """Return the output of STAGE; raises KeyError if the build did not reach it."""
        return {built.name: built.path for built in self.stages}[stage]


@dataclass(frozen=True)
class Builder:
    """Builds plans of one project."""

    settings: Settings
    ui: Ui
    project: Project
    timeout: float = 0  # seconds that one derivation may take; 0 for any
    is_wary: bool = False  # of what is remembered of the context: all of it is read

    @property
    def roots(self) -> Path:
        """Return the directory of this project's GC roots."""
        return self.settings.state_dir / "roots" / self.project.key

    def build(self, plan: Plan, stages: Sequence[str] = STAGES) -> Built:
        """Build STAGES of PLAN; raises UsageError, FetchError, VcrError."""
        check_platform(self.project, plan, stages)
        nix = Nix(self.settings)
        self._provide(plan, nix)
        roots = self.roots / f"{plan.profile}-{plan.arch}"
        with self._at_work():
            file = self.write_plan(plan)
            known = Known.of(nix, file, roots)
            evaluation = known.recall(stages)
            if evaluation is None:
                evaluation, file = self._evaluate(nix, stages, plan, file)
                known = Known.of(nix, file, roots)
            if not all(target.is_built for target in evaluation.targets):
                with self.ui.step("inputs") as step:
                    nix.fill(evaluation.missing, step.line)
                    step.because("every input is in the store")
            instructions = Instructions.of(plan, evaluation)
            with self._explained(plan, nix, instructions):
                built = self._build_stages(nix, evaluation.targets, roots, instructions)
            remember(roots, {target.attr: target.drv for target in evaluation.targets})
            known.note(evaluation.targets)
        ladder = [
            rung for stage in built if stage.name in ALL_STAGES for rung in read_rungs(stage.path)
        ]
        grown = NixStore(nix).built_size(evaluation.missing)
        return Built(plan, built, tuple(ladder), grown)

    def build_layer(
        self,
        plan: Plan,
        ident: str,
        step: Step,
        *,
        part: str = "layers",
        hide: Callable[[str], str] = str,
    ) -> Path:
        """Build one layer of PLAN (or, of a RUN, its "jobs" PART) in STEP; return its output.

        HIDE takes secrets from each line that is shown.
        Raises as `build` does.
        """
        nix = Nix(self.settings)
        self._provide(plan, nix)
        name = hashlib.sha256(f"{part} {ident}".encode()).hexdigest()[:16]
        root = self.roots / f"{LAYERS}{plan.arch}" / name
        with self._at_work():
            attrs = [layer_attr(ident, part)]
            evaluation, _ = self._evaluate(nix, attrs, plan, self.write_plan(plan))
            (target,) = evaluation.targets
            nix.fill(evaluation.missing, lambda line: step.line(hide(line)))
            instructions = Instructions.of(plan, evaluation)
            with self._explained(plan, nix, instructions):
                follower = Follower(step, instructions=instructions, hide=hide)
                log = nix.realise(target.drv, root, follower, timeout=self.timeout)
        for warning in log.notes:
            self.ui.warn(warning)
        return target.out

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """Keep `vcr prune` away from what this project has in the store."""
        with flocked(self.roots / LOCK, shared=True, wait=True):
            place = self.roots / PROJECT
            if not place.exists():
                write_text(place, f"{self.project.root}\n")
            yield

    @contextlib.contextmanager
    def _explained(self, plan: Plan, nix: Nix, instructions: Instructions) -> Iterator[None]:
        """Say of a builder's error which line of the Dockerfile it is about."""
        try:
            yield
        except (BuilderError, TimedOutError) as error:
            if not instructions.idents and plan.layers:  # no target was the image
                attrs = [layer_attr(next(iter(plan.layers)))]
                instructions = Instructions.of(plan, nix.evaluate(attrs, self.write_plan(plan)))
            ident = instructions.idents.get(str(error.drv), "")
            layer = plan.layers.get(ident)
            origin = getattr(layer, "origin", "")
            what = f"{origin}: {error.what}" if origin else error.what
            if isinstance(layer, Run) and isinstance(error, BuilderError):
                raise RunError(plan, ident, what, error) from None
            cause = _cause(plan, error)
            raise VcrError(
                what, why=cause.why, fix=cause.fix, tail=error.tail, code=error.code
            ) from None

    def _provide(self, plan: Plan, nix: Nix) -> None:
        """Bring base images and git repositories into the store; Nix itself cannot fetch them."""
        repositories = GitStore(
            lambda: Git.of_toolset(nix.toolset("git")), nix, self.settings.mirrors
        )
        for layer in plan.layers.values():
            for source in repositories_of(layer):
                repositories.provide(source)
            if isinstance(layer, OciBase):
                store = ImageStore(Skopeo.pinned(nix), nix)
                store.provide(layer, self.project.places)
                store.check(layer)

    def _evaluate(
        self, nix: Nix, attrs: Sequence[str], plan: Plan, file: Path
    ) -> tuple[Evaluation, Path]:
        """Evaluate ATTRS of PLAN, which FILE has; return the file that they are of, too.

        Raises as `Nix.evaluate` does.
        """
        try:
            return nix.evaluate(attrs, file), file
        except ContextError:  # files changed just now, or unseen before: once more, all of them
            file = self.write_plan(plan, afresh=True)
            return nix.evaluate(attrs, file), file

    def write_plan(self, plan: Plan, *, afresh: bool = False) -> Path:
        """Write PLAN to the cache, named by its hash, for Nix to read.

        Files of the context are only read where they may have changed, or all of them AFRESH.
        Raises UsageError when they change meanwhile, HostError.
        """
        contents = Contents.of(Path(plan.context), self.settings.cache_dir)
        if afresh or self.is_wary:
            contents.forget()
        return write(with_contents(plan, contents), self.settings.cache_dir / "plans")

    def _build_stages(
        self, nix: Nix, targets: Sequence[Target], roots: Path, instructions: Instructions
    ) -> tuple[BuiltStage, ...]:
        """Build TARGETS, in any order and side by side, and root each below ROOTS."""
        earlier = last_drvs(read_builds(roots))
        pending = [target for target in targets if not target.is_built]
        reasons = {t.attr: why_built(earlier.get(t.attr), t.drv) for t in pending}
        follower = SideBySide(self.ui, NixStore(nix), targets, reasons, instructions)
        log = None
        try:
            with follower.running():
                if pending:
                    drvs = [target.drv for target in pending]
                    log = nix.realise_all(drvs, follower, timeout=self.timeout)
        except Exception:
            with contextlib.suppress(VcrError):  # what failed is worth more words
                _keep(nix, follower.done(), roots)
            raise
        _keep(nix, targets, roots)
        for warning in (*log.refused, *log.notes) if log else ():
            self.ui.warn(warning)
        return tuple(
            BuiltStage(t.attr, t.out, t.is_built, follower.reason(t), follower.seconds(t))
            for t in targets
        )


def _keep(nix: Nix, targets: Iterable[Target], roots: Path) -> None:
    """Register a GC root below ROOTS for each of TARGETS, which are built; raises VcrError."""
    for target in targets:
        root = roots / target.attr
        if not root.exists() or root.resolve() != target.out:
            nix.realise(target.drv, root, lambda _: None)


def _cause(plan: Plan, error: VcrError) -> Cause:
    """Return why a builder failed: of an app, by what was seen in its machine."""
    machine, told = plan.machine, getattr(error, "facts", "")
    try:
        facts = read_facts(told) if told else None
    except ValueError:
        facts = None
    if facts is None:
        return Cause(error.why, error.fix)
    log = [line.removeprefix("app: ") for line in error.tail if line.startswith("app: ")]
    situation = Situation(
        port=port_of(machine.health, machine.ports),
        check=machine.health,
        detail=error.why.removeprefix("unhealthy "),
        log=log,
        memory_mib=machine.memory_mib,
        has_network=False,
    )
    return cause_of(facts, situation)


def layer_attr(ident: str, part: str = "layers") -> str:
    """Return the attribute of the layer IDENT, or of another PART of nix/stages/image.nix."""
    return f'image.{part}."{ident}"'
