"""`push` and `pull`: an export to a registry, or back from one and checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vcr.app.building.build import build_stages
from vcr.app.context import Context, Variant
from vcr.app.proving.attest_verify import Demands, check_demands, verify_statements
from vcr.app.sharing.export import check_exported, warn_of_debug
from vcr.atomic import scratch_directory
from vcr.export import registry
from vcr.export.check import manifest_of
from vcr.export.manifest import LADDER, Manifest
from vcr.export.reference import Reference
from vcr.export.write import stages_for, write_export
from vcr.model.digest import Digest
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo


def push(
    context: Context,
    reference: str,
    variant: Variant = Variant(profile="prod"),
    *,
    exported: Path | None = None,
) -> Digest:
    """Push the export of the project to REFERENCE, and return the digest of its index.

    REFERENCE is HOST[:PORT]/NAME[:TAG]. EXPORTED is a directory of `export` to push instead of
    building. Raises UsageError, FetchError, HostError, MismatchError, and what a build raises.
    """
    place = Reference.parse(reference)
    with _export(context, variant, exported) as directory, context.ui.step("push") as step:
        digest = registry.push(Skopeo.pinned(Nix(context.settings)), directory, place)
        step.because(f"{place.text} has it")
    return digest


def write_layout(
    context: Context,
    layout: Path,
    variant: Variant = Variant(profile="prod"),
    *,
    exported: Path | None = None,
) -> Digest:
    """Write what `push` pushes into LAYOUT, a new OCI layout; returns and raises as `push`."""
    with _export(context, variant, exported) as directory, context.ui.step("push") as step:
        digest = registry.write(directory, layout)
        step.because(f"{layout} has it")
    return digest


def pull(
    context: Context,
    reference: str,
    target: Path,
    *,
    manifest: str = "",
    demands: Demands | None = None,
) -> Manifest:
    """Pull an export into the new directory TARGET, check every byte, return its manifest.

    MANIFEST is the required digest of manifest.json, "" for any. DEMANDS have to be met by the
    statements beside its image in the registry, about its ladder. Raises UsageError, FetchError,
    HostError, MismatchError, RejectedError; then there is no TARGET.
    """
    place = Reference.parse(reference)
    if demands is not None:
        check_demands(demands)

    def accept(root: Path, pinned: str) -> None:
        if demands is not None:
            about = replace(demands, ladder=root / LADDER)
            verify_statements(context, (), about, reference=pinned)

    with context.ui.step("pull") as step:
        found = registry.pull(Skopeo.pinned(Nix(context.settings)), place, target, manifest, accept)
        step.because("every byte is as it was exported")
    warn_of_debug(context, found.profile)
    return found


@contextmanager
def _export(context: Context, variant: Variant, given: Path | None) -> Iterator[Path]:
    """Yield the directory of an export: the one GIVEN, or one that is made."""
    if given is not None:
        warn_of_debug(context, manifest_of(given).profile)
        yield given
        return
    check_exported(variant.profile)
    warn_of_debug(context, variant.profile)
    built = build_stages(context, variant, stages_for(variant.profile))
    with scratch_directory() as scratch:
        write_export(built, scratch / "export")
        yield scratch / "export"
