"""A base of Debian packages: unpacked and merged, no maintainer script is run.

What the scripts of a plain installation would have made and programs rely on is
made here, from the packages' own files: the merged-/usr links, accounts, the
certificate bundle, Python's bytecode. Metadata of each package is kept as
/var/lib/dpkg/status.d/NAME, where scanners of distroless images look for it.
"""

import importlib.util
import marshal
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from vcr.formats.debian.alternatives import Postinst
from vcr.formats.debian.parser import script_text
from vcr.formats.failure import Failure
from vcr.formats.packed import uncompressed
from vcr.formats.tar import entries, place, refuse_device
from vcr.formats.tree import Content, Node, Tree, directory, text_file

AR_MAGIC = b"!<arch>\n"  # ar(5)
AR_HEADER = 60
MERGED = ("bin", "sbin", "lib")
STICKY = ("tmp", "var/tmp")
PLAIN = (
    "dev",
    "etc",
    "home",
    "proc",
    "root",
    "run",
    "sys",
    "usr/bin",
    "usr/sbin",
    "usr/lib",
    "var",
)
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
# Accounts when base-passwd is not among the packages; numbers are Debian's.
ACCOUNTS = (
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
)
GROUPS = "root:x:0:\nnogroup:x:65534:\n"
# PEP 552: bit 0 says the .pyc is checked by hash, bit 1 that it is checked at all.
UNCHECKED_HASH = (1).to_bytes(4, "little")


@dataclass(frozen=True)
class Package:
    """A .deb file, taken apart."""

    name: str
    replaces: frozenset[str]
    control: str
    control_tar: Path  # uncompressed
    data: Path  # uncompressed tar


def build_base(packages: list[Package], arch: str) -> Tree:
    """Merge PACKAGES for ARCH (an OCI name) into one tree; raises Failure."""
    tree = Tree()
    for name in PLAIN:
        tree.put(name, directory(0o700 if name == "root" else 0o755))
    for name in STICKY:
        tree.put(name, directory(0o1777))
    for name in (*MERGED, *(("lib64",) if arch == "amd64" else ())):
        if name == "lib64":
            tree.put("usr/lib64", directory())
        tree.put(name, Node("link", 0o777, target=f"usr/{name}"))
    owners: dict[str, Package] = {}
    for package in packages:
        _unpack(tree, package, owners)
    _accounts(tree)
    _certificates(tree)
    _bytecode(tree)
    return tree


def read_package(deb: Path, scratch: Path) -> Package:
    """Take DEB apart: https://manpages.debian.org/deb.5; raises Failure."""
    members = _ar_members(deb)
    control_tar = _member_tar(deb, members, "control.tar", scratch)
    data_tar = _member_tar(deb, members, "data.tar", scratch)
    control = ""
    for path, node in entries(control_tar):
        if path == "control" and isinstance(node, Node):
            control = node.content.read().decode("utf-8", "replace")
    name = re.search(r"^Package:\s*(\S+)", control, re.MULTILINE)
    if name is None:
        raise Failure(f"{deb.name} has no package name in its control file")
    replaced = re.search(r"^Replaces:\s*(.*(?:\n[ \t].*)*)", control, re.MULTILINE)
    replaces = re.findall(r"(?:^|,)\s*([a-z0-9][a-z0-9+.\-]+)", replaced[1] if replaced else "")
    return Package(name[1], frozenset(replaces), control, control_tar, data_tar)


def postinst_of(package: Package) -> Postinst | None:
    """Return the script that would configure PACKAGE, if it has one in the shell's language."""
    arch = re.search(r"^Architecture:\s*(\S+)", package.control, re.MULTILINE)
    for path, node in entries(package.control_tar):
        if path == "postinst" and isinstance(node, Node) and node.kind == "file":
            return Postinst(package.name, arch[1] if arch else "", script_text(node))
    return None


def put_metadata(tree: Tree, packages: list[Package]) -> None:
    """Note which PACKAGES TREE is made of, where no dpkg is going to."""
    for package in packages:
        tree.put(f"var/lib/dpkg/status.d/{package.name}", text_file(package.control))


def _ar_members(deb: Path) -> dict[str, tuple[int, int]]:
    """Return member name → (offset, size) of the ar archive DEB."""
    members, size = {}, deb.stat().st_size
    with deb.open("rb") as file:
        if file.read(len(AR_MAGIC)) != AR_MAGIC:
            raise Failure(f"{deb.name} is not a Debian package")
        at = len(AR_MAGIC)
        while at + AR_HEADER <= size:
            file.seek(at)
            header = file.read(AR_HEADER)
            length = header[48:58].strip()
            if header[58:] != b"`\n" or not length.isdigit():
                raise Failure(f"{deb.name} is damaged")
            name = header[:16].decode("ascii", "replace").strip().rstrip("/")
            members[name] = (at + AR_HEADER, int(length))
            at += AR_HEADER + int(length) + int(length) % 2
    return members


