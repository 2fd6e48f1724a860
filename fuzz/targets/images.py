"""Readers of images and drives: tar, OCI layouts, enclave images, dm-verity."""

import gzip
import hashlib
import io
import json
import lzma
import shutil
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fuzz.target import Target
from vcr.engines import sealed
from vcr.engines.container import layers as dev_layers
from vcr.export import artifact
from vcr.export.artifact import unpack_layout, write_layout
from vcr.export.manifest import File, Manifest
from vcr.formats import cpio, eif, oci, tar, users
from vcr.formats.eif import Image
from vcr.formats.failure import Failure
from vcr.formats.hashes import verity
from vcr.formats.oci import CONFIG, INDEX, LAYER, MANIFEST, Layout, canonical
from vcr.formats.packed import uncompressed
from vcr.formats.tar import apply_layer
from vcr.formats.tree import Content, Node, Tree, directory, text_file
from vcr.lock import layout as locked_layout
from vcr.model.digest import Digest
from vcr.sandbox import seal


def _tree() -> Tree:
    tree = Tree()
    tree.put("d", directory())
    tree.put("d/f", text_file("x" * 600))
    tree.put("l", Node("link", 0o777, target="d"))
    tree.put("etc/passwd", text_file("root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/srv:\n"))
    tree.put("etc/group", text_file("root:x:0:\nweb:x:9:app\n"))
    tree.put(
        "x",
        Node("file", 0o755, 1, 2, Content.of_bytes(b"x"), xattrs={"security.capability": "\1\0"}),
    )
    tree.put("n", Node("char", 0o666, device=(1, 3)))
    return tree


def _tar_of(tree: Tree) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        tar.write(Path(file.name), tree.walk(), 1)
        return Path(file.name).read_bytes()


def read_tar(data: bytes, place: Path) -> None:
    """Lay a layer, compressed or not, over a tree, and look an account up in the result."""
    path = place / "layer"
    path.write_bytes(data)
    tree = Tree()
    tree.put("d", directory())
    tree.put("w", Node("link", 0o777, target="../../d"))
    scratch = place / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    apply_layer(tree, uncompressed(path, scratch))
    for _, node in tree.walk():
        for piece in node.content.chunks():
            del piece


def _tars() -> Iterator[bytes]:
    whole = _tar_of(_tree())
    yield whole
    yield gzip.compress(whole, mtime=0)
    yield lzma.compress(whole)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            for name, kind, goal in (
                ("d/" + "n" * 120, tarfile.REGTYPE, ""),
                ("d/.wh.f", tarfile.REGTYPE, ""),
                ("h", tarfile.LNKTYPE, "d/" + "n" * 120),
                ("d/.wh..wh..opq", tarfile.REGTYPE, ""),
                ("s", tarfile.SYMTYPE, "../.." + "/x" * 60),
                ("p", tarfile.FIFOTYPE, ""),
            ):
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.uid = kind, goal, 1 << 22
                info.pax_headers = {"SCHILY.xattr.security.capability": "x"}
                archive.addfile(info)
        yield buffer.getvalue()
    # A sparse file of GNU's: https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html
    header = bytearray(tarfile.TarInfo("sparse").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386:410] = b"%011o\0%011o\0" % (1 << 20, 4)
    header[483:495] = b"%011o\0" % (1 << 21)
    yield summed(bytes(header) + b"data".ljust(512, b"\0") + bytes(1024))


