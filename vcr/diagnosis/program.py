"""Why the kernel cannot start a program of a container's root: execve(2), elf(5).

guest/agent/program.go has the same rule; tests/vectors/programs.json tries both. Links are
followed below the root, as the container sees them.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vcr.diagnosis.facts import MAX_NAME, Program

OPENAT2, RESOLVE_IN_ROOT = 437, 0x10  # openat2(2), the same number on every architecture
HEAD = 4096
PT_INTERP = 3
MOST_HEADERS = 64  # of an ELF file, that are read
MOST_SCRIPTS = 5  # that name each other: BINPRM_MAX_RECURSION and one
# What a 64-bit kernel may run, too: those of 32 bits.
RELATED = {("62:2", "3:1"), ("183:2", "40:1")}
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Command:
    """What a container starts, and as whom."""

    argv: Sequence[str]
    env: Sequence[str]  # NAME=value
    cwd: str
    user: int | None  # None: any
    groups: Sequence[int] = ()
    covered: Sequence[str] = ()  # directories in which the root's files are not to be seen

    @property
    def places(self) -> list[str]:
        """Return the absolute paths at which the program may be."""
        name = self.argv[0] if self.argv else ""
        if "/" in name:
            return [_join(self.cwd, name)]
        path = next((each[5:] for each in self.env if each.startswith("PATH=")), "")
        return [_join(self.cwd, f"{each or '.'}/{name}") for each in path.split(":") if path]


def why_not(root: Path, command: Command, here: str) -> Program | None:
    """Return why COMMAND cannot be started in ROOT on the architecture HERE, None if it may be.

    HERE is as `architecture` says. None, too, where this cannot be known.
    """
    name = command.argv[0] if command.argv else ""
    if not name or not command.places:
        return None
    found = "missing"
    with _Root(root) as files:
        for place in command.places:
            if _is_covered(place, command.covered):
                return None
            problem = files.problem(place, command)
            if problem is None:
                return None
            if problem == "":
                return files.format_problem(place, command, here)
            found = problem if found == "missing" else found
    return Program(_shown(name), found)


def architecture(head: bytes) -> str:
    """Return the architecture that an ELF file with this HEAD is for, "" for no ELF file."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    order = ">" if head[5] == 2 else "<"
    return f"{struct.unpack_from(order + 'H', head, 18)[0]}:{head[4]}"


def own_architecture() -> str:
    """Return the architecture that this process runs on; raises OSError."""
    with Path("/proc/self/exe").open("rb") as file:
        return architecture(file.read(HEAD))


class _Root:
    """The root of a container."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def __enter__(self) -> Self:
        self._handle = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def open(self, path: str) -> int:
        """Return a handle of PATH, with O_PATH; raises OSError."""
        how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
        name = os.fsencode(path)
        if b"\0" in name:
            raise FileNotFoundError(path)
        handle = _LIBC.syscall(OPENAT2, self._handle, name, how, len(how))
        if handle < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return int(handle)

    def problem(self, path: str, command: Command) -> str | None:
        """Return why the file at PATH is not one to start, "" if it is, None if nobody knows."""
        try:
            handle = self.open(path)
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError:
            return None
        try:
            status = os.fstat(handle)
        finally:
            os.close(handle)
        if not stat.S_ISREG(status.st_mode):
            return "directory"
        if not status.st_mode & 0o111:
            return "mode"
        return "" if _may_execute(status, command) else "denied"

    def head(self, path: str) -> tuple[int, bytes]:
        """Return a handle of the regular file at PATH, and how it begins; raises OSError."""
        at = self.open(path)
        try:
            handle = os.open(f"/proc/self/fd/{at}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(at)
        return handle, os.pread(handle, HEAD, 0)

    def format_problem(
        self, path: str, command: Command, here: str, scripts: int = 0
    ) -> Program | None:
        """Return what is wrong with the content of the file at PATH, None for nothing."""
        try:
            handle, head = self.head(path)
        except OSError:
            return None
        try:
            is_script = head[:2] == b"#!"
            name = _script(head) if is_script else _loader(handle, head)
        finally:
            os.close(handle)
        own = architecture(head)
        if own and own != here:
            known = (here, own) not in RELATED
            return Program(_shown(path), "machine", own, here) if known else None
        if not own and not name:
            return Program(_shown(path), "format")
        return (
            self._of_next(path, name, command, here, scripts if is_script else -1) if name else None
        )

    def _of_next(
        self, path: str, name: str, command: Command, here: str, scripts: int
    ) -> Program | None:
        """Return what is wrong with NAME, which the file at PATH is started by."""
        place, is_script = _join(command.cwd, name), scripts >= 0
        problem = None if _is_covered(place, command.covered) else self.problem(place, command)
        if problem:
            return Program(_shown(path), "interpreter" if is_script else "loader", _shown(name))
        if problem is None or not 0 <= scripts < MOST_SCRIPTS:
            return None
        return self.format_problem(place, command, here, scripts + 1)


def _may_execute(status: os.stat_result, command: Command) -> bool:
    if not command.user:  # root, or any
        return True
    if status.st_uid == command.user:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid in command.groups else 0o001))


def _script(head: bytes) -> str:
    """Return what a script names as its interpreter: execve(2)."""
    line = head[2:256].partition(b"\n")[0].strip(b" \t")
    name = line.replace(b"\t", b" ").partition(b" ")[0].partition(b"\0")[0]
    return name.decode("utf-8", "surrogateescape")


def _loader(handle: int, head: bytes) -> str:
    """Return what an ELF file of 64 bits names as its loader, "" for none: PT_INTERP."""
    if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
        return ""
    table = struct.unpack_from("<Q", head, 32)[0]
    size, count = struct.unpack_from("<HH", head, 54)
    if size < 56 or table > 1 << 40:
        return ""
    for number in range(min(count, MOST_HEADERS)):
        row = os.pread(handle, 56, table + number * size)
        if len(row) == 56 and struct.unpack_from("<I", row)[0] == PT_INTERP:
            offset, length = struct.unpack_from("<Q", row, 8)[0], struct.unpack_from("<Q", row, 32)
            if offset > 1 << 40 or length[0] > HEAD:
                return ""
            name = os.pread(handle, length[0], offset).partition(b"\0")[0]
            return name.decode("utf-8", "surrogateescape")
    return ""


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")[:MAX_NAME]


def _join(cwd: str, name: str) -> str:
    return name if name.startswith("/") else f"{cwd.rstrip('/')}/{name}"


def _is_covered(path: str, covered: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in covered)
