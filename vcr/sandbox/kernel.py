"""Builder of a kernel and its initramfs: the kernel of nix/kernel.nix, or Debian's.

The initramfs holds the given /init, for one that is a script busybox, and the few modules
that a virtual machine needs of Debian's.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vcr.formats.cpio import write_cpio
from vcr.formats.debs import read_package
from vcr.formats.failure import Failure, guarded
from vcr.formats.job import read_job
from vcr.formats.kernel_modules import load_modules
from vcr.formats.rungs import rung_of_file, write_rungs
from vcr.formats.tar import entries
from vcr.formats.tree import Content, Node, Tree, directory, text_file

KERNEL = "kernel"
INITRAMFS = "initramfs"
# The kernel's symbols, as text and for debuggers; Debian's package has none.
SYMBOLS, DEBUG_SYMBOLS = "System.map", "symbols"


@dataclass(frozen=True)
class Job:
    """What nix/lib/kernel.nix gives."""

    linux: str  # the output of nix/kernel.nix, or ""
    kernel_deb: str  # Debian's package, or ""
    busybox_deb: str  # or ""
    init: Path
    modules: tuple[str, ...]
    epoch: int


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def _build(job: Job, out: Path, scratch: Path) -> None:
    out.mkdir(parents=True)
    loaded: list[tuple[str, Node]] = []
    if job.kernel_deb:
        loaded = _unpack(Path(job.kernel_deb), job.modules, out, scratch)
    else:
        for name in (KERNEL, SYMBOLS, DEBUG_SYMBOLS):
            shutil.copyfile(Path(job.linux) / name, out / name)
    tree = Tree()
    for name in ("dev", "proc", "sys", "root"):
        tree.put(name, directory())
    if job.busybox_deb:
        tree.put("bin/busybox", _busybox(Path(job.busybox_deb), scratch))
    tree.put("init", Node("file", 0o755, content=Content.of_file(job.init)))
    for name, node in loaded:
        tree.put(f"modules/{name}", node)
    order = "".join(f"{name}\n" for name, _ in loaded)
    tree.put("modules/order", text_file(order))
    tree.put("dev/console", Node("char", 0o600, device=(5, 1)))
    write_cpio(out / INITRAMFS, tree, job.epoch)
    write_rungs(out, [rung_of_file(name, out, name) for name in (KERNEL, INITRAMFS)])


def _unpack(deb: Path, wanted: Sequence[str], out: Path, scratch: Path) -> list[tuple[str, Node]]:
    """Keep the kernel of Debian's package DEB; return the WANTED modules and what they need."""
    package = read_package(deb, scratch)
    modules = scratch / "modules"
    for name, node in entries(package.data):
        if isinstance(node, Node) and node.kind == "file":
            _take(name, node, out, modules)
    if not (out / KERNEL).exists():
        raise Failure(f"{package.name} has no kernel image")
    return load_modules(modules, wanted)


def _take(name: str, node: Node, out: Path, modules: Path) -> None:
    """Keep the kernel image and the modules, at paths relative to their directory."""
    if name.startswith("boot/vmlinu"):
        _save(out / KERNEL, node.content)
    _, found, below = name.partition("lib/modules/")
    if found:
        _save(modules / below.partition("/")[2], node.content)


def _save(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for piece in content.chunks():
            file.write(piece)


def _busybox(deb: Path, scratch: Path) -> Node:
    for name, node in entries(read_package(deb, scratch).data):
        if name == "usr/bin/busybox" and isinstance(node, Node):
            return node
    raise Failure(f"{deb.name} has no busybox")
