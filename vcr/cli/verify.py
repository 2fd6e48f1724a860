"""`vcr verify`: does the source build to what somebody says it does; is a drive the sealed one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.app import App, Command, project_argument
from vcr.errors import MismatchError, UsageError

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.model.ladder import Rung
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
@click.option("--image", type=click.Path(path_type=Path, dir_okay=False), metavar="DRIVE",
              help="Check a sealed drive instead.")  # fmt: skip
@click.option("--root", metavar="HASH", help="With --image: the root hash it must have.")
@click.option("--verity", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="With --image: its parameters (default: verity.json beside it).")  # fmt: skip
@click.pass_obj
def verify(
    app: App,
    ladder: Path | None,
    *,
    url: str | None,
    revision: str | None,
    rebuild: bool,
    image: Path | None,
    root: str | None,
    verity: Path | None,
) -> None:
    """Rebuild the project in DIR and compare with LADDER, which `vcr build --json` made.

    Exit code 3 means a difference; the first rung that differs is named.
    """
    if image is not None:
        _verify_drive(app, image, root, verity or image.with_name("verity.json"))
        return
    if ladder is None:
        raise UsageError("there is nothing to compare with", fix="vcr verify LADDER [DIR]")
    from vcr.verify.ladders import compare, read_claim  # noqa: PLC0415

    claim = read_claim(ladder)
    rows = compare(claim.ladder, _rebuilt(app, claim, url, revision, rebuild=rebuild))
    _report(app, rows)


def _rebuilt(
    app: App, claim: "Claim", url: str | None, revision: str | None, *, rebuild: bool
) -> "tuple[Rung, ...]":
    from vcr.model.arch import Arch  # noqa: PLC0415
    from vcr.stages.build import Builder  # noqa: PLC0415
    from vcr.stages.prepare import prepare  # noqa: PLC0415
    from vcr.tools.git import Git  # noqa: PLC0415
    from vcr.tools.nix import Nix  # noqa: PLC0415
    from vcr.verify.rebuild import Rebuilder, source_of  # noqa: PLC0415

    def git() -> Git:
        return Git(Nix(app.settings).toolset("git") / "usr/bin/git")

    # In a repository DIR is relative to its root, and that is the default.
    wanted = Path() if url and app.directory == Path.cwd() else app.directory
    with source_of(git, wanted, url, revision) as directory:
        project, plan = prepare(
            directory, arch=Arch(claim.arch), profile=claim.profile, engine=claim.engine
        )
        builder = Builder(app.settings, app.ui, project)
        enclave = any(rung.name == "eif" for rung in claim.ladder)
        return Rebuilder(builder, accept_cache=not rebuild).rebuild(plan, enclave=enclave).ladder


def _report(app: App, rows: "tuple[Compared, ...]") -> None:
    from vcr.verify.ladders import first_difference  # noqa: PLC0415

    first = first_difference(rows)
    if app.ui.is_json:
        told = [
            {"name": r.name, "expected": r.expected, "got": r.got, "same": r.is_same} for r in rows
        ]
        app.ui.json("verify", {"same": first is None, "rungs": told})
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
    from vcr.engines.sealed import check_drive  # noqa: PLC0415

    if root is None:
        raise UsageError("--image needs --root", why="a drive cannot vouch for itself")
    try:
        told = json.loads(parameters.read_bytes())
        wanted, found = root.removeprefix("sha256:"), str(told["root_hash"])
        if found != wanted:
            raise MismatchError(
                f"{parameters} is of another drive",
                details=(("expected", wanted), ("got", found)),
            )
        with app.ui.step("drive") as step:
            check_drive(drive, told)
            step.because("every block is as it was sealed")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"cannot read {drive} or {parameters}", why=str(error)) from None
    if app.ui.is_json:
        app.ui.json("verify", {"same": True, "root_hash": found})