def summed(data: bytes) -> bytes:
    """Return the archive DATA with the sums of its headers right."""
    out, at = bytearray(data), 0
    while at + 512 <= len(out) and out[at] != 0:
        out[at + 148 : at + 156] = b" " * 8
        out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + 512])
        try:
            size = int(out[at + 124 : at + 135].rstrip(b"\0 ") or b"0", 8)
        except ValueError:
            size = 0
        at += 512 + -(-size // 512) * 512
    return bytes(out)


def read_account(data: bytes, _place: Path) -> None:
    """Look accounts up in the accounts of an image."""
    text, _, rest = data.partition(b"\0")
    passwd, _, group = rest.partition(b"\0")
    tree = Tree()
    tree.put("etc/passwd", Node("file", 0o644, content=Content.of_bytes(passwd)))
    tree.put("etc/group", Node("file", 0o644, content=Content.of_bytes(group)))
    name = text.decode("utf-8", "replace")
    for find in (users.find_account, users.find_owner):
        with suppress(Failure):
            find(tree, name)


# An OCI layout as one input: JSON with blobs, whose digests are put in for {"$": NAME}.
type Blobs = dict[str, Any]


def _layout(data: bytes, root: Path) -> Layout:
    """Make a layout of DATA below ROOT; the digest of what is not there is one of nothing."""
    shutil.rmtree(root, ignore_errors=True)
    (root / "blobs/sha256").mkdir(parents=True)
    try:
        blobs: Blobs = json.loads(data)
        made: dict[str, dict[str, Any]] = {}
        for name, content in (blobs if isinstance(blobs, dict) else {}).items():
            body = (
                bytes.fromhex(content)
                if isinstance(content, str)
                else canonical(_filled(content, made))
            )
            digest = hashlib.sha256(body).hexdigest()
            (root / "blobs/sha256" / digest).write_bytes(body)
            made[name] = {"digest": f"sha256:{digest}", "size": len(body)}
            (root / "index.json").write_bytes(body)
    except (ValueError, RecursionError, OSError, TypeError):
        (root / "index.json").write_bytes(data)
    if not (root / "index.json").exists():
        (root / "index.json").write_bytes(data)
    (root / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    return Layout(root)


def _filled(value: Any, made: dict[str, dict[str, Any]]) -> Any:
    if isinstance(value, dict):
        found = {str(key): _filled(each, made) for key, each in value.items() if key != "$"}
        return (
            {**made.get(str(value["$"]), {"digest": "sha256:" + "0" * 64, "size": 0}), **found}
            if "$" in value
            else found
        )
    return [_filled(each, made) for each in value] if isinstance(value, list) else value


def _blobs() -> Iterator[bytes]:
    layer = _tar_of(_tree())
    image: Blobs = {
        "layer": layer.hex(),
        "config": {
            "architecture": "riscv64",
            "os": "linux",
            "config": {"Cmd": ["x"], "Env": ["A=b"], "User": "app"},
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()],
            },
        },
        "manifest": {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"$": "config", "mediaType": CONFIG},
            "layers": [{"$": "layer", "mediaType": LAYER}],
        },
    }
    row = {
        "$": "manifest",
        "mediaType": MANIFEST,
        "platform": {"architecture": "riscv64", "os": "linux"},
    }
    inner = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [row]}
    outer = {**inner, "manifests": [{"$": "inner", "mediaType": INDEX}] * 2}
    yield json.dumps({**image, "index": inner}).encode()
    yield json.dumps({**image, "inner": inner, "outer": outer}).encode()


def _exports() -> Iterator[bytes]:
    """Make the OCI content of an export, and one that has a manifest with other files."""
    with tempfile.TemporaryDirectory() as scratch:
        export, root = Path(scratch, "export"), Path(scratch, "layout")
        layer = Path(scratch, "layer")
        layer.write_bytes(_tar_of(Tree()))
        image = Layout(export / "image")
        found = image.add_image([layer], {"Cmd": ["x"]}, "amd64", 1)
        image.finish([found.to_json(platform={"architecture": "amd64", "os": "linux"})])
        (export / "ladder.json").write_bytes(b"{}")
        paths = sorted(
            str(path.relative_to(export)) for path in export.rglob("*") if path.is_file()
        )
        told = {
            "schema": 1,
            "kind": "export",
            "name": "x",
            "profile": "vm-release",
            "arch": "amd64",
        }
        told |= {"engine": "qemu", "engine_version": "1", "epoch": 1}
        files = [File.of(export, path) for path in paths]
        made = Manifest.model_validate({**told, "files": files})
        (export / "manifest.json").write_bytes(made.to_bytes())
        write_layout(export, made, root)
        blobs = {path.name: path.read_bytes().hex() for path in (root / "blobs/sha256").iterdir()}
        yield json.dumps({**blobs, "index": (root / "index.json").read_bytes().hex()}).encode()
    yield from _blobs()


def read_layout(data: bytes, place: Path) -> None:
    """Flatten each image of a layout, and unpack the first as dev does."""
    layout = _layout(data, place / "layout")
    for descriptor, _ in list(layout.manifests()):
        layout.flatten(descriptor["digest"], place / "scratch")
    with suppress(OSError):  # nodes, which only root can make
        dev_layers.unpack(layout, place / "store", own=False)


