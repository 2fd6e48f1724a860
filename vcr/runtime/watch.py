"""Which files of a project change: seen by watchdog, collected until there is quiet.

What .dockerignore leaves out of the build context is not a change; the Dockerfile, vcr.toml,
vcr.lock and .dockerignore itself always are. https://pythonhosted.org/watchdog
"""

import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vcr.dockerfile.ignore import load_ignore
from vcr.errors import HostError, UsageError
from vcr.model.project import CONFIG_FILE, LOCK_FILE, Project

QUIET_SECONDS = 0.1  # without a change, before what was collected counts: an editor writes twice
LONGEST_SECONDS = 2.0  # that it may take when files never stop changing
MODULES = "usr/lib/python3/dist-packages"  # in the toolset `watch`
# Of a file that is only read there are events, too.
KINDS = frozenset({"created", "modified", "moved", "deleted", "closed"})


@dataclass
class Changes:
    """Paths that changed, collected by one thread and taken by another."""

    quiet: float = QUIET_SECONDS
    longest: float = LONGEST_SECONDS
    _paths: set[Path] = field(default_factory=set)
    _first: float = 0.0
    _last: float = 0.0
    _some: threading.Condition = field(default_factory=threading.Condition)

    def add(self, path: Path) -> None:
        """Note that PATH changed."""
        with self._some:
            self._last = time.monotonic()
            self._first = self._first if self._paths else self._last
            self._paths.add(path)
            self._some.notify_all()

    def are_there(self) -> bool:
        """Return whether something changed that was not taken."""
        return bool(self._paths)

    def take(self, timeout: float) -> frozenset[Path]:
        """Wait for a change, TIMEOUT seconds at most, then for quiet; return what changed."""
        with self._some:
            self._some.wait_for(self.are_there, timeout)
            while self._paths and (left := self._until_quiet()) > 0:
                self._some.wait(left)
            taken, self._paths = frozenset(self._paths), set()
            return taken

    def _until_quiet(self) -> float:
        end = min(self._last + self.quiet, self._first + self.longest)
        return end - time.monotonic()


@dataclass(frozen=True)
class Filter:
    """Which paths matter to a project."""

    project: Project

    def matters(self, path: Path) -> bool:
        """Return whether a change of PATH may change what is built."""
        if self.decides(path):
            return True
        if not path.is_relative_to(self.project.context):
            return False
        relative = path.relative_to(self.project.context).as_posix()
        try:
            ignore = load_ignore(self.project.ignore_file)
        except UsageError:
            return True  # the build will say what is wrong with it
        return relative != "." and not ignore.ignores(relative)

    def decides(self, path: Path) -> bool:
        """Return whether PATH says how the project is built, rather than being a part of it."""
        project = self.project
        names = {project.root / CONFIG_FILE, project.root / LOCK_FILE, project.dockerfile}
        return path in names or path in project.ignore_files


@contextmanager
def watching(project: Project, toolset: Path, changes: Changes) -> Iterator[None]:
    """Collect in CHANGES what changes in PROJECT while the block runs; raises HostError.

    TOOLSET is the store path of the pinned watchdog.
    """
    matters = Filter(project).matters

    def note(event: Any) -> None:
        is_part = event.event_type in KINDS and not (
            event.is_directory and event.event_type == "modified"
        )
        for name in (event.src_path, event.dest_path):
            if is_part and name and matters(Path(name)):
                changes.add(Path(name))

    observer = _observer(toolset, note, project)
    try:
        yield
    finally:
        observer.stop()
        observer.join()


def _observer(toolset: Path, note: Callable[[Any], None], project: Project) -> Any:
    """Return a started observer of the context and of where the Dockerfile is."""
    if str(toolset / MODULES) not in sys.path:
        sys.path.insert(0, str(toolset / MODULES))
    handler = importlib.import_module("watchdog.events").FileSystemEventHandler()
    handler.on_any_event = note
    observer = importlib.import_module("watchdog.observers").Observer()
    observer.schedule(handler, str(project.context), recursive=True)
    for directory in {project.root, project.dockerfile.parent}:
        if not directory.is_relative_to(project.context):
            observer.schedule(handler, str(directory), recursive=False)
    try:
        observer.start()
    except OSError as error:
        with suppress(RuntimeError):
            observer.stop()
        raise HostError(
            f"cannot watch {project.context}",
            why=error.strerror or str(error),
            fix="raise sysctl fs.inotify.max_user_watches and max_user_instances",
        ) from None
    return observer
