"""Building all of a plan again, whatever the store already has."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.build.builder import Builder, Built, layer_attr
from vcr.errors import ExitCode, MismatchError, UsageError, VcrError
from vcr.model.places import places_of
from vcr.model.plan import Plan
from vcr.model.profile import PROFILES
from vcr.model.stage import Rebuilt
from vcr.settings import Settings
from vcr.tools.git import Git, check_address, check_revision
from vcr.tools.nix import Nix, Target
from vcr.tools.nix_log import store_name
from vcr.tools.nix_store import Known, NixStore
from vcr.verify.closure import Closure
from vcr.verify.content import check_content
from vcr.verify.proven import Proven
from vcr.words import counted

# Neither binary caches nor other hosts that this host's Nix is set up for are asked.
ALONE = "substitute = false\nsubstituters =\nbuilders =\n"


@dataclass(frozen=True)
class Rebuilder:
    """Builds a plan for somebody who trusts no cache, and not what is in the store either."""

    builder: Builder
    extent: Rebuilt = Rebuilt.PROJECT

    def rebuild(self, plan: Plan, *, enclave: bool = False, others: Iterable[str] = ()) -> Built:
        """Return what PLAN builds to here, with its ENCLAVE if wanted.

        Raises MismatchError when that is not one thing, or when something that it is made
        of, or one of the toolsets OTHERS, is not what building it here gives.
        """
        stages = PROFILES[plan.profile].stages(arch=plan.arch, enclave=enclave)
        if self.extent is Rebuilt.NOTHING:
            return self.builder.build(plan, stages)
        layers = {layer_attr(ident): f"layer {ident}" for ident in plan.layers}
        targets = self._evaluate(plan, [*layers, *stages])
        names = {target.drv: layers.get(target.attr, target.attr) for target in targets}
        again = self._again(names, self._evaluate(plan, others))
        tools = again.prepare(again.closure.own)
        built = self._alone.build(plan, stages)
        again.check(again.closure.own)
        again.conclude(tools)
        return built

    def repeat(self, plan: Plan, stage: str) -> Target:
        """Build STAGE of PLAN, which is built, once more, and return it.

        Raises MismatchError when it, or something foreign that it is made of, differs.
        """
        (target,) = self._evaluate(plan, [stage])
        again = self._again({target.drv: stage})
        wanted = {*again.doubted(again.closure.own), target.drv}
        in_order = [drv for drv in again.closure.own if drv in wanted]
        tools = again.prepare(in_order)
        again.check(in_order)
        again.conclude(tools)
        return target

    @property
    def _alone(self) -> Builder:
        return replace(self.builder, settings=_without_caches(self.builder.settings))

    def _evaluate(self, plan: Plan, attrs: Iterable[str]) -> tuple[Target, ...]:
        wanted = list(attrs)
        nix = Nix(self._alone.settings)
        return nix.evaluate(wanted, self.builder.write_plan(plan)).targets if wanted else ()

    def _again(self, names: Mapping[Path, str], tools: Iterable[Target] = ()) -> "_Again":
        store = NixStore(Nix(self._alone.settings))
        closure = Closure.below(store, names, (tool.drv for tool in tools))
        proven = Proven(self.builder.settings.state_dir / "proven")
        return _Again(self._alone, closure, names, self.extent, closure.known(), proven)


@dataclass(frozen=True)
class _Again:
    """What the store had of CLOSURE before, VALID, and how it is built again."""

    builder: Builder
    closure: Closure
    names: Mapping[Path, str]
    extent: Rebuilt
    valid: Mapping[Path, Known]
    proven: Proven

    def doubted(self, drvs: Iterable[Path]) -> list[Path]:
        """Return those of DRVS whose outputs are not known to be what a build here gives."""
        return [
            drv
            for drv in drvs
            if self.closure.is_doubted(drv, self.valid)
            and not self.proven.has(drv, self._known(drv, self.valid))
        ]

    def prepare(self, wanted: Iterable[Path]) -> list[Path]:
        """See to it that all that WANTED are made of is genuine; raises MismatchError.

        What a hash closes is read; tools that are in doubt, or all of them, are built again,
        and returned.
        """
        closure, nix = self.closure, self.closure.store.nix
        is_all = self.extent is Rebuilt.TOOLCHAIN
        doubted = list(closure.tools) if is_all else self.doubted(closure.tools)
        drvs = [*doubted, *wanted]
        lacking = closure.lacking(drvs, self.valid)
        with self.builder.ui.step("store") as step:
            used = closure.given_to([*drvs, *lacking], self.valid)
            outputs = {out for drv in drvs for out in closure.outputs_of(drv)}
            closed = outputs | closure.fixed | closure.sources
            used |= closed & self.valid.keys()
            check_content(closure, used)
            one, several = "path is what its hash says", "paths are what their hashes say"
            step.because(counted(len(used), one, several))
        if lacking:
            with self.builder.ui.step("inputs") as step:
                nix.fill(lacking, step.line)
                step.because("every input is in the store")
        self.check(doubted)
        return doubted

    def check(self, drvs: Iterable[Path]) -> None:
        """Build DRVS, in order: those that were in the store before are compared with it."""
        for drv in drvs:
            is_compared = self.closure.is_there(drv, self.valid)
            if is_compared or drv not in self.names:
                self._check(drv, is_compared=is_compared)

    def _check(self, drv: Path, *, is_compared: bool) -> None:
        nix, name = self.closure.store.nix, self._name(drv)
        with self.builder.ui.step(name) as step:
            if not is_compared:
                nix.realise(drv, None, step.line)
                step.because("built here")
                return
            try:
                nix.check(drv, step.line)
            except VcrError as error:
                if error.code is not ExitCode.MISMATCH:
                    raise
                raise self._differs(drv) from None
            step.because("built again, the same")

    def conclude(self, checked: Iterable[Path]) -> None:
        """Note what was CHECKED; raises MismatchError when something foreign came meanwhile."""
        closure, now = self.closure, self.closure.known()
        check_content(closure, (closure.fixed & now.keys()) - self.valid.keys())
        came = [
            drv
            for drv in closure.derivations
            if closure.is_foreign(drv, now) and not closure.is_foreign(drv, self.valid)
        ]
        if came:
            raise MismatchError(
                f"{self._name(came[0])} came from somewhere else while it was verified",
                details=[("derivation", str(drv)) for drv in came],
                why="another build on this host downloads from a cache",
                fix="run it again when that build has ended",
            )
        self.proven.note({drv: self._known(drv, now) for drv in checked})

    def _known(self, drv: Path, valid: Mapping[Path, Known]) -> list[Known]:
        return [valid[out] for out in self.closure.outputs_of(drv) if out in valid]

    def _name(self, drv: Path) -> str:
        return self.names.get(drv) or store_name(str(drv)).removesuffix(".drv")

    def _differs(self, drv: Path) -> MismatchError:
        outputs = [str(out) for out in self.closure.outputs_of(drv)]
        is_foreign = self.closure.is_foreign(drv, self.valid)
        return MismatchError(
            f"{self._name(drv)} has changed: the store has other bytes than a new build gives",
            details=[("derivation", str(drv)), *(("in the store", out) for out in outputs)],
            why="it was built elsewhere, and came from a cache"
            if is_foreign
            else "it was built from something else, or from files of a cache; or its build is"
            " not deterministic",
            fix=f"nix-store --repair-path {' '.join(outputs)}, then verify with"
            " --rebuild-toolchain: do not trust what was built from it either",
        )


@contextmanager
def source_of(
    git: Callable[[], Git], directory: Path, url: str | None, revision: str | None
) -> Iterator[Path]:
    """Yield the directory of the source: DIRECTORY, in a checkout of URL at REVISION if given."""
    if url is None:
        if revision is not None:
            raise UsageError("--revision needs --git", fix="add --git URL")
        yield directory
        return
    revision = revision or "HEAD"
    check_address(url)
    check_revision(revision)
    if directory.is_absolute() or ".." in directory.parts:
        raise UsageError(f"{directory} is outside the repository", fix="give a path inside it")
    with git().checkout(url, revision) as root:
        yield places_of(root).lead(str(directory), "--git")


def _without_caches(settings: Settings) -> Settings:
    config = settings.env.get("NIX_CONFIG", "")
    env = {**settings.env, "NIX_CONFIG": f"{config}\n{ALONE}"}
    return replace(settings, env=env, substituters=())
