"""`vcr verify`: does the source build to what somebody says it does; is a drive the sealed one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vcr.app
from vcr.atomic import write_bytes
from vcr.cli.comparison import show_comparison
from vcr.cli.context import App, Command, project_argument
from vcr.errors import UsageError
from vcr.model.stage import Rebuilt

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.app import Claim, Source


@click.command(cls=Command)
@click.argument("ladder", required=False, type=click.Path(path_type=Path, dir_okay=False))
@project_argument
@click.option("--git", "url", metavar="URL", help="Take the source from this repository.")
@click.option("--revision", metavar="REV", help="Its branch, tag or commit (default: HEAD).")
@click.option(
    "--rebuild/--accept-cache",
    default=True,
    help="Build everything here again, or accept what the store and its caches have.",
)
@click.option("--rebuild-toolchain", "toolchain", is_flag=True,
              help="Also build compilers, kernels and programs again that this host has built"
              " before.")  # fmt: skip
@click.option("--sign", "key", type=click.Path(path_type=Path, dir_okay=False), metavar="KEY",
              help="If everything is the same, sign a statement with this key.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="With --sign: write the statement here.")  # fmt: skip
@click.option(
    "--time", metavar="TIME", help="With --sign: the time; `now`, or as 2026-11-26T00:00:00Z."
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
    """Rebuild the project in DIR and compare it with LADDER.

    `vcr build --json` makes a ladder. Exit code 3 means a difference; vcr names the
    first rung that differs.
    """
    if image is not None:
        _verify_drive(app, image, root, verity)
        return
    if ladder is None:
        raise UsageError("there is nothing to compare with", fix="vcr verify LADDER [DIR]")
    from vcr.verify.ladders import read_claim

    claim, extent = read_claim(ladder), _extent(rebuild=rebuild, toolchain=toolchain)
    source = vcr.app.Source(url, revision)
    if key is not None:
        _witness(app, claim, source, extent, _Signing.of(key, output, time))
        return
    if output is not None or time is not None:
        raise UsageError("--output and --time are for --sign", fix="add --sign KEY")
    comparison = vcr.app.verify(app.context, claim, source, extent=extent)
    show_comparison(app, comparison)
    comparison.check()


@dataclass(frozen=True)
class _Signing:
    """With what key a statement is signed, where it goes, and when it was made."""

    key: Path
    output: Path
    time: str | None

    @classmethod
    def of(cls, key: Path, output: Path | None, time: str | None) -> "_Signing":
        """Check the options before anything is built; raises UsageError."""
        from vcr.app.proving.inputs import read_time

        if output is None:
            raise UsageError("--sign needs a file for the statement", fix="add --output FILE")
        return cls(key, output, read_time(time))


def _witness(
    app: App, claim: "Claim", source: "Source", extent: Rebuilt, signing: _Signing
) -> None:
    envelope = vcr.app.witness(
        app.context,
        claim,
        source,
        key=signing.key,
        show=lambda comparison: show_comparison(app, comparison),
        extent=extent,
        time=signing.time,
    )
    write_bytes(signing.output, envelope.to_bytes())
    app.ui.note(f"{signing.output} written")


def _extent(*, rebuild: bool, toolchain: bool) -> Rebuilt:
    if toolchain and not rebuild:
        raise UsageError("--rebuild-toolchain and --accept-cache say opposite things")
    if toolchain:
        return Rebuilt.TOOLCHAIN
    return Rebuilt.PROJECT if rebuild else Rebuilt.NOTHING


def _verify_drive(app: App, drive: Path, root: str | None, parameters: Path | None) -> None:
    if root is None:
        raise UsageError("--image needs --root", why="a drive cannot vouch for itself")
    found = vcr.app.verify_drive(app.context, drive, root, parameters)
    if app.ui.is_json:
        app.ui.json("verify", {"same": True, "root_hash": found})
