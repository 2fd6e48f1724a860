"""Building all of a plan again, whatever the store already has."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.errors import ExitCode, MismatchError, UsageError, VcrError
from vcr.model.places import places_of
from vcr.model.plan import Plan
from vcr.settings import Settings
from vcr.stages import stages_of
from vcr.stages.build import Builder, Built, layer_attr
from vcr.tools.git import Git
from vcr.tools.nix import Nix, Target

NO_CACHE = "substituters =\n"  # binary caches that the host's Nix is set up for are not asked


@dataclass(frozen=True)
class Rebuilder:
    """Builds a plan for somebody who trusts no cache, and not what is in the store either."""

    builder: Builder
    accept_cache: bool

    def rebuild(self, plan: Plan, *, enclave: bool = False) -> Built:
        """Return what PLAN builds to here, with its ENCLAVE if wanted.

        Raises MismatchError when that is not one thing.
        """
        stages = stages_of(plan.profile, arch=plan.arch, enclave=enclave)
        if self.accept_cache:
            return self.builder.build(plan, stages)
        alone = replace(self.builder, settings=_without_caches(self.builder.settings))
        nix = Nix(alone.settings)
        names = {layer_attr(ident): f"layer {ident}" for ident in plan.layers}
        attrs = [*names, *stages]
        there = [t for t in nix.evaluate(attrs, alone.write_plan(plan)).targets if t.is_built]
        built = alone.build(plan, stages)
        for target in there:
            self.check(nix, target, names.get(target.attr, target.attr))
        return built

    def check(self, nix: Nix, target: Target, name: str) -> None:
        """Build TARGET, which was in the store before and is called NAME, once more.

        Raises MismatchError when that gives other bytes.
        """
        with self.builder.ui.step(name) as step:
            try:
                nix.check(target.drv, step.line)
            except VcrError as error:
                if error.code is not ExitCode.MISMATCH:
                    raise
                raise MismatchError(
                    f"{name} is not what it was: the store has other bytes than a new build gives",
                    why="its build is not deterministic, or the store was changed",
                    fix=f"nix-store --repair-path {target.out}, and report it if it stays so",
                ) from None
            step.because("built again, the same")


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
    if directory.is_absolute() or ".." in directory.parts:
        raise UsageError(f"{directory} is outside the repository", fix="give a path inside it")
    with git().checkout(url, revision or "HEAD") as root:
        yield places_of(root).lead(str(directory), "--git")


def _without_caches(settings: Settings) -> Settings:
    config = settings.env.get("NIX_CONFIG", "")
    env = {**settings.env, "NIX_CONFIG": f"{config}\n{NO_CACHE}"}
    return replace(settings, env=env, substituters=())
