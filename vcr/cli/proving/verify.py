"""`vcr verify`: does the source build to what somebody says it does; is a drive the sealed one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, project_argument
from vcr.errors import MismatchError, UsageError
from vcr.model.rebuilt import Rebuilt

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.attest.statement import Statement
    from vcr.build.builder import Built
    from vcr.model.project import Project
    from vcr.tools.git import Git
    from vcr.verify.ladders import Claim, Compared


@click.command(cls=Command)
@click.argument("ladder", required=False, type=click.Path(path_type=Path, dir_okay=False))
@project_argument
@click.option("--git", "url", metavar="URL", help="Take the source from this repository.")
@click.option("--revision", metavar="REV", help="Its branch, tag or commit (default: HEAD).")
@click.option(
    "--rebuild/--accept-cache",
    default=True,
    help="Build everything here once more, or take what the store and its caches have.",
)
@click.option("--rebuild-toolchain", "toolchain", is_flag=True,
              help="Build the compilers, kernels and programs again, too, that this host has built"
              " before.")  # fmt: skip
@click.option("--sign", "key", type=click.Path(path_type=Path, dir_okay=False), metavar="KEY",
              help="If all is the same, state so, signed with this private key.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="With --sign: write the statement here.")  # fmt: skip
@click.option(
    "--time", metavar="TIME", help="With --sign: when; `now`, or as 2026-11-26T00:00:00Z."
)
@click.option("--image", type=click.Path(path_type=Path, dir_okay=False), metavar="DRIVE",
              help="Check a sealed drive instead.")  # fmt: skip
@click.option("--root", metavar="HASH", help="With --image: the root hash it must have.")
@click.option("--verity", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="With --image: its parameters (default: verity.json beside it).")  # fmt: skip
@click.pass_obj
def verify(  # noqa: PLR0913 -- one for each option
    app: App,
    ladder: Path | None,
    *,
    url: str | None,
    revision: str | None,
    rebuild: bool,
    toolchain: bool,
    key: Path | None,
    output: Path | None,
    time: str | None,
    image: Path | None,
    root: str | None,
    verity: Path | None,
) -> None:
    """Rebuild the project in DIR and compare with LADDER, which `vcr build --json` made.

    Exit code 3 means a difference; the first rung that differs is named.
    """
    if image is not None:
        _verify_drive(app, image, root, verity or image.parent / "verity.json")
        return
    if ladder is None:
        raise UsageError("there is nothing to compare with", fix="vcr verify LADDER [DIR]")
    from vcr.verify.ladders import read_claim

    claim, extent = read_claim(ladder), _extent(rebuild=rebuild, toolchain=toolchain)
    if key is None:
        if output is not None or time is not None:
            raise UsageError("--output and --time are for --sign", fix="add --sign KEY")
        compare_rebuilt(app, claim, url, revision, extent=extent)
        return
    _witness(app, claim, (url, revision), _Signing.check(key, output, time, extent))


def _extent(*, rebuild: bool, toolchain: bool) -> Rebuilt:
    if toolchain and not rebuild:
        raise UsageError("--rebuild-toolchain and --accept-cache say opposite things")
    if toolchain:
        return Rebuilt.TOOLCHAIN
    return Rebuilt.PROJECT if rebuild else Rebuilt.NOTHING


@dataclass(frozen=True)
class _Signing:
    """With what key a statement is signed, where it goes, when it was made and of how much."""

    key: Path
    output: Path
    time: str | None
    extent: Rebuilt

    @classmethod
    def check(cls, key: Path, output: Path | None, time: str | None, extent: Rebuilt) -> "_Signing":
        """Check the options before anything is built; raises UsageError."""
        from vcr.attest.keys import read_private
        from vcr.cli.proving.attest import read_time

        if extent is Rebuilt.NOTHING:
            raise UsageError("who takes caches as they are has rebuilt nothing to state")
        if output is None:
            raise UsageError("--sign needs a file for the statement", fix="add --output FILE")
        read_private(key)
        return cls(key, output, read_time(time), extent)


def _witness(
    app: App, claim: "Claim", git: tuple[str | None, str | None], signing: _Signing
) -> None:
    """Rebuild what CLAIM is about and, if it is the same, state that it is."""
    from vcr.atomic import write_bytes
    from vcr.attest.dsse import sign
    from vcr.attest.keys import read_private

    made: list[Statement] = []

    def state(project: "Project", built: "Built") -> None:
        from vcr.attest.make import git_of, witness
        from vcr.attest.source import revision_of, warn_of_changes
        from vcr.tools.git import public_uri
        from vcr.tools.nix import Nix

        source = revision_of(project, built.plan, lambda: git_of(Nix(app.settings)))
        warn_of_changes(app.ui, source)
        if source is not None and git[0] is not None:
            source = replace(source, uri=public_uri(git[0]))
        made.append(witness(built, project, source, signing.time, signing.extent))

    compare_rebuilt(app, claim, *git, extent=signing.extent, and_then=state)
    envelope = sign(made[0].to_bytes(), [read_private(signing.key)])
    write_bytes(signing.output, envelope.to_bytes())
    app.ui.note(f"{signing.output} written")


def compare_rebuilt(
    app: App,
    claim: "Claim",
    url: str | None = None,
    revision: str | None = None,
    *,
    extent: Rebuilt = Rebuilt.PROJECT,
    and_then: "Callable[[Project, Built], None] | None" = None,
) -> None:
    """Build what CLAIM is about from the project of APP, or of URL at REVISION, and compare.

    AND_THEN is called when all is the same, while the source is there. Raises MismatchError.
    """
    from vcr.build.builder import Builder
    from vcr.model.arch import Arch
    from vcr.planner.prepare import prepare
    from vcr.tools.git import Git
    from vcr.tools.nix import Nix
    from vcr.verify.ladders import check_terms, compare
    from vcr.verify.rebuild import Rebuilder, source_of

    def git() -> Git:
        return Git(Nix(app.settings).toolset("git") / "usr/bin/git")

    _check_outside(app, url)
    # In a repository DIR is relative to its root, and that is the default.
    wanted = Path() if url and app.directory == Path.cwd() else app.directory
    with source_of(git, wanted, url, revision) as directory:
        project, plan = prepare(
            directory, arch=Arch(claim.arch), profile=claim.profile, engine=claim.engine,
            outside=app.outside,
        )  # fmt: skip
        check_terms(claim, plan)
        builder = Builder(app.settings, app.ui, project)
        enclave = any(rung.name == "eif" for rung in claim.ladder)
        tools = _had(git) if url or and_then is not None else ()
        built = Rebuilder(builder, extent).rebuild(plan, enclave=enclave, others=tools)
        _report(app, compare(claim.ladder, built.ladder), extent)
        if and_then is not None:
            and_then(project, built)


def _had(git: "Callable[[], Git]") -> tuple[str, ...]:
    """Return the toolset of GIT, in the store now: whether a cache made it up is seen to, too."""
    git()
    return ("git",)


def _check_outside(app: App, url: str | None) -> None:
    if url is not None and app.outside:
        raise UsageError(
            "--allow-outside does not go with --git",
            why="the source of somebody else is given nothing of this host",
            fix="clone it, look at what it names, and verify the clone",
        )


def _report(app: App, rows: "tuple[Compared, ...]", extent: Rebuilt) -> None:
    from vcr.verify.ladders import first_difference

    first = first_difference(rows)
    if app.ui.is_json:
        told = [
            {"name": r.name, "expected": r.expected, "got": r.got, "same": r.is_same} for r in rows
        ]
        app.ui.json("verify", {"same": first is None, "rungs": told, "rebuilt": str(extent)})
    else:
        app.ui.table(
            [(r.name, r.expected or "-", "same" if r.is_same else "DIFFERS") for r in rows]
        )
    if first is not None:
        raise MismatchError(
            f"the rung {first.name} differs",
            details=(
                ("expected", first.expected or "no such rung"),
                ("got", first.got or "no such rung"),
            ),
            fix="`vcr explain` compares two ladders whose files are at hand, and says why",
        )


def _verify_drive(app: App, drive: Path, root: str | None, parameters: Path) -> None:
    from vcr.engines.sealed import check_drive, read_parameters

    if root is None:
        raise UsageError("--image needs --root", why="a drive cannot vouch for itself")
    try:
        told = read_parameters(parameters)
        wanted, found = root.removeprefix("sha256:"), str(told["root_hash"])
        if found != wanted:
            raise MismatchError(
                f"{parameters} is of another drive",
                details=(("expected", wanted), ("got", found)),
            )
        with app.ui.step("drive") as step:
            check_drive(drive, told)
            step.because("every block is as it was sealed")
    except OSError as error:
        raise UsageError(f"cannot read {drive} or {parameters}", why=str(error)) from None
    if app.ui.is_json:
        app.ui.json("verify", {"same": True, "root_hash": found})
