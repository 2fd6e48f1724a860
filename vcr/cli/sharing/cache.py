"""`vcr cache push|info`: what was built, shared through signed binary caches."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Group, ProfileName, arch_of, engine_option, project_argument
from vcr.errors import FetchError, HostError

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.tools.binary_cache import BinaryCache

profile_choice = click.option(
    "--profile", type=ProfileName(), default="prod", help="What was built (prod)."
)
# What it takes to run vcr and to build a project of one's own with it.
TOOLCHAIN = ("busybox", "python", "vcr", "build", "git", "kernels.riscv64", "linuxkit", "oci",
             "qemu-riscv", "verify")  # fmt: skip


@click.group(cls=Group)
def cache() -> None:
    """Share what was built: the next host takes it instead of building.

    VCR_SUBSTITUTERS names the caches that vcr takes from, VCR_TRUSTED_KEYS the keys whose
    signatures count.
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
    """Build the project in DIR and push it, signed, to TO.

    TO is a directory, or a URL: file://, http(s):// or s3://.
    """
    from vcr.cli.sharing.export import build_for
    from vcr.export.write import stages_for
    from vcr.tools.binary_cache import BinaryCache, SigningKey
    from vcr.tools.nix import Nix

    nix = Nix(app.settings)
    place, signer = BinaryCache.at(to, nix), SigningKey.load(key)
    paths = [stage.path for stage in build_for(app, profile, engine, stages_for(profile)).stages]
    with app.ui.step("push") as step:
        paths += [nix.build(attr, step.line) for attr in TOOLCHAIN] if toolchain else []
        count = place.push(paths, signer)
        step.because(f"{count} paths, signed by {signer.name}")
    public = place.public_key(signer)
    if app.ui.is_json:
        app.ui.json("cache-push", {"to": place.url, "paths": count, "key": public})
    else:
        app.ui.table([("cache", place.url), ("paths", str(count)), ("key", public)])


@cache.command()
@project_argument
@profile_choice
@engine_option
@click.pass_obj
def info(app: App, *, profile: str, engine: str | None) -> None:
    """Show which stages of the project in DIR are here, and which caches have them."""
    from vcr.build.builder import Builder
    from vcr.export.write import stages_for
    from vcr.tools.binary_cache import BinaryCache
    from vcr.tools.nix import Nix

    project, plan = app.prepare(arch=arch_of(None, profile), profile=profile, engine=engine)
    nix = Nix(app.settings)
    path = Builder(app.settings, app.ui, project).write_plan(plan)
    targets = nix.evaluate(stages_for(profile), path).targets
    trusted = {key.partition(":")[0] for key in app.settings.trusted_keys}
    caches = [BinaryCache.at(url, nix) for url in app.settings.substituters]
    known = {each.url: _asked(app, each, [t.out for t in targets]) for each in caches}
    rows = [
        (t.attr, t.is_built, {url: _word(found, t.out, trusted) for url, found in known.items()})
        for t in targets
    ]
    if app.ui.is_json:
        told = [{"stage": stage, "here": here, "caches": has} for stage, here, has in rows]
        app.ui.json("cache-info", {"stages": told})
        return
    table = [(stage, "yes" if here else "no", *has.values()) for stage, here, has in rows]
    app.ui.table([("STAGE", "HERE", *known), *table])
    if not caches:
        app.ui.note("no caches: VCR_SUBSTITUTERS names them")


def _asked(app: App, place: "BinaryCache", paths: list[Path]) -> dict[Path, tuple[str, ...]] | None:
    """Return what PLACE has of PATHS and who signed it; None when it does not answer."""
    try:
        return place.signatures(paths)
    except (FetchError, HostError) as error:
        app.ui.warn(f"{error.what}: {error.why}")
        return None


def _word(found: dict[Path, tuple[str, ...]] | None, path: Path, trusted: set[str]) -> str:
    if found is None:
        return "no answer"
    if path not in found:
        return "no"
    return "yes" if trusted & set(found[path]) else "not by a trusted key"
