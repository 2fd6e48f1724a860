"""Why the kernel, or its loader, cannot start a program of a container's root: execve(2), elf(5).

guest/agent/program.go has the same rule; tests/vectors/programs.json tries both.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vcr.diagnosis.elf import HEAD, architecture, loader_of
from vcr.diagnosis.facts import MAX_NAME, Program
from vcr.diagnosis.libraries import Search
from vcr.diagnosis.root import Files, Status

NO_LIBRARY = 127  # exit code of the loaders of glibc and musl, where they do not find a library
MOST_SCRIPTS = 5  # that name each other: BINPRM_MAX_RECURSION and one
# What a 64-bit kernel may run, too: those of 32 bits.
RELATED = {("62:2", "3:1"), ("183:2", "40:1")}


@dataclass(frozen=True)
class Command:
    """What a container starts, and as whom."""

    argv: Sequence[str]
    env: Sequence[str]  # NAME=value
    cwd: str
    user: int | None  # None: any
    groups: Sequence[int] = ()
    covered: Sequence[str] = ()  # directories in which the root's files are not to be seen
    code: int = 0  # that it has ended with, 0 for any

    @property
    def places(self) -> list[str]:
        """Return the absolute paths at which the program may be."""
        name = self.argv[0] if self.argv else ""
        if "/" in name:
            return [_join(self.cwd, name)]
        path = next((each[5:] for each in self.env if each.startswith("PATH=")), "")
        return [_join(self.cwd, f"{each or '.'}/{name}") for each in path.split(":") if path]


def why_not(files: Files, command: Command, here: str) -> Program | None:
    """Return why COMMAND cannot be started in FILES on the architecture HERE, None if it may be.

    HERE is as `architecture` says. None, too, where this cannot be known.
    """
    name = command.argv[0] if command.argv else ""
    if not name or not command.places:
        return None
    root, found = _Root(files, command, here), "missing"
    for place in command.places:
        if _is_covered(place, command.covered):
            return None
        problem = root.problem(place)
        if problem is None:
            return None
        if problem == "":
            return root.format_problem(place)
        found = problem if found == "missing" else found
    return Program(_shown(name), found)


def own_architecture() -> str:
    """Return the architecture that this process runs on; raises OSError."""
    with Path("/proc/self/exe").open("rb") as file:
        return architecture(file.read(HEAD))


@dataclass(frozen=True)
class _Root:
    """The root of a container, and what is started there on the architecture HERE."""

    files: Files
    command: Command
    here: str

    def problem(self, path: str) -> str | None:
        """Return why the file at PATH is not one to start, "" if it is, None if nobody knows."""
        try:
            status = self.files.status(path)
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError:
            return None
        if not stat.S_ISREG(status.mode):
            return "directory"
        if not status.mode & 0o111:
            return "mode"
        return "" if _may_execute(status, self.command) else "denied"

    def format_problem(self, path: str, scripts: int = 0) -> Program | None:
        """Return what is wrong with the content of the file at PATH, None for nothing."""
        try:
            with self.files.opened(path) as read:
                head = read(HEAD, 0)
                is_script = head[:2] == b"#!"
                name = _script(head) if is_script else loader_of(read)
        except OSError:
            return None
        own = architecture(head)
        if own and own != self.here:
            known = (self.here, own) not in RELATED
            return Program(_shown(path), "machine", own, self.here) if known else None
        if not own and not name:
            return Program(_shown(path), "format")
        return self._of_next(path, name, scripts if is_script else -1) if name else None

    def _of_next(self, path: str, name: str, scripts: int) -> Program | None:
        """Return what is wrong with NAME, which the file at PATH is started by."""
        place, is_script = _join(self.command.cwd, name), scripts >= 0
        problem = None if _is_covered(place, self.command.covered) else self.problem(place)
        if problem:
            return Program(_shown(path), "interpreter" if is_script else "loader", _shown(name))
        if problem is None:
            return None
        if not is_script:
            return self._of_libraries(path, name)
        return self.format_problem(place, scripts + 1) if scripts < MOST_SCRIPTS else None

    def _of_libraries(self, path: str, loader: str) -> Program | None:
        """Return which library the LOADER does not find for the program at PATH, None for none."""
        command = self.command
        if command.code != NO_LIBRARY:
            return None
        search = Search(self.files, loader, self.here, command.cwd, command.env, command.covered)
        found = search.missing(path)
        if found is None:
            return None
        return Program(_shown(found.needed_by), "library", _shown(found.name), _shown(loader))


def _may_execute(status: Status, command: Command) -> bool:
    if not command.user:  # root, or any
        return True
    if status.uid == command.user:
        return bool(status.mode & 0o100)
    return bool(status.mode & (0o010 if status.gid in command.groups else 0o001))


def _script(head: bytes) -> str:
    """Return what a script names as its interpreter: execve(2)."""
    line = head[2:256].partition(b"\n")[0].strip(b" \t")
    name = line.replace(b"\t", b" ").partition(b" ")[0].partition(b"\0")[0]
    return name.decode("utf-8", "surrogateescape")


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")[:MAX_NAME]


def _join(cwd: str, name: str) -> str:
    return name if name.startswith("/") else f"{cwd.rstrip('/')}/{name}"


def _is_covered(path: str, covered: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in covered)
