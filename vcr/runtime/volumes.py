"""Volumes of projects that have names: where they are, listed and removed.

They are below `volumes/KEY` of the state directory, KEY being the project's: those of the app in
`_app`, which no service can be called, those of a service in a directory of its name.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vcr.engines.container.layers import remove_tree
from vcr.errors import VcrError
from vcr.model.project import Project
from vcr.settings import Settings

APP = "_app"
ROOT_FILE = "project"  # the directory of the project


@dataclass(frozen=True)
class NamedVolume:
    """A volume that is kept."""

    project: str  # its directory, "" where that is not known
    service: str  # "" of the app itself
    name: str
    path: Path
    size: int  # bytes of its files on this host

    @property
    def key(self) -> str:
        """Return the key of the project."""
        return self.path.parents[1].name


def directory_of(settings: Settings, project: Project, service: str = "") -> Path:
    """Return where volumes of PROJECT are: of a SERVICE, or of the app."""
    return settings.state_dir / "volumes" / project.key / (service or APP)


def note_project(settings: Settings, project: Project) -> None:
    """Note whose volumes those of PROJECT are; raises OSError."""
    place = directory_of(settings, project).parent
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    (place / ROOT_FILE).write_text(str(project.root))


def volumes(settings: Settings, key: str = "*") -> Iterator[NamedVolume]:
    """Yield the volumes of the project with KEY, by default of all of this user's."""
    for path in sorted((settings.state_dir / "volumes").glob(f"{key}/*/*")):
        service = "" if path.parent.name == APP else path.parent.name
        root = ""
        with suppress(OSError):
            root = (path.parents[1] / ROOT_FILE).read_text()
        if path.is_dir() and not path.name.startswith("."):
            yield NamedVolume(root, service, path.name, path, _size(path))


def _size(directory: Path) -> int:
    """Return what the files below DIRECTORY take; what cannot be read counts nothing."""
    total = 0
    for place, _, files in directory.walk():
        for name in files:
            with suppress(OSError):
                total += (place / name).lstat().st_blocks * 512
    return total


def remove_volumes(settings: Settings, key: str) -> tuple[NamedVolume, ...]:
    """Remove the volumes of the project with KEY, and return them; raises VcrError."""
    found = tuple(volumes(settings, key))
    remove_tree(settings.state_dir / "volumes" / key)
    for each in found:
        if each.path.exists():
            raise VcrError(
                f"the volume {each.name} cannot be removed",
                why=f"files of {each.path} belong to another user",
                fix=f"remove them as that user: `sudo rm -r {each.path}`",
            )
    return found
