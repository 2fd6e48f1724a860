"""Layers of a hostile image, unpacked on this host and laid over one another."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vcr.engines.container.layers import merge, unpack
from vcr.formats.oci import Layout
from vcr.formats.tar import write
from vcr.formats.tree import Node, Tree, directory, text_file
from vcr.sandbox import rootfs
from vcr.sandbox.lower import overlay_nodes

GONE = text_file("")  # of a file whose name says that another is gone


def link(target: str) -> Node:
    return Node("link", 0o777, target=target)


def device(major: int = 1, minor: int = 3) -> Node:
    return Node("char", 0o666, device=(major, minor))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a directory of the host."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "nologin").write_text("the host's")
    return tmp_path / "outside"


def unpacked(where: Path, *layers: list[tuple[str, Node]]) -> tuple[Path, ...]:
    layout = Layout(where / "layout")
    tars = []
    for number, nodes in enumerate(layers):
        tars.append(where / f"{number}.tar")
        write(tars[-1], nodes, 0)
    layout.finish([layout.add_image(tars, {}, "amd64", 0).to_json()])
    return unpack(layout, where / "store", own=os.geteuid() == 0)


def ways(outside: str) -> dict[str, list[list[tuple[str, Node]]]]:
    """Return images that lead OUTSIDE, layer by layer."""
    begin = [("d", directory()), ("d/sub", directory()), ("l", link("d"))]
    away = ("d", link(outside))
    return {
        "hidden through a link": [begin, [away, ("l/.wh.nologin", GONE)]],
        "hidden through a link, the other way round": [begin, [("l/.wh.nologin", GONE), away]],
        "hidden below it": [begin, [("d/.wh.nologin", GONE), away]],
        "hidden deeper": [begin, [("d/sub/.wh.nologin", GONE), ("d/sub", link(outside))]],
        "opaque": [begin, [("d/.wh..wh..opq", GONE), away]],
        "opaque deeper": [begin, [("l/sub/.wh..wh..opq", GONE), away]],
        "a file through a link": [begin, [away], [("d/nologin", text_file("evil"))]],
        "a directory over a link": [begin, [away], [("d", directory()), ("d/x", text_file("y"))]],
        "a link over a directory with files": [[*begin, ("d/nologin", text_file("x"))], [away]],
        "a file instead of a directory": [begin, [("d/.wh.x", GONE), ("d", text_file("file"))]],
        "hidden with what is above": [begin, [(".wh.d", GONE), ("d/sub/.wh.x", GONE)]],
        "hidden where there is nothing": [begin, [("n/o/.wh.nologin", GONE)]],
        "up": [begin, [("d", link("../" * 40 + outside)), ("l/.wh.nologin", GONE)]],
    }


@pytest.mark.parametrize("way", ways("/"))
def test_no_layer_writes_outside(tmp_path: Path, outside: Path, way: str) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    layers = unpacked(tmp_path, *ways(str(outside))[way])
    merge(layers, tmp_path / "root")
    assert [path.name for path in outside.iterdir()] == ["nologin"]
    assert (outside / "nologin").read_text() == "the host's"
    made = {path.name for path in tmp_path.iterdir()} - set(before)
    assert made == {"root", "store", "layout", *(f"{n}.tar" for n in range(len(layers)))}


def test_merging_goes_through_no_link_that_is_there(tmp_path: Path, outside: Path) -> None:
    lower, upper, root = tmp_path / "lower", tmp_path / "upper", tmp_path / "root"
    for top in (lower, upper):
        (top / "d").mkdir(parents=True)
    (upper / "d" / "new").write_text("x")
    root.mkdir()
    (root / "d").symlink_to(outside)
    merge((lower, upper), root)
    assert (root / "d" / "new").read_text() == "x"
    assert [path.name for path in outside.iterdir()] == ["nologin"]


def test_what_is_hidden_below_no_directory_is_dropped(tmp_path: Path) -> None:
    for name, layers in ways("/etc").items():
        tree = Tree()
        for number, nodes in enumerate(layers):
            write(tmp_path / "layer.tar", nodes, 0)
            found = dict(overlay_nodes(tree, tmp_path / "layer.tar"))
            for path in found:
                above = path
                while above := above.rpartition("/")[0]:
                    assert found[above].kind == "dir", f"{name}, layer {number}: {path}"


def test_no_layer_makes_a_device(tmp_path: Path) -> None:
    bottom = [("dev", directory()), ("dev/disk", text_file("x")), ("dev/keep", text_file("y"))]
    top: list[tuple[str, Any]] = [
        ("dev", directory()),
        ("dev/disk", device()),
        ("sda", Node("block", 0o666, device=(8, 0))),
    ]
    layers = unpacked(tmp_path, bottom, top)
    for path in (tmp_path / "store").rglob("*"):
        status = path.lstat()
        assert not stat.S_ISBLK(status.st_mode), path
        assert not stat.S_ISCHR(status.st_mode) or status.st_rdev == 0, path
    merge(layers, tmp_path / "root")
    assert sorted(path.name for path in (tmp_path / "root").rglob("*")) == ["dev", "keep"]


MOUNTS = """
import os, sys
from pathlib import Path
from vcr.engines.container import namespaces
ids = f"0 {os.getuid()} 1", f"0 {os.getgid()} 1"
os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
for name, text in zip(("setgroups", "uid_map", "gid_map"), ("deny", *ids)):
    Path("/proc/self", name).write_text(text)
