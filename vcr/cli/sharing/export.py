"""`vcr export`: all that a deployment needs, in a directory; or the drive, over NBD."""

from pathlib import Path

import click

import vcr.app
from vcr.app.context import Variant
from vcr.cli.context import App, Command, ProfileName, arch_option, engine_option, variant_of
from vcr.errors import UsageError


@click.command(cls=Command)
@click.argument("profile", type=ProfileName())
@click.argument("words", nargs=-1, metavar="TARGET [DIR]")
@arch_option
@engine_option
@click.option("--nbd", "where", metavar="ADDRESS",
              help="Serve the sealed drive, read-only, at tcp:[HOST:]PORT, unix:PATH or"
              " vsock:PORT; then there is no TARGET.")  # fmt: skip
@click.pass_obj
def export(
    app: App,
    *,
    profile: str,
    words: tuple[str, ...],
    arch: str | None,
    engine: str | None,
    where: str | None,
) -> None:
    """Write all files of a deployment, or serve the drive over NBD.

    vcr builds the project in DIR for PROFILE and writes the image, the kernel, for prod
    the sealed drive, the ladder, a manifest of digests, and verify.sh, which checks
    them with stock tools, into the new directory TARGET. With --nbd, it serves the
    drive until Ctrl-C.
    """
    variant = variant_of(profile, arch, engine)
    if where is not None:
        _choose_project(app, list(words))
        _serve(app, variant, where)
        return
    if not words:
        raise UsageError("no directory to export to", fix=f"vcr export {profile} TARGET [DIR]")
    target, *rest = words
    _choose_project(app, rest)
    manifest = vcr.app.export(app.context, Path(target), variant)
    if app.ui.is_json:
        told = {"path": str(Path(target).resolve()), "manifest": manifest.digest}
        app.ui.json("export", {**told, "size": manifest.size})
    else:
        app.ui.data(f"manifest  {manifest.digest}")


def _serve(app: App, variant: Variant, where: str) -> None:
    with vcr.app.serve_drive(app.context, where, variant) as server:
        if app.ui.is_json:
            app.ui.json("nbd", {"uri": server.uri, "pid": server.pid, "size": server.size})
        else:
            app.ui.data(server.uri)
        app.ui.note("serving until Ctrl-C")
        server.wait()


def _choose_project(app: App, words: list[str]) -> None:
    if len(words) > 1:
        raise UsageError(f"too many arguments: {' '.join(words)}", fix="`vcr export --help`")
    if words:
        app.directory = Path(words[0])
