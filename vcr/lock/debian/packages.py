"""A Debian `Packages` index: what a suite offers for one architecture.

https://wiki.debian.org/DebianRepository/Format#A.22Packages.22_Indices
"""

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Self

from vcr.lock.debian.version import Version

# Not the whole policy grammar: "name:any (>= 1) [arch] <profile>"; binary
# packages carry no architecture or profile restrictions in an index.
_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.\-]*)(?::[a-z0-9\-]+)?"
    r"\s*(?:\(\s*(?P<op><<|<=|=|>=|>>)\s*(?P<version>[^)\s]+)\s*\))?\s*"
)


@dataclass(frozen=True)
class Relation:
    """One alternative of a dependency: a name and perhaps a version it must have."""

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse TEXT; raises ValueError."""
        match = _RELATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"not a package relation: {text!r}")
        return cls(match["name"], match["op"] or "", match["version"] or "")

    def accepts(self, version: Version) -> bool:
        """Return whether VERSION is good enough."""
        return not self.operator or version.satisfies(self.operator, Version(self.version))


# A place is a number: where a paragraph begins, and in the last bits how long it is.
_LENGTH = 24

type Dependency = tuple[Relation, ...]  # alternatives, the preferred one first


@dataclass(frozen=True)
class Package:
    """One binary package as the index describes it."""

    name: str
    version: Version
    architecture: str
    filename: str  # relative to the archive's root
    sha256: str
    size: int  # bytes of the .deb
    installed_size: int  # KiB
    depends: tuple[Dependency, ...]  # Pre-Depends and Depends
    provides: tuple[Relation, ...]


class Index:
    """The packages of one architecture, the newest version of each name.

    An index has some 70,000 paragraphs, 50 MB in all, and a resolution needs a hundred. So the
    text is in a file, and what is kept is where each paragraph is in it.
    """

    def __init__(self, pieces: Iterable[bytes], file: BinaryIO) -> None:
        """Take a Packages file in PIECES and write it to FILE; raises ValueError, OSError.

        What is malformed in a paragraph shows when it is read.
        """
        self._file = file
        self._places: dict[str, int] = {}  # of the first paragraph of a name; see _packed
        self._further: dict[str, list[int]] = {}
        self._providers: dict[str, list[str]] = {}
        self._packages: dict[str, Package] = {}
        self.essential: set[str] = set()  # names of the packages every system has
        at = 0
        for block in _blocks(pieces):
            file.write(block)
            self._note_block(block, at)
            at += len(block)

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Take a whole Packages file."""
        return cls([text.encode()], io.BytesIO())

    @property
    def names(self) -> Iterable[str]:
        """Return the names of all packages."""
        return self._places.keys()

    def _note_block(self, block: bytes, at: int) -> None:
        """Note the paragraphs of BLOCK, which begins AT so many bytes of the file."""
        for text in block.split(b"\n\n"):
            start = _field(text, b"Package:")
            if start >= 0:
                name = _value(text, start)
                self._note(name, at, len(text))
                provides = _field(text, b"Provides:")
                if provides >= 0:
                    self._note_provides(name, _value(text, provides))
                if _field(text, b"Essential: yes") >= 0:
                    self.essential.add(name)
            at += len(text) + 2

    def _note(self, name: str, start: int, length: int) -> None:
        place = start << _LENGTH | min(length, (1 << _LENGTH) - 1)
        if self._places.setdefault(name, place) != place:
            self._further.setdefault(name, []).append(place)

    def _paragraphs(self, name: str) -> Iterator[str]:
        """Yield the paragraphs of NAME; raises ValueError for what is not UTF-8."""
        places = [self._places[name]] if name in self._places else []
        for place in places + self._further.get(name, []):
            self._file.seek(place >> _LENGTH)
            yield self._file.read(place & ((1 << _LENGTH) - 1)).decode()

    def get(self, name: str) -> Package | None:
        """Return the newest package NAME, if there is one; raises ValueError."""
        if name not in self._packages and name in self._places:
            found = [_read(next(paragraphs(text))) for text in self._paragraphs(name)]
            self._packages[name] = max(found, key=lambda package: package.version)
        return self._packages.get(name)

    def providers(self, name: str) -> list[tuple[Package, Version | None]]:
        """Return what provides NAME and the version it provides, sorted by package."""
        found = []
        for provider in sorted(set(self._providers.get(name, ()))):
            package = self.get(provider)
            for provided in package.provides if package else ():
                if package and provided.name == name:
                    version = Version(provided.version) if provided.operator else None
                    found.append((package, version))
        return found

    def candidates(self, relation: Relation) -> list[Package]:
        """Return the packages that satisfy RELATION, the real one first, then by name."""
        found = []
        real = self.get(relation.name)
        if real is not None and relation.accepts(real.version):
            found.append(real)
        for package, version in self.providers(relation.name):
            # Policy 7.5: an unversioned Provides satisfies only unversioned relations.
            if not relation.operator or (version is not None and relation.accepts(version)):
                found.append(package)
        return found

    def _note_provides(self, name: str, value: str) -> None:
        for provided in value.split(","):
            words = provided.split()
            if words:
                self._providers.setdefault(words[0].partition(":")[0], []).append(name)


def _field(text: bytes, beginning: bytes) -> int:
    """Return where the line of TEXT is that has this BEGINNING, -1 if none has."""
    if text.startswith(beginning):
        return 0
    at = text.find(b"\n" + beginning)
    return at + 1 if at >= 0 else -1


def _value(text: bytes, start: int) -> str:
    """Return the value of the field that begins at START of TEXT; raises ValueError."""
    end = text.find(b"\n", start)
    line = text[start:end] if end >= 0 else text[start:]
    return line.partition(b":")[2].decode().strip()


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what PIECES are in blocks of whole paragraphs."""
    rest = b""
    for piece in pieces:
        rest += piece
        end = rest.rfind(b"\n\n") + 1
        if end:
            yield rest[:end]
            rest = rest[end:]
    yield rest


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Split deb822 TEXT into paragraphs of field → value; continuation lines are joined."""
    fields: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t":
            if not last:
                raise ValueError(f"continuation without a field: {line!r}")
            fields[last] += "\n" + line.strip()
        else:
            last, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"not a field: {line!r}")
            fields[last] = value.strip()
    if fields:
        yield fields


def _read(fields: dict[str, str]) -> Package:
    try:
        depends = [fields.get("Pre-Depends", ""), fields.get("Depends", "")]
        return Package(
            name=fields["Package"],
            version=Version(fields["Version"]),
            architecture=fields["Architecture"],
            filename=fields["Filename"],
            sha256=fields["SHA256"],
            size=int(fields["Size"]),
            installed_size=int(fields.get("Installed-Size", "0")),
            depends=tuple(_dependencies(", ".join(filter(None, depends)))),
            provides=tuple(r for d in _dependencies(fields.get("Provides", "")) for r in d),
        )
    except KeyError as error:
        name = fields.get("Package", "?")
        raise ValueError(f"package {name} has no field {error.args[0]}") from None


def _dependencies(text: str) -> Iterator[Dependency]:
    for group in text.replace("\n", " ").split(","):
        if group.strip():
            yield tuple(Relation.parse(alternative) for alternative in group.split("|"))
