"""`vcr push|pull`: an export to a registry, or back from one and checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, ProfileName, engine_option
from vcr.cli.sharing.export import build_for, warn_of_debug
from vcr.errors import UsageError

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.tools.skopeo import Skopeo


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[REF] [DIR]")
@click.option("--profile", type=ProfileName(), default="prod", help="What to push (prod).")
@engine_option
@click.option("--dir", "layout", type=click.Path(path_type=Path), metavar="DIR",
              help="Write an OCI layout instead; there is no REF then.")  # fmt: skip
@click.option("--export", "exported", type=click.Path(path_type=Path, exists=True, file_okay=False),
              metavar="DIR", help="Push this export instead of building.")  # fmt: skip
@click.pass_obj
def push(
    app: App,
    *,
    words: tuple[str, ...],
    profile: str,
    engine: str | None,
    layout: Path | None,
    exported: Path | None,
) -> None:
    """Push what `vcr export` writes to REF, HOST[:PORT]/NAME[:TAG], as OCI content.

    The image and an artifact with the sealed drive, the ladder and the rest, under one
    index. Registries other than on this host are spoken to by TLS only; `skopeo login`
    keeps credentials.
    """
    from vcr.export import registry

    rest = list(words)
    reference = None
    if layout is None:
        if not rest:
            raise UsageError("nowhere to push to", fix="vcr push REF, or vcr push --dir DIR")
        reference = registry.Reference.parse(rest.pop(0))
    if len(rest) > 1 or (rest and exported is not None):
        raise UsageError(f"too many arguments: {' '.join(words)}", fix="`vcr push --help`")
    if rest:
        app.directory = Path(rest[0])
    with _export(app, profile, engine, exported) as export, app.ui.step("push") as step:
        if reference is not None:
            digest = registry.push(_skopeo(app), export, reference)
        elif layout is not None:
            digest = registry.write(export, layout)
        where = reference.text if reference is not None else str(layout)
        step.because(f"{where} has it")
    if app.ui.is_json:
        app.ui.json("push", {"to": where, "digest": digest})
    else:
        app.ui.data(f"index  {digest}")


@contextmanager
def _export(app: App, profile: str, engine: str | None, given: Path | None) -> Iterator[Path]:
    """Yield the directory of an export: the one GIVEN, or one that is made."""
    from vcr.atomic import scratch_directory
    from vcr.export.check import manifest_of
    from vcr.export.write import stages_for, write_export

    warn_of_debug(app, profile if given is None else manifest_of(given).profile)
    if given is not None:
        yield given
        return
    built = build_for(app, profile, engine, stages_for(profile))
    with scratch_directory() as scratch:
        write_export(built, scratch / "export")
        yield scratch / "export"


@click.command(cls=Command)
@click.argument("reference", metavar="REF")
@click.argument("target", metavar="TARGET", type=click.Path(path_type=Path))
@click.option(
    "--manifest",
    "expected",
    metavar="DIGEST",
    default="",
    help="What the digest of manifest.json must be, as `vcr export` prints it.",
)
@click.pass_obj
def pull(app: App, *, reference: str, target: Path, expected: str) -> None:
    """Pull an export from REF into the new directory TARGET, and check every byte of it."""
    from vcr.export import registry

    place = registry.Reference.parse(reference)
    with app.ui.step("pull") as step:
        manifest = registry.pull(_skopeo(app), place, target, expected)
        step.because("every byte is as it was exported")
    warn_of_debug(app, manifest.profile)
    if app.ui.is_json:
        told = {"path": str(target.resolve()), "manifest": manifest.digest}
        app.ui.json("pull", {"from": reference, **told})
    else:
        app.ui.data(f"manifest  {manifest.digest}")


def _skopeo(app: App) -> "Skopeo":
    from vcr.tools.nix import Nix
    from vcr.tools.skopeo import Skopeo

    return Skopeo.of_toolset(Nix(app.settings).toolset("oci"))
