"""`verify`: does the source build to what somebody says it does; is a drive the sealed one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.app.context import Context
from vcr.attest.dsse import Envelope, sign
from vcr.attest.keys import read_private
from vcr.attest.make import git_of
from vcr.attest.make import witness as state_rebuilt
from vcr.attest.source import revision_of, warn_of_changes
from vcr.attest.statement import Statement
from vcr.build.builder import Builder, Built
from vcr.engines.sealed import check_drive, read_parameters
from vcr.errors import MismatchError, UsageError
from vcr.model.arch import Arch
from vcr.model.profile import PROFILES
from vcr.model.project import Project
from vcr.model.stage import ENGINES, Rebuilt
from vcr.planner.prepare import prepare
from vcr.tools.git import Git, public_uri
from vcr.tools.nix import Nix
from vcr.verify.ladders import Claim, Compared, check_terms, compare, first_difference
from vcr.verify.rebuild import Rebuilder, source_of

VERITY = "verity.json"  # beside a drive: its parameters


@dataclass(frozen=True)
class Source:
    """The source: a repository with the context's directory in it, or only that directory."""

    url: str | None = None
    revision: str | None = None  # branch, tag or commit; None: HEAD


@dataclass(frozen=True)
class Comparison:
    """The result of building again, beside the expected one."""

    rungs: tuple[Compared, ...]
    extent: Rebuilt

    @property
    def is_same(self) -> bool:
        """Return whether every rung is there and the same."""
        return first_difference(self.rungs) is None

    def check(self) -> None:
        """Raise MismatchError, which names the first rung that differs, unless all are the same."""
        first = first_difference(self.rungs)
        if first is not None:
            raise MismatchError(
                f"the rung {first.name} differs",
                details=(
                    ("expected", first.expected or "no such rung"),
                    ("got", first.got or "no such rung"),
                ),
                fix="`vcr explain` compares two ladders whose files are available, and says why",
            )


def verify(
    context: Context,
    claim: Claim,
    source: Source = Source(),
    *,
    extent: Rebuilt = Rebuilt.PROJECT,
) -> Comparison:
    """Build the subject of CLAIM from SOURCE again, as far as EXTENT says, and compare.

    `read_claim` reads a claim from a file, `claim_of` makes one of a ladder. Raises MismatchError
    when the claim is about something else, or when a build differs from the store; and VcrError as
    `build` does.
    """
    with _rebuilt(context, claim, source, extent, is_stated=False) as (comparison, _, _):
        return comparison


def witness(
    context: Context,
    claim: Claim,
    source: Source = Source(),
    *,
    key: Path,
    show: Callable[[Comparison], None],
    extent: Rebuilt = Rebuilt.PROJECT,
    time: str | None = None,
) -> Envelope:
    """Verify as `verify` does, and return the statement that all is the same, signed with KEY.

    SHOW is called with the comparison. TIME goes into the statement, as 2026-11-26T00:00:00Z.
    Raises MismatchError when there is a difference.
    """
    if extent is Rebuilt.NOTHING:
        raise UsageError("with --accept-cache nothing is rebuilt, so there is nothing to state")
    private = read_private(key)
    with _rebuilt(context, claim, source, extent, is_stated=True) as (comparison, project, built):
        show(comparison)
        comparison.check()
        statement = _statement(context, project, built, source, time, extent)
    return sign(statement.to_bytes(), [private])


def _statement(
    context: Context,
    project: Project,
    built: Built,
    source: Source,
    time: str | None,
    extent: Rebuilt,
) -> Statement:
    found = revision_of(project, built.plan, lambda: git_of(Nix(context.settings)))
    warn_of_changes(context.ui, found)
    if found is not None and source.url is not None:
        found = replace(found, uri=public_uri(source.url))
    return state_rebuilt(built, project, found, time, extent)


@contextmanager
def _rebuilt(
    context: Context, claim: Claim, source: Source, extent: Rebuilt, *, is_stated: bool
) -> Iterator[tuple[Comparison, Project, Built]]:
    """Yield the comparison with CLAIM, and what was built of which project, while it is there.

    IS_STATED: git is needed for a statement, and whether a cache made it up is seen to, too.
    """
    _check_outside(context, source)
    _check_known(claim)

    def git() -> Git:
        return git_of(Nix(context.settings))

    # In a repository DIR is relative to its root, and that is the default.
    is_default = source.url is not None and context.directory in {Path(), Path.cwd()}
    wanted = Path() if is_default else context.directory
    with source_of(git, wanted, source.url, source.revision) as directory:
        project, plan = prepare(
            directory, arch=Arch(claim.arch), profile=claim.profile, engine=claim.engine,
            outside=context.outside,
        )  # fmt: skip
        check_terms(claim, plan)
        builder = Builder(context.settings, context.ui, project, is_wary=True)
        enclave = any(rung.name == "eif" for rung in claim.ladder)
        tools = _had(git) if source.url or is_stated else ()
        built = Rebuilder(builder, extent).rebuild(plan, enclave=enclave, others=tools)
        yield Comparison(compare(claim.ladder, built.ladder), extent), project, built


def _had(git: Callable[[], Git]) -> tuple[str, ...]:
    """Return the toolset of GIT, in the store now: whether a cache made it up is seen to, too."""
    git()
    return ("git",)


def _check_outside(context: Context, source: Source) -> None:
    if source.url is not None and context.outside:
        raise UsageError(
            "--allow-outside does not go with --git",
            why="the source of somebody else gets no file of this host",
            fix="clone it, check the paths that it names, and verify the clone",
        )


def _check_known(claim: Claim) -> None:
    """Raise MismatchError unless this version of vcr can build what CLAIM is about."""
    for what, name, known in (
        ("profile", claim.profile, tuple(PROFILES)),
        ("architecture", claim.arch, tuple(Arch)),
        ("engine", claim.engine, ENGINES),
    ):
        if name not in known:
            raise MismatchError(f"there is no {what} {name!r}", why=f"vcr has {', '.join(known)}")


def verify_drive(context: Context, drive: Path, root: str, parameters: Path | None = None) -> str:
    """Read all of the sealed DRIVE, check that its root hash is ROOT, and return it, in hex.

    PARAMETERS is the file of its verity parameters, by default the one beside it. Raises
    MismatchError when the drive is another one or damaged, UsageError when it cannot be read.
    """
    parameters = parameters or drive.parent / VERITY
    try:
        verity = read_parameters(parameters)
        wanted, found = root.removeprefix("sha256:"), str(verity["root_hash"])
        if found != wanted:
            raise MismatchError(
                f"{parameters} is of another drive",
                details=(("expected", wanted), ("got", found)),
            )
        with context.ui.step("drive") as step:
            check_drive(drive, verity)
            step.because("every block is as it was sealed")
    except OSError as error:
        raise UsageError(f"cannot read {drive} or {parameters}", why=str(error)) from None
    return found