def _member_tar(deb: Path, members: dict[str, tuple[int, int]], prefix: str, scratch: Path) -> Path:
    name = next((name for name in members if name.startswith(prefix)), None)
    if name is None or name.endswith(".zst"):
        raise Failure(
            f"{deb.name} has no {prefix} that vcr can read",
            why="packages of Debian are compressed with xz" if name else "",
        )
    scratch.mkdir(parents=True, exist_ok=True)
    offset, size = members[name]
    packed = scratch / f"{deb.name}.{prefix}.packed"
    with packed.open("wb") as file:
        for piece in Content(size, deb, offset).chunks():
            file.write(piece)
    plain = uncompressed(packed, scratch / f"{deb.name}.{prefix}.d")
    if plain != packed:
        packed.unlink()
    return plain


def _unpack(tree: Tree, package: Package, owners: dict[str, Package]) -> None:
    """Add the files of PACKAGE; a file two packages have must be meant (Replaces) or equal."""
    for name, node in entries(package.data):
        refuse_device(name, node, package.name)
        path = tree.locate(name) if name else ""
        old, other = tree.get(path), owners.get(path)
        if old is not None and old.kind == "dir" and not _is_directory(node):
            raise Failure(
                f"the package {package.name} has a file where the directory /{path} is",
                fix="leave it out, or the package with the directory",
            )
        if other is None or old is None or old.kind == "dir":
            owners[_place(tree, name, node, package)] = package
            continue
        if package.name in other.replaces:
            continue
        if other.name not in package.replaces and not _equal(tree, old, node):
            raise Failure(
                f"the packages {other.name} and {package.name} both have /{path}",
                why="their files differ and neither declares to replace the other's",
                fix="leave one of them out",
            )
        owners[_place(tree, name, node, package)] = package


def _place(tree: Tree, name: str, node: Node | str, package: Package) -> str:
    return place(tree, name, node, package.name, through_links=True)


def _is_directory(node: Node | str) -> bool:
    return isinstance(node, Node) and node.kind == "dir"


def _equal(tree: Tree, old: Node, new: Node | str) -> bool:
    if isinstance(new, str):
        return tree.get(tree.locate(new)) is old
    same = (old.kind, old.mode, old.target) == (new.kind, new.mode, new.target)
    return same and old.content.read() == new.content.read()


def _accounts(tree: Tree) -> None:
    for name, fallback in (("passwd", ACCOUNTS), ("group", GROUPS)):
        master = tree.get(f"usr/share/base-passwd/{name}.master")
        text = master.content.read().decode() if master else fallback
        if f"etc/{name}" not in tree:
            # Debian's master files leave the password field as `*`, which is what we want.
            tree.put(f"etc/{name}", text_file(text))


def _certificates(tree: Tree) -> None:
    """Make the bundle that update-ca-certificates makes, of all certificates shipped."""
    shipped = [p for p in tree.below("usr/share/ca-certificates") if p.endswith(".crt")]
    if not shipped:
        return
    pieces = []
    for path in shipped:
        node = tree.get(path)
        assert node is not None  # noqa: S101 -- it was listed a moment ago
        pieces.append(node.content.read().rstrip(b"\n") + b"\n")
    bundle = Node("file", 0o644, content=Content.of_bytes(b"".join(pieces)))
    tree.put(BUNDLE, bundle)
    # Where OpenSSL, hence Python, looks first; hashed names would need OpenSSL itself.
    if "usr/lib/ssl/cert.pem" not in tree:
        tree.put("usr/lib/ssl/cert.pem", Node("link", 0o777, target=f"/{BUNDLE}"))


def _bytecode(tree: Tree) -> None:
    """Compile Python's modules when the package's Python is the one running this.

    Importing from source costs an emulated machine most of its start. The .pyc
    files are checked by nothing (PEP 552), so no time or path gets into them.
    """
    version = f"python3.{sys.version_info.minor}"
    if f"usr/bin/{version}" not in tree:
        return
    for path in (*tree.below(f"usr/lib/{version}"), *tree.below("usr/lib/python3")):
        node = tree.get(path)
        if path.endswith(".py") and node is not None and node.kind == "file":
            code = _compile(node.content.read(), f"/{path}")
            above, _, name = path.rpartition("/")
            if code:
                cached = f"{above}/__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc"
                tree.put(cached, Node("file", 0o644, content=Content.of_bytes(code)))


def _compile(source: bytes, path: str) -> bytes:
    """Return the .pyc of SOURCE, empty for what is not Python (test data of some packages)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return b""
    magic = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH
    return magic + importlib.util.source_hash(source) + marshal.dumps(code)
