"""`vcr export`: all that a deployment needs, in a directory; or the drive, over NBD."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, ProfileName, arch_of, engine_option
from vcr.errors import UsageError
from vcr.model.profile import PROFILES
from vcr.ui import human_size

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.build.builder import Built


@click.command(cls=Command)
@click.argument("profile", type=ProfileName())
@click.argument("words", nargs=-1, metavar="TARGET [DIR]")
@engine_option
@click.option("--nbd", "where", metavar="ADDRESS",
              help="Serve the sealed drive, read-only, at tcp:[HOST:]PORT, unix:PATH or"
              " vsock:PORT; there is no TARGET then.")  # fmt: skip
@click.pass_obj
def export(
    app: App, *, profile: str, words: tuple[str, ...], engine: str | None, where: str | None
) -> None:
    """Build the project in DIR for PROFILE and export it into the new directory TARGET.

    TARGET gets the image, the kernel, for prod the sealed drive, the ladder, a manifest of
    digests, and verify.sh, which checks them with stock tools. With --nbd the drive is
    served until Ctrl-C.
    """
    if where is not None:
        _serve(app, profile, words, engine, where)
        return
    if not words:
        raise UsageError("no directory to export to", fix=f"vcr export {profile} TARGET [DIR]")
    target, *rest = words
    _choose_project(app, rest)
    from vcr.export.write import stages_for, write_export
    from vcr.tools.nix import Nix
    from vcr.tools.nix_store import blaming_store

    warn_of_debug(app, profile)
    built = build_for(app, profile, engine, stages_for(profile))
    outputs = [stage.path for stage in built.stages]
    with blaming_store(Nix(app.settings), outputs), app.ui.step("export") as step:
        manifest = write_export(built, Path(target))
        size = sum(file.size for file in manifest.files)
        step.because(f"{len(manifest.files)} files, {human_size(size)}")
    if app.ui.is_json:
        told = {"path": str(Path(target).resolve()), "manifest": manifest.digest, "size": size}
        app.ui.json("export", told)
    else:
        app.ui.data(f"manifest  {manifest.digest}")


def warn_of_debug(app: App, profile: str) -> None:
    """Warn that what is built for PROFILE is not for deployment, if it is not."""
    if PROFILES[profile].debug:
        app.ui.warn(
            f"{profile} is a debug profile: whoever runs the machine can look into it; "
            f"deploy {PROFILES[profile].release}"
        )


def build_for(app: App, profile: str, engine: str | None, stages: tuple[str, ...]) -> "Built":
    """Build STAGES of the app's project."""
    from vcr.build.builder import Builder

    project, plan = app.prepare(arch=arch_of(None, profile), profile=profile, engine=engine)
    return Builder(app.settings, app.ui, project).build(plan, stages)


def _serve(app: App, profile: str, words: tuple[str, ...], engine: str | None, where: str) -> None:
    from vcr.export.nbd import parse_address, serve
    from vcr.tools.nbdkit import Nbdkit
    from vcr.tools.nix import Nix
    from vcr.tools.nix_store import blaming_store

    address = parse_address(where)
    if "seal" not in PROFILES[profile].stages():
        raise UsageError(f"the profile {profile} has no sealed drive", fix="use the profile prod")
    _choose_project(app, list(words))
    seal = build_for(app, profile, engine, PROFILES[profile].stages()).path("seal")
    nbdkit = Nbdkit.of_toolset(Nix(app.settings).toolset("nbd"))
    with blaming_store(Nix(app.settings), [seal]), serve(nbdkit, seal, address) as server:
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
