"""`vcr cache push|info`: what was built, shared through signed binary caches."""

from pathlib import Path

import click

import vcr.app
from vcr.cli.context import App, Group, ProfileName, engine_option, project_argument, variant_of

profile_choice = click.option(
    "--profile", type=ProfileName(), default="prod", help="The profile of the build (prod)."
)


@click.group(cls=Group)
def cache() -> None:
    """Share builds through a signed binary cache.

    Another host downloads them instead of building. VCR_SUBSTITUTERS names the caches
    that vcr uses, VCR_TRUSTED_KEYS the keys whose signatures count.
    """


@cache.command()
@click.argument("to", metavar="TO")
@project_argument
@profile_choice
@engine_option
@click.option("--key", type=click.Path(path_type=Path), required=True, metavar="FILE",
              help="The key to sign with, of `nix-store --generate-binary-cache-key`.")  # fmt: skip
@click.option("--toolchain", is_flag=True, help="Push vcr itself and its tools, too.")
@click.pass_obj
def push(
    app: App, *, to: str, profile: str, engine: str | None, key: Path, toolchain: bool
) -> None:
    """Build the project in DIR, sign it, and push it to TO.

    TO is a directory, or a URL: file://, http(s):// or s3://.
    """
    variant = variant_of(profile, engine=engine)
    done = vcr.app.push_to_cache(app.context, to, key, variant, toolchain=toolchain)
    if app.ui.is_json:
        app.ui.json("cache-push", {"to": done.url, "paths": done.paths, "key": done.key})
    else:
        app.ui.table([("cache", done.url), ("paths", str(done.paths)), ("key", done.key)])


@cache.command()
@project_argument
@profile_choice
@engine_option
@click.pass_obj
def info(app: App, *, profile: str, engine: str | None) -> None:
    """Show which stages of the project in DIR are here, and which caches have them."""
    rows = vcr.app.cache_info(app.context, variant_of(profile, engine=engine))
    if app.ui.is_json:
        told = [{"stage": row.stage, "here": row.here, "caches": row.caches} for row in rows]
        app.ui.json("cache-info", {"stages": told})
        return
    table = [(row.stage, "yes" if row.here else "no", *row.caches.values()) for row in rows]
    app.ui.table([("STAGE", "HERE", *(rows[0].caches if rows else ())), *table])
    if not app.settings.substituters:
        app.ui.note("no caches: VCR_SUBSTITUTERS names them")
