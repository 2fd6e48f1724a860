"""Readers of Debian's files: packages, indexes, releases, versions."""

import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fuzz.target import Target
from vcr.errors import VcrError
from vcr.formats import debs, dpkg
from vcr.formats.debs import build_base, put_metadata, read_package
from vcr.formats.dpkg import put_database
from vcr.formats.tree import Tree
from vcr.lock.debian import packages, release, version
from vcr.lock.debian.packages import Index, Relation, paragraphs
from vcr.lock.debian.release import Release
from vcr.lock.debian.resolve import resolve
from vcr.lock.debian.version import Version
from vcr.lock.sources import is_what_was_there

INDEX = (
    b"Package: a\nEssential: yes\nVersion: 1:1.0-1+b1\nArchitecture: all\nFilename: pool/a.deb\nSize: 5\nSHA256: "
    + b"a" * 64
    + b"\nInstalled-Size: 4\nDepends: b (>= 1.0~rc1) | c, d:any\nPre-Depends: e\nProvides: v (= 1), w\n\nPackage: b\n"
    b"Version: 2\nArchitecture: amd64\nFilename: pool/b.deb\nSize: 5\nSHA256: "
    + b"b" * 64
    + b"\nDescription: x\n more\n"
)
IN_RELEASE = "http://snapshot.debian.org/archive/debian/20260601T000000Z/dists/trixie/InRelease"
RELEASE = (
    b"Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 30 May 2026 09:00:00 UTC\n"
    b"Valid-Until: Sat, 30 May 2036 09:00:00 UTC\nSHA256:\n "
    + b"a" * 64
    + b" 100 main/binary-amd64/Packages.xz\n"
)


MORE = b"".join(
    b"\nPackage: %s\nVersion: 2\nArchitecture: all\nFilename: x\nSize: 1\nSHA256: %s\n"
    % (name, b"c" * 64)
    for name in (b"c", b"d", b"e")
)


def read_index(data: bytes, _directory: Path) -> None:
    """Read an index and resolve a package of it, with all that it depends on."""
    index = Index.of_text(data.decode())
    for name in ["a", *list(index.names)[:50]]:
        with suppress(ValueError):
            index.get(name)
    index.candidates(Relation("v", ">=", "1"))
    resolve(index, ["a"])


def read_release(data: bytes, _directory: Path) -> None:
    """Read what a release says of itself and of its indexes, and whether it was there then."""
    signed = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + data
    signed += b"\n-----BEGIN PGP SIGNATURE-----\n"
    is_what_was_there(IN_RELEASE, signed)
    Release.parse(data.decode())


def read_version(data: bytes, _directory: Path) -> None:
    """Compare two versions, one a line."""
    first, _, second = data.decode("utf-8", "replace").partition("\n")
    one, two = Version(first), Version(second)
    assert (one < two) + (one == two) + (two < one) == 1, "the order is not total"
    Relation.parse(first)


def read_deb(data: bytes, directory: Path) -> None:
    """Take a package apart, unpack it, and make dpkg's database of it."""
    scratch, path = directory / "scratch", directory / "a.deb"
    shutil.rmtree(scratch, ignore_errors=True)
    path.write_bytes(data)
    package = read_package(path, scratch)
    tree = build_base([package], "amd64")
    put_metadata(Tree(), [package])
    put_database(tree, [package])


def _tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo("./" + name.replace("__", "/"))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _member(name: str, data: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
    return header + data + b"\n" * (len(data) % 2)


def _debs() -> Iterator[bytes]:
    control = _tar(
        control=b"Package: a\nVersion: 1\nArchitecture: all\nMulti-Arch: same\nReplaces: b (<< 1), c\n",
        conffiles=b"/etc/x\n",
        triggers=b"interest-noawait /usr/x\ninterest y\nactivate z\n",
        md5sums=b"",
    )
    data = _tar(etc__x=b"x", usr__lib__a=b"y", usr__share__ca_certificates__x_crt=b"z")
    for pack, end in ((gzip.compress, "gz"), (lzma.compress, "xz"), (bytes, "")):
        dot = "." * bool(end)
        yield (
            b"!<arch>\n"
            + _member("debian-binary", b"2.0\n")
            + _member(f"control.tar{dot}{end}", pack(control))
            + _member(f"data.tar{dot}{end}", pack(data))
        )


def read_paragraphs(data: bytes, _directory: Path) -> None:
    """Split into paragraphs."""
    list(paragraphs(data.decode()))


TARGETS = (
    Target(
        "deb822",
        read_paragraphs,
        lambda: [INDEX, RELEASE],
        "text",
        may_raise=(ValueError,),
        modules=(packages,),
    ),
    Target(
        "packages",
        read_index,
        lambda: [INDEX, INDEX + MORE],
        "text",
        may_raise=(ValueError,),
        modules=(packages,),
    ),
    Target(
        "release",
        read_release,
        lambda: [RELEASE],
        "text",
        may_raise=(ValueError, VcrError),
        modules=(release,),
    ),
    Target(
        "version",
        read_version,
        lambda: [b"1:1.0-1+b1\n1.0~rc1", b"0:1.0-0\n1.0", b"9\n1:1-2-3", b"a (>= 1.0)\n1"],
        "text",
        may_raise=(ValueError,),
        modules=(version,),
    ),
    Target(
        "deb",
        read_deb,
        _debs,
        modules=(debs, dpkg),
        words=(b"!<arch>\n", b"`\n", b"data.tar", b".zst"),
    ),
)
