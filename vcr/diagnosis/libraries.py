"""Which library that a program is linked with its loader does not find: ld.so(8).

guest/agent/libraries.go has the same rule; tests/vectors/programs.json tries both. Loaders of
two kinds are known, glibc's and musl's: https://git.musl-libc.org/cgit/musl/tree/ldso/dynlink.c
(load_library). Where it cannot be known, nothing is missing.
"""

import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from vcr.diagnosis.elf import HEAD, Needs, architecture, needs_of
from vcr.diagnosis.root import Files

MOST_FILES = 256  # programs and libraries that are read
MOST_LOOKS = 4096  # at places where a library may be
MOST_CACHE = 4 << 20  # bytes of glibc's cache that are read
CACHE = "/etc/ld.so.cache"
# glibc's own directories, with those of Debian's multiarch by the architecture.
SYSTEM = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
TRIPLETS = {"62:2": "x86_64-linux-gnu", "183:2": "aarch64-linux-gnu", "243:2": "riscv64-linux-gnu"}
MUSL = re.compile(r".*/ld-musl-([\w.]{1,40})\.so\.1", re.DOTALL | re.ASCII)
MUSL_SYSTEM = ("/lib", "/usr/local/lib", "/usr/lib")
# Libraries that musl's loader is itself.
MUSL_OWN = re.compile(r"lib(?:c|pthread|rt|m|dl|util|xnet)\.")
_ORIGIN = re.compile(r"\$(?:ORIGIN\b|\{ORIGIN\})", re.ASCII)


@dataclass(frozen=True)
class Missing:
    """A library that is not found."""

    name: str
    needed_by: str  # the path of a program or a library


class UnknownError(Exception):
    """Where the loader looks is not known, or not to be seen."""


@dataclass(frozen=True)
class Search:
    """How the LOADER of a program looks for libraries."""

    files: Files
    loader: str
    here: str  # the architecture, as `architecture` says
    cwd: str
    env: Sequence[str]
    covered: Sequence[str] = ()  # directories in which the root's files are not to be seen
    _looks: Iterator[int] = field(default_factory=lambda: iter(range(MOST_LOOKS)))  # that are left

    def missing(self, program: str) -> Missing | None:
        """Return the first library that PROGRAM, or a library of it, does not find."""
        try:
            return self._missing(program)
        except (UnknownError, OSError):
            return None

    def _missing(self, program: str) -> Missing | None:
        own = self._needs(program)
        first = _with_origin(own.paths, program)  # DT_RPATH holds for libraries of libraries, too
        cache, usual = self._cache(), self._usual()
        pending, seen, read = [(program, own)], {self.loader.rpartition("/")[2]}, 0
        while pending and read < MOST_FILES:
            path, needs = pending.pop(0)
            read += 1
            paths = [*first, *_with_origin(needs.paths, path)]
            for name in needs.libraries:
                if name in seen or (self._is_musl and MUSL_OWN.match(name)):
                    continue
                seen.add(name)
                found = self._find(name, [*paths, *usual])
                if found:
                    pending.append((found, self._needs(found)))
                elif _as_string(name) not in cache:
                    return Missing(name, path)
        return None

    @property
    def _is_musl(self) -> bool:
        return MUSL.fullmatch(self.loader) is not None

    def _needs(self, path: str) -> Needs:
        with self.files.opened(path) as read:
            return needs_of(read)

    def _cache(self) -> bytes:
        """Return glibc's list of libraries; that of a name in it is taken to be there."""
        if not self._is_musl:
            with suppress(OSError), self.files.opened(CACHE) as read:
                return read(MOST_CACHE, 0)
        return b""

    def _usual(self) -> list[str]:
        """Return where libraries are looked for in any case."""
        variable = next((each[16:] for each in self.env if each.startswith("LD_LIBRARY_PATH=")), "")
        given = [each or "." for each in re.split("[:;]", variable)] if variable else []
        musl = MUSL.fullmatch(self.loader)
        if not musl:
            triplet = TRIPLETS.get(self.here)
            multiarch = [f"{each}/{triplet}" for each in SYSTEM[:2] if triplet]
            return [*given, *multiarch, *SYSTEM]
        with suppress(OSError), self.files.opened(f"/etc/ld-musl-{musl[1]}.path") as read:
            lines = re.split("[:\n]", read(HEAD, 0).decode("utf-8", "surrogateescape"))
            return [*given, *(line for line in lines if line)]
        return [*given, *MUSL_SYSTEM]

    def _find(self, name: str, places: Sequence[str]) -> str:
        """Return the path of the library NAME, "" if it is in none of PLACES."""
        paths = [name] if "/" in name else [f"{each}/{name}" for each in places]
        return next((path for path in map(self._absolute, paths) if self._is_library(path)), "")

    def _absolute(self, path: str) -> str:
        if "$" in path:
            raise UnknownError(path)
        path = path if path.startswith("/") else f"{self.cwd.rstrip('/')}/{path}"
        if any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in self.covered):
            raise UnknownError(path)
        return path

    def _is_library(self, path: str) -> bool:
        """Return whether the loader takes PATH: one for another architecture it skips."""
        if next(self._looks, None) is None:
            raise UnknownError(path)
        try:
            if not stat.S_ISREG(self.files.status(path).mode):
                return False
            with self.files.opened(path) as read:
                return architecture(read(HEAD, 0)) == self.here
        except (FileNotFoundError, NotADirectoryError):
            return False


def _with_origin(paths: Sequence[str], path: str) -> list[str]:
    """Return the directories that PATHS, of the file at PATH, are."""
    directory = path.rpartition("/")[0] or "/"
    places = (place for each in paths for place in each.split(":") if place)
    return [_ORIGIN.sub(lambda _: directory, place) for place in places]


def _as_string(name: str) -> bytes:
    """Return NAME as a cache of glibc has it."""
    return b"\0" + name.encode("utf-8", "surrogateescape") + b"\0"