def read_base(data: bytes, place: Path) -> None:
    """Lock the images of a layout."""
    root = _layout(data, place / "layout").root
    locked_layout.images(*locked_layout.layout_top(root))


def read_export(data: bytes, place: Path) -> None:
    """Read a layout that was pulled, as an export."""
    layout = _layout(data, place / "layout")
    (place / "export").mkdir(exist_ok=True)
    unpack_layout(layout.root, place / "export")


EIF = Image(
    "amd64", b"kernel", "console=ttyS0", (b"one", b"two"), eif.metadata("x", "6.12"), 256 << 20, 2
)


def summed_eif(data: bytes) -> bytes:
    """Return the enclave image DATA with its CRC right."""
    at = eif._HEADER.size
    return (
        data[:at]
        + struct.pack(">I", zlib.crc32(data[at + 4 :], zlib.crc32(data[:at])))
        + data[at + 4 :]
    )


def read_parameters(data: bytes, place: Path) -> None:
    """Read verity.json, and check a drive of two blocks by it."""
    path, drive = place / "verity.json", place / "drive"
    path.write_bytes(data)
    if not drive.exists():
        drive.write_bytes(_drive())
    sealed.check_drive(drive, sealed.read_parameters(path))


def _sealed() -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(bytes(2 * verity.BLOCK))
        found = verity.parameters(Path(file.name), f"sha256:{'ab' * 32}")
    return json.dumps(
        {"schema": seal.SCHEMA, "machine_hash": f"sha256:{found.salt}", **found.as_json()}
    ).encode()


def _drive() -> bytes:
    told = verity.Verity.of(json.loads(_sealed()))
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(bytes(2 * verity.BLOCK))
        _, levels = verity._tree(Path(file.name), 2, bytes.fromhex(told.salt))
    return (
        bytes(2 * verity.BLOCK)
        + verity._superblock(told).ljust(verity.BLOCK, b"\0")
        + b"".join(levels)
    )


def read_drive(data: bytes, place: Path) -> None:
    """Check a drive that was changed; only the right one passes."""
    drive = place / "drive"
    drive.write_bytes(data)
    sealed.check_drive(drive, json.loads(_sealed()))
    assert Digest.of_bytes(data) == Digest.of_bytes(_drive()), "another drive passes"


def read_initramfs(data: bytes, _place: Path) -> None:
    """Write an initramfs of what a layer has; only writing is ours, and it must be able to."""
    tree = Tree()
    name, _, target = data.decode("utf-8", "replace").partition("\0")
    tree.put("a", Node("link", 0o777, target=target))
    tree.put("f", Node("file", 0o644, content=Content.of_bytes(name.encode())))
    cpio.cpio_bytes(tree, 1)


TARGETS = (
    Target(
        "tar",
        read_tar,
        _tars,
        modules=(tar, tarfile),
        mend=summed,
        words=(
            b".wh.",
            b".wh..wh..opq",
            b"17 path=a/../b\n",
            b"30 GNU.sparse.size=999999999999\n",
            b"S",
            b"x",
            b"g",
            b"L",
            b"K",
        ),
    ),
    Target(
        "account",
        read_account,
        lambda: [
            b"app:web\0root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/srv:\n\0root:x:0:\nweb:x:9:app\n",
            b"7:9\0\0",
            b"\0#\n\0",
        ],
        "text",
        modules=(users,),
        words=(b"4294967295", b"\xc2\xb2"),
    ),
    Target("oci", read_layout, _blobs, "json", modules=(oci,)),
    Target("oci-base", read_base, _blobs, "json", modules=(locked_layout,)),
    Target("export", read_export, _exports, "json", modules=(artifact,)),
    Target(
        "eif",
        lambda data, _: eif.decode(data),
        lambda: [eif.encode(EIF)],
        modules=(eif,),
        mend=summed_eif,
    ),
    Target(
        "verity.json",
        read_parameters,
        lambda: [_sealed()],
        "json",
        modules=(verity, sealed),
        words=(b'"salt"', b'"schema"'),
    ),
    Target("drive", read_drive, lambda: [_drive()], modules=(verity,)),
    Target("initramfs", read_initramfs, lambda: [b"a\0b"], modules=(cpio,)),
)