mount = namespaces.mount
def without_overlayfs(source, target, kind, *rest):
    if kind == "overlay":
        raise OSError(1, "not here")
    mount(source, target, kind, *rest)
if sys.argv[2] == "copied":
    namespaces.mount = without_overlayfs
scratch = Path(sys.argv[1])
print(namespaces.mount_root([Path(layer) for layer in sys.argv[3:]], scratch))
print(os.statvfs(scratch / "root").f_flag & 4)
"""


@pytest.mark.parametrize("how", ["copied", "overlayfs"])
def test_the_root_has_no_devices_however_it_is_mounted(tmp_path: Path, how: str) -> None:
    layers = unpacked(tmp_path, [("d", directory()), ("d/x", text_file("x"))])
    for name in ("root", "upper", "work"):
        (tmp_path / "scratch" / name).mkdir(parents=True)
    argv: list[str | Path] = [sys.executable, "-c", MOUNTS, tmp_path / "scratch", how, *layers]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "_map" in done.stderr:
        pytest.skip("needs user namespaces")
    said, flag = done.stdout.split() or (done.stderr, "")
    if how == "overlayfs" and said == "copied":
        pytest.skip("needs overlayfs in user namespaces")
    assert (said, flag) == (how, "4")


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_modes_are_the_images_whatever_the_umask_is(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        nodes = [("d", directory(0o755)), ("d/x", text_file("x", 0o644)), ("d/p", Node("fifo"))]
        (layer,) = unpacked(tmp_path, nodes)
        merge((layer,), tmp_path / "root")
    finally:
        os.umask(before)
    for top in (layer, tmp_path / "root"):
        modes = [stat.S_IMODE((top / name).stat().st_mode) for name in ("d", "d/x", "d/p")]
        assert modes == [0o755, 0o644, 0o644]
    shutil.rmtree(tmp_path / "store")


def test_the_machine_gets_no_device_of_an_image(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    nodes = [("dev", directory()), ("dev/mem", device(1, 1)), ("x", text_file("x"))]
    nodes.append(("y", Node("block", 0o666, device=(254, 0))))
    write(tmp_path / "layer.tar", nodes, 0)
    layout.finish([layout.add_image([tmp_path / "layer.tar"], {}, "amd64", 0).to_json()])
    tree = rootfs._app_tree(layout, tmp_path / "scratch")
    assert {"dev", "x"} <= set(tree.nodes)
    assert all(node.kind not in {"char", "block"} for node in tree.nodes.values())
