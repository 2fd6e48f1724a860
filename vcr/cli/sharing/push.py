"""`vcr push|pull`: an export to a registry, or back from one and checked."""

from pathlib import Path

import click

import vcr.app
from vcr.cli.context import App, Command, ProfileName, engine_option, variant_of
from vcr.errors import UsageError


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
    rest, variant = list(words), variant_of(profile, engine=engine)
    if layout is None and not rest:
        raise UsageError("nowhere to push to", fix="vcr push REF, or vcr push --dir DIR")
    where = rest.pop(0) if layout is None else str(layout)
    if len(rest) > 1 or (rest and exported is not None):
        raise UsageError(f"too many arguments: {' '.join(words)}", fix="`vcr push --help`")
    if rest:
        app.directory = Path(rest[0])
    if layout is None:
        digest = vcr.app.push(app.context, where, variant, exported=exported)
    else:
        digest = vcr.app.write_layout(app.context, layout, variant, exported=exported)
    if app.ui.is_json:
        app.ui.json("push", {"to": where, "digest": digest})
    else:
        app.ui.data(f"index  {digest}")


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
    manifest = vcr.app.pull(app.context, reference, target, manifest=expected)
    if app.ui.is_json:
        told = {"path": str(target.resolve()), "manifest": manifest.digest}
        app.ui.json("pull", {"from": reference, **told})
    else:
        app.ui.data(f"manifest  {manifest.digest}")
