"""What a project takes from outside, each with a digest of its definition.

`vcr lock` records the digests; a build compares them, without network, and a
difference names what changed.
"""

from dataclasses import dataclass, field

from vcr.dockerfile.git_address import GitAddress
from vcr.dockerfile.inputs import Call, external_inputs
from vcr.dockerfile.text import Position
from vcr.errors import UsageError
from vcr.model.digest import Digest
from vcr.model.lockfile import digest_of_input
from vcr.model.project import Project
from vcr.model.sections.base import Base
from vcr.model.url import check_image, familiar_name


@dataclass(frozen=True)
class Wanted:
    """The inputs of a project, by what they are called in it."""

    bases: dict[str, Base]  # by the name after FROM
    places: dict[str, Position]  # where the Dockerfile names one that vcr.toml does not
    # of ADD without --checksum=sha256:, by address → other checksums
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    repositories: dict[GitAddress, Position] = field(default_factory=dict)  # of ADD
    stages: tuple[str, ...] = ()  # names that the Dockerfile gives to its own
    calls: dict[str, tuple[Call, ...]] = field(default_factory=dict)  # image → of its stages' RUNs

    def digests(self) -> dict[str, Digest]:
        """Return the digest of each input's definition, by the name messages use."""
        found = {
            f"[base.{name}]": digest_of_input(base.model_dump(mode="json", exclude_defaults=True))
            for name, base in self.bases.items()
        }
        for url, checksums in self.files.items():
            found[f"ADD {url}"] = digest_of_input([url, *checksums] if checksums else url)
        found |= {f"ADD {each.text}": digest_of_input(each.text) for each in self.repositories}
        return dict(sorted(found.items()))


def wanted_inputs(project: Project) -> Wanted:
    """Return what PROJECT takes from outside; raises UsageError for a bad Dockerfile.

    An image that is not a [base.NAME] is locked under its reference.
    """
    outside = external_inputs(project)
    bases = {name: base.source for name, base in project.config.base.items()}
    named = {familiar_name(name) for name in bases}
    services = [s.image for s in project.config.services.values() if s.image]
    places: dict[str, Position] = {}
    for reference in (*outside.images, *services):
        if reference in bases or familiar_name(reference) in named:
            continue
        at = outside.images.get(reference)
        bases[reference] = Base(image=_checked(reference, at))
        named.add(familiar_name(reference))
        if at is not None:
            places[reference] = at
    return Wanted(bases, places, outside.files, outside.repositories, outside.stages, outside.calls)


def _checked(reference: str, at: Position | None) -> str:
    """Return REFERENCE, the name of an image that stands AT; raises UsageError."""
    try:
        return check_image(reference)
    except ValueError as error:
        where = f"{at}: " if at else ""
        raise UsageError(
            f"{where}{error}",
            why="vcr.toml has no [base] of that name either",
            fix="write HOST/NAME:TAG, or NAME:TAG of Docker Hub",
        ) from None
