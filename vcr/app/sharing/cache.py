"""`push_to_cache` and `cache_info`: what was built, shared through signed binary caches."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vcr.app.building.build import build_stages
from vcr.app.context import Context, Variant
from vcr.build.builder import Builder
from vcr.errors import FetchError, HostError
from vcr.export.write import stages_for
from vcr.tools.binary_cache import BinaryCache, SigningKey
from vcr.tools.nix import Nix
from vcr.words import counted

# What it takes to run vcr and to build a project of one's own with it.
TOOLCHAIN = ("busybox", "python", "vcr", "build", "git", "kernels.riscv64", "linuxkit", "oci",
             "qemu-riscv", "verify")  # fmt: skip


@dataclass(frozen=True)
class CachePush:
    """What was pushed to a cache."""

    url: str
    paths: int  # that were pushed, with all they refer to
    key: str  # the public key; whoever trusts it can use what was pushed


class Presence(enum.StrEnum):
    """Whether a cache has a stage."""

    YES = "yes"
    UNTRUSTED = "not by a trusted key"
    NO = "no"
    UNKNOWN = "no answer"


@dataclass(frozen=True)
class CachedStage:
    """Where a stage is."""

    stage: str
    here: bool
    caches: Mapping[str, Presence]  # by the URL of each cache that the settings name


def push_to_cache(
    context: Context, to: str, key: Path, variant: Variant, *, toolchain: bool = False
) -> CachePush:
    """Build the project and push it to the cache TO, signed with the private KEY.

    TO is a directory, or a URL: file://, http(s):// or s3://. With TOOLCHAIN, vcr and its tools are
    pushed, too. Raises UsageError, FetchError, HostError, and what a build raises.
    """
    nix = Nix(context.settings)
    place, signer = BinaryCache.at(to, nix), SigningKey.load(key)
    built = build_stages(context, variant, stages_for(variant.profile))
    paths = [stage.path for stage in built.stages]
    with context.ui.step("push") as step:
        paths += [nix.build(attr, step.line) for attr in TOOLCHAIN] if toolchain else []
        count = place.push(paths, signer)
        step.because(f"{counted(count, 'path')}, signed by {signer.name}")
    return CachePush(place.url, count, place.public_key(signer))


def cache_info(context: Context, variant: Variant) -> tuple[CachedStage, ...]:
    """Return which stages of the project are here, and which caches have them.

    If a cache does not answer, a warning is shown. Raises UsageError, LockError, HostError.
    """
    project, plan = context.prepare(variant)
    nix, settings = Nix(context.settings), context.settings
    path = Builder(settings, context.ui, project).write_plan(plan)
    targets = nix.evaluate(stages_for(variant.profile), path).targets
    trusted = {key.partition(":")[0] for key in settings.trusted_keys}
    caches = [BinaryCache.at(url, nix) for url in settings.substituters]
    known = {each.url: _asked(context, each, [t.out for t in targets]) for each in caches}
    return tuple(
        CachedStage(
            target.attr,
            target.is_built,
            {url: _presence(found, target.out, trusted) for url, found in known.items()},
        )
        for target in targets
    )


def _asked(
    context: Context, place: BinaryCache, paths: list[Path]
) -> dict[Path, tuple[str, ...]] | None:
    """Return what PLACE has of PATHS and who signed it; None when it does not answer."""
    try:
        return place.signatures(paths)
    except (FetchError, HostError) as error:
        context.ui.warn(f"{error.what}: {error.why}")
        return None


def _presence(found: dict[Path, tuple[str, ...]] | None, path: Path, trusted: set[str]) -> Presence:
    if found is None:
        return Presence.UNKNOWN
    if path not in found:
        return Presence.NO
    return Presence.YES if trusted & set(found[path]) else Presence.UNTRUSTED
