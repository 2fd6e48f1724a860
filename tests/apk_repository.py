"""Makes a signed repository of packages for apk, as a mirror of Alpine has one.

The formats: https://wiki.alpinelinux.org/wiki/Apk_spec. A package is three gzip streams, each of
a tar file: signature, control, data. Only the last one has tar's end.
"""

import base64
import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

EPOCH = 1_700_000_000
BLOCK = 512  # bytes, of tar


@dataclass(frozen=True)
class Package:
    """A package: files by path, a script that is run after they are there."""

    name: str
    version: str
    files: Mapping[str, bytes]
    depends: str = ""
    after: str = ""  # .post-install
    trigger: tuple[str, str] = ("", "")  # directories, .trigger


@dataclass
class Repository:
    """A repository for ARCH below DIRECTORY; KEY is the name of its key."""

    directory: Path
    arch: str = "x86_64"
    key: str = "alpine-devel@example.test-1.rsa.pub"
    private: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    @property
    def public(self) -> bytes:
        """Return what belongs into /etc/apk/keys."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def publish(self, *packages: Package) -> None:
        """Write PACKAGES, and the index that has them and no others."""
        place = self.directory / self.arch
        place.mkdir(parents=True, exist_ok=True)
        rows = []
        for package in packages:
            control, data = self._parts(package)
            content = self._signature(control) + control + data
            (place / f"{package.name}-{package.version}.apk").write_bytes(content)
            identity = base64.b64encode(hashlib.sha1(control).digest()).decode()  # noqa: S324
            rows.append(
                f"C:Q1{identity}\nP:{package.name}\nV:{package.version}\nA:{self.arch}\n"
                f"S:{len(content)}\nI:{sum(map(len, package.files.values()))}\n"
                f"T:a package of a test\nU:https://example.test/\nL:MIT\no:{package.name}\n"
                f"t:{EPOCH}\n" + (f"D:{package.depends}\n" if package.depends else "") + "\n"
            )
        index = _packed({"DESCRIPTION": b"main", "APKINDEX": "".join(rows).encode()}, end=True)
        (place / "APKINDEX.tar.gz").write_bytes(self._signature(index) + index)

    def _parts(self, package: Package) -> tuple[bytes, bytes]:
        data = _packed(package.files, end=True, sums=True)
        info = (
            f"pkgname = {package.name}\npkgver = {package.version}\npkgdesc = a package of a test\n"
            f"url = https://example.test/\nbuilddate = {EPOCH}\npackager = me\n"
            f"size = {sum(map(len, package.files.values()))}\narch = {self.arch}\n"
            f"origin = {package.name}\nlicense = MIT\n"
        )
        info += f"depend = {package.depends}\n" if package.depends else ""
        info += f"triggers = {package.trigger[0]}\n" if package.trigger[0] else ""
        info += f"datahash = {hashlib.sha256(data).hexdigest()}\n"
        files = {".PKGINFO": info.encode()}
        if package.after:
            files[".post-install"] = package.after.encode()
        if package.trigger[0]:
            files[".trigger"] = package.trigger[1].encode()
        return _packed(files, end=False), data

    def _signature(self, content: bytes) -> bytes:
        signed = self.private.sign(content, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        return _packed({f".SIGN.RSA.{self.key}": signed}, end=False)


def _packed(files: Mapping[str, bytes], *, end: bool, sums: bool = False) -> bytes:
    """Return FILES as a gzipped tar; without its END another one may follow."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        made: set[str] = set()
        for path, content in files.items():
            parents = [str(each) for each in reversed(Path(path).parents)][1:]
            for directory in (each for each in parents if each not in made):
                made.add(directory)
                tar.addfile(_info(directory, tarfile.DIRTYPE, 0o755))
            info = _info(path, tarfile.REGTYPE, 0o755 if content.startswith(b"#!") else 0o644)
            info.size = len(content)
            if sums:
                digest = hashlib.sha1(content).hexdigest()  # noqa: S324 -- the format's
                info.pax_headers = {"APK-TOOLS.checksum.SHA1": digest}
            tar.addfile(info, io.BytesIO(content))
        length = tar.offset
    content = buffer.getvalue()[:length]
    return gzip.compress(content + (bytes(2 * BLOCK) if end else b""), mtime=0)


def _info(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, EPOCH
    info.uname = info.gname = "root"
    return info
