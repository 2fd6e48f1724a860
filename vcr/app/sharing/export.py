"""`export`: all that a deployment needs, in a directory; or the sealed drive, over NBD."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vcr.app.building.build import build_stages
from vcr.app.context import Context, Variant
from vcr.errors import UsageError
from vcr.export.manifest import Manifest
from vcr.export.nbd import Server, parse_address, serve
from vcr.export.write import stages_for, write_export
from vcr.model.profile import PROFILES, current_name
from vcr.tools.nbdkit import Nbdkit
from vcr.tools.nix import Nix
from vcr.tools.nix_store import blaming_store
from vcr.ui import human_size
from vcr.words import counted


def export(context: Context, target: Path, variant: Variant) -> Manifest:
    """Build the project, write its export into TARGET, and return the export's manifest.

    TARGET is empty or missing. Raises UsageError, HostError, what a build raises, and
    MismatchError when the store does not hold what the ladder says.
    """
    check_exported(variant.profile)
    warn_of_debug(context, variant.profile)
    built = build_stages(context, variant, stages_for(variant.profile))
    outputs = [stage.path for stage in built.stages]
    with blaming_store(Nix(context.settings), outputs), context.ui.step("export") as step:
        manifest = write_export(built, target)
        step.because(f"{counted(len(manifest.files), 'file')}, {human_size(manifest.size)}")
    return manifest


@contextmanager
def serve_drive(context: Context, address: str, variant: Variant) -> Iterator[Server]:
    """Build the project, and serve its sealed drive, read-only, while the block runs.

    ADDRESS is `tcp:[HOST:]PORT`, `unix:PATH` or `vsock:PORT`; the server says which URI clients
    use. Raises UsageError where there is no drive, HostError when the address is taken, what
    a build raises, and MismatchError when the drive is not what was sealed.
    """
    place = parse_address(address)
    stages = PROFILES[variant.profile].stages()
    if "seal" not in stages:
        raise UsageError(
            f"the profile {variant.profile} has no sealed drive", fix="use the profile prod"
        )
    seal = build_stages(context, variant, stages).path("seal")
    nix = Nix(context.settings)
    nbdkit = Nbdkit.of_toolset(nix.toolset("nbd"))
    with blaming_store(nix, [seal]), serve(nbdkit, seal, place) as server:
        yield server


def check_exported(profile: str) -> None:
    """Raise UsageError unless PROFILE has a machine to export."""
    if PROFILES[profile].is_container:
        raise UsageError(
            f"the profile {profile} cannot be exported",
            why="it has no machine, only an image for this host",
            fix="use the profile prod, or vm-release",
        )


def warn_of_debug(context: Context, profile: str) -> None:
    """Warn that what is built for PROFILE is not for deployment, if it is not.

    An export that was made elsewhere may have its name of an earlier version.
    """
    facts = PROFILES.get(current_name(profile))
    if facts is not None and facts.debug:
        context.ui.warn(
            f"{profile} is a debug profile: whoever runs the machine can look into it; "
            f"deploy {facts.release}"
        )
