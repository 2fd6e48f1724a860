"""`vcr push|pull`: an export to a registry, or back from one and checked."""

from pathlib import Path

import click

import vcr.app
from vcr.cli.context import App, Command, ProfileName, arch_option, engine_option, variant_of
from vcr.errors import UsageError

a_file = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[REF] [DIR]")
@click.option("--profile", type=ProfileName(), default="prod", help="The profile to push (prod).")
@arch_option
@engine_option
@click.option("--dir", "layout", type=click.Path(path_type=Path), metavar="DIR",
              help="Write an OCI layout instead; then there is no REF.")  # fmt: skip
@click.option("--export", "exported", type=click.Path(path_type=Path, exists=True, file_okay=False),
              metavar="DIR", help="Push this export instead of building.")  # fmt: skip
@click.pass_obj
def push(
    app: App,
    *,
    words: tuple[str, ...],
    profile: str,
    arch: str | None,
    engine: str | None,
    layout: Path | None,
    exported: Path | None,
) -> None:
    """Push the image and the rest of an export to a registry.

    REF is HOST[:PORT]/NAME[:TAG]. One index has the image, and an artifact with the
    sealed drive, the ladder and the other files. vcr uses TLS except for registries on
    this host; `skopeo login` keeps credentials.
    """
    rest, variant = list(words), variant_of(profile, arch, engine)
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
    help="The digest that manifest.json must have, as `vcr export` prints it.",
)
@click.option("--policy", type=a_file, metavar="FILE",
              help="Demand what this policy says of the statements beside it.")  # fmt: skip
@click.option("--key", "keys", type=a_file, multiple=True, metavar="FILE",
              help="Demand a statement that this public key signed; may be repeated.")  # fmt: skip
@click.pass_obj
def pull(
    app: App,
    *,
    reference: str,
    target: Path,
    expected: str,
    policy: Path | None,
    keys: tuple[Path, ...],
) -> None:
    """Pull an export from a registry, and check every byte of it.

    REF is HOST[:PORT]/NAME[:TAG], TARGET a new directory. With --policy or --key,
    statements about it (`vcr attest push`) have to meet them.
    """
    demands = vcr.app.Demands(policy, keys) if policy is not None or keys else None
    manifest = vcr.app.pull(app.context, reference, target, manifest=expected, demands=demands)
    if app.ui.is_json:
        told = {"path": str(target.resolve()), "manifest": manifest.digest}
        app.ui.json("pull", {"from": reference, **told})
    else:
        app.ui.data(f"manifest  {manifest.digest}")
