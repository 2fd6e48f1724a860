"""The commit from which a project was built, and the files that differ from it.

Every byte that takes part is compared with what the commit has, without git's filters: the
Dockerfile, vcr.toml, vcr.lock, what says which files take no part, files of the context, and
a kernel or an emulator of the project. What is in the commit and would take part, but is not
there, is a difference, too; it is told of every file that .dockerignore does not name.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vcr.dockerfile.ignore import load_ignore
from vcr.errors import UsageError
from vcr.foreign import open_regular
from vcr.model.plan import Copy, Plan, Run
from vcr.model.project import CONFIG_FILE, Project
from vcr.model.source import ContextSource
from vcr.tools.git import Git, public_uri
from vcr.tools.git_objects import LINK, SUBMODULE, TREE, Entry, Objects
from vcr.tools.repository import Repository
from vcr.ui import Ui

ALGORITHMS = {40: "sha1", 64: "sha256"}  # by the digits of a name
CHUNK = 1 << 20  # bytes
SHOWN = 5  # names in a warning


@dataclass(frozen=True)
class Revision:
    """What a working tree was checked out from."""

    commit: str
    uri: str  # where it is published, without credentials; "" when that is not the network
    changed: tuple[str, ...] = ()  # what took part and is not of the commit, by its path there


def revision_of(project: Project, plan: Plan, git: Callable[[], Git]) -> Revision | None:
    """Return of what PLAN of PROJECT is made, None when git keeps no commit of it.

    Nothing that the repository names is run. Raises UsageError, MismatchError, VcrError.
    """
    repository = Repository.around(project.root)
    commit = repository.head() if repository else ""
    if repository is None or not commit:
        return None
    program = git()
    with program.objects(repository.objects, ALGORITHMS[len(commit)]) as objects:
        parts = _Parts(project, plan, repository.tree)
        listing = objects.listing(commit, parts.enters)
        changed = {*parts.changes(listing, objects), *parts.missing(listing)}
    origin = program.value(repository.config(), "remote.origin.url")
    return Revision(commit, public_uri(origin), tuple(sorted(changed)))


def warn_of_changes(ui: Ui, source: Revision | None) -> None:
    """Warn the user when what was built is not the commit that a statement will name."""
    if source is not None and source.changed:
        more = len(source.changed) - SHOWN
        names = ", ".join(source.changed[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        ui.warn(
            f"the statement says that the source was changed: these differ from the commit: {names}"
        )


@dataclass(frozen=True)
class _Parts:
    """What takes part in building PLAN of PROJECT, in the working tree at TREE."""

    project: Project
    plan: Plan
    tree: Path

    def enters(self, directory: str) -> bool:
        """Return whether something in DIRECTORY of the commit may take part."""
        place = self.tree / directory
        return place.is_relative_to(self.project.context) or any(
            path.is_relative_to(place) for path in (self.project.context, *self._own())
        )

    def changes(self, listing: dict[str, Entry], objects: Objects) -> Iterator[str]:
        """Yield what takes part and is not as LISTING has it."""
        for path in (*self._own(), *self._copied()):
            name = self._name(path)
            if name is None:
                if path.exists():
                    yield f"(outside) {_shown(path.name)}"
            elif not _is_same(path, listing.get(name), objects):
                is_directory = path.is_dir() and not path.is_symlink()
                yield _shown(_top(f"{name}/" if is_directory else name, listing))

    def missing(self, listing: dict[str, Entry]) -> Iterator[str]:
        """Yield files of LISTING that would be in the context, but are not there."""
        context = self._name(self.project.context)
        if context is None:
            return
        ignore = load_ignore(self.project.ignore_file)
        start = "" if context == "." else f"{context}/"
        for name, entry in listing.items():
            is_gone = entry.is_blob and not os.path.lexists(self.tree / name)
            is_inside = is_gone and name.startswith(start)
            if is_inside and not ignore.ignores(name.removeprefix(start)):
                yield _shown(name)

    def _own(self) -> Iterator[Path]:
        """Yield the files that say what is built; not all of them have to be there."""
        project, machine = self.project, self.plan.machine
        named = (project.root / CONFIG_FILE, project.lock_file, project.dockerfile)
        for path in (*named, *project.ignore_files):
            yield path
            if path.is_symlink():
                yield Path(os.path.realpath(path))
        yield from (Path(own) for own in (machine.emulator, machine.emulator_kernel) if own)

    def _copied(self) -> Iterator[Path]:
        """Yield what is taken of the context: files, links, directories."""
        for layer in self.plan.layers.values():
            if isinstance(layer, Copy):
                sources = [source for source in layer.sources if isinstance(source, ContextSource)]
            elif isinstance(layer, Run):
                shown = [mount.source for mount in layer.mounts]
                sources = [source for source in shown if isinstance(source, ContextSource)]
            else:
                continue
            for source in sources:
                yield from (self.project.context / name for name in (*source.files, *source.links))

    def _name(self, path: Path) -> str | None:
        """Return the name of PATH in a commit, None outside of the working tree."""
        return path.relative_to(self.tree).as_posix() if path.is_relative_to(self.tree) else None


def _is_same(path: Path, entry: Entry | None, objects: Objects) -> bool:
    """Return whether what is at PATH is ENTRY; nothing is the same as nothing."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            return entry is not None and entry.mode in {TREE, SUBMODULE}
        if entry is None:
            return False
        if stat.S_ISLNK(mode):
            name = objects.name_of("blob", os.fsencode(path.readlink()))
            return (entry.mode, entry.ident) == (LINK, name)
        is_executable = bool(mode & stat.S_IXUSR)  # all of a mode that Nix and git keep
        is_like = entry.is_blob and entry.mode != LINK and entry.is_executable == is_executable
        return is_like and _hash_file(path, objects) == entry.ident
    except FileNotFoundError:
        return entry is None
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None


def _hash_file(path: Path, objects: Objects) -> str:
    with open_regular(path) as file:
        digest = objects.hash_of("blob", os.fstat(file.fileno()).st_size)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _top(name: str, listing: dict[str, Entry]) -> str:
    """Return the directory nearest to the top that is not in LISTING, NAME if there is none."""
    for parent in reversed(PurePosixPath(name).parents[:-1]):
        if str(parent) not in listing:
            return f"{parent}/"
    return name


def _shown(name: str) -> str:
    """Return NAME as text of JSON: what is not UTF-8 in it is escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
