"""A Debian `Packages` index: what a suite offers for one architecture.

https://wiki.debian.org/DebianRepository/Format#A.22Packages.22_Indices
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

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

    An index has some 70,000 paragraphs and a resolution needs a hundred, so each is
    read when it is asked for.
    """

    def __init__(self, text: str) -> None:
        """Take a whole Packages file; what is malformed in it shows when it is read."""
        self._paragraphs: dict[str, list[str]] = {}
        self._providers: dict[str, list[str]] = {}
        self._packages: dict[str, Package] = {}
        for paragraph in text.split("\n\n"):
            head = paragraph.lstrip("\n").partition("\n")[0]
            name = head.removeprefix("Package:").strip()
            if head and name:
                self._paragraphs.setdefault(name, []).append(paragraph)
                if "\nProvides:" in paragraph:
                    self._note_provides(name, paragraph)

    @property
    def names(self) -> Iterable[str]:
        """Return the names of all packages."""
        return self._paragraphs.keys()

    @property
    def essential(self) -> set[str]:
        """Return the names of the packages every system has."""
        return {
            name
            for name, found in self._paragraphs.items()
            if any("\nEssential: yes" in text for text in found)
        }

    def get(self, name: str) -> Package | None:
        """Return the newest package NAME, if there is one; raises ValueError."""
        if name not in self._packages and name in self._paragraphs:
            found = (_read(next(paragraphs(text))) for text in self._paragraphs[name])
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

    def _note_provides(self, name: str, paragraph: str) -> None:
        value = paragraph.partition("\nProvides:")[2].partition("\n")[0]
        for provided in value.split(","):
            words = provided.split()
            if words:
                self._providers.setdefault(words[0].partition(":")[0], []).append(name)


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
