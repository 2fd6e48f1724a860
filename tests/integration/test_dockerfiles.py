"""Dockerfiles of different habits, tests/dockerfiles/*, give the trees they should.

Images are unpacked by umoci, and what it unpacks is compared. Owners are looked up in
the layers, because umoci can set them as root only.
"""

import json
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from vcr import process
from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.limit(900)]

REPO = Path(__file__).resolve().parents[2]
DOCKERFILES = REPO / "tests" / "dockerfiles"


class Image:
    """An image that was built: its tree on disk, and the entries of its layers."""

    def __init__(self, layout: Path, root: Path) -> None:
        self.root = root
        blobs = layout / "blobs" / "sha256"
        (index,) = json.loads((layout / "index.json").read_text())["manifests"]
        manifest = json.loads((blobs / index["digest"].removeprefix("sha256:")).read_text())
        self.layers = [
            blobs / layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]
        ]
        self.entries: dict[str, tarfile.TarInfo] = {}
        for layer in self.layers:
            with tarfile.open(layer) as archive:
                self.entries |= {info.name: info for info in archive}

    def text(self, path: str) -> str:
        return (self.root / path).read_text()

    def owner(self, path: str) -> tuple[int, int]:
        return self.entries[path].uid, self.entries[path].gid

    def mode(self, path: str) -> int:
        return self.entries[path].mode

    def names(self, path: str) -> list[str]:
        return sorted(entry.name for entry in (self.root / path).iterdir())


def debian_lock() -> dict[str, Any]:
    """The lock of examples/c, without what its RUN asks for: just the base."""
    lock = json.loads((REPO / "examples" / "c" / "vcr.lock").read_text())
    return {key: value for key, value in lock.items() if key not in {"runs", "bodies"}}


def make_project(directory: Path, more: str = "") -> Path:
    """Let the Dockerfile in DIRECTORY start from Debian, locked, unless it has its own lock."""
    if (directory / "vcr.lock").exists():
        return directory
    base = '[base.debian]\npackages = ["apt"]\nconfigure = true\n'
    (directory / "vcr.toml").write_text(base + more)
    (directory / "vcr.lock").write_text(json.dumps(debian_lock()))
    return directory


@pytest.fixture
def build(vcr: Any, tmp_path: Path) -> Any:
    def run(name: str, more: str = "") -> Image:
        project = make_project(shutil.copytree(DOCKERFILES / name, tmp_path / name), more)
        built = vcr.json("build", "image", project)
        layout = Path(built["stages"][0]["path"]) / "layout"
        umoci = Nix(Settings.load()).toolset("oci") / "usr/bin/umoci"
        rootless = [] if os.getuid() == 0 else ["--rootless"]
        bundle = tmp_path / "bundle"
        process.run([umoci, "unpack", *rootless, "--image", f"{layout}:latest", bundle])
        return Image(layout, bundle / "rootfs")

    return run


def test_heredoc(build: Any) -> None:
    image = build("heredoc")
    found = {name: image.text(f"heredoc/{name}") for name in image.names("heredoc")}
    assert found == {
        "shell": "one 2\n",
        "script": "from bash\n",
        "one": "/root\n",
        "two": "$HOME\n",
        "copied": "copied\n",
    }


def test_onbuild(build: Any) -> None:
    assert build("onbuild").text("onbuild") == "default\n"


def test_users(build: Any) -> None:
    image = build("users")
    assert image.text("home/app/id") == "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n"
    assert image.text("home/app/home") == "/home/app\n"
    assert image.owner("home/app/id") == (1000, 1000)
    assert image.owner("tmp/numbers") == (1234, 5678)
    assert (image.owner("srv/file"), image.mode("srv/file")) == ((1000, 2000), 0o640)
    assert "etc/no" not in image.entries


def test_modes(build: Any) -> None:
    image = build("modes")
    assert image.mode("usr/local/bin/setuid") == 0o4755
    assert image.mode("usr/local/bin/setgid") == 0o2755
    assert image.mode("sticky") == 0o1777
    assert stat.S_ISFIFO((image.root / "pipe").lstat().st_mode)
    device = image.entries["device"]
    assert (device.ischr(), device.devmajor, device.devminor) == (True, 1, 7)
    assert (image.text("umask"), image.mode("plain")) == ("0022\n", 0o644)


def test_links(build: Any) -> None:
    image = build("links")
    root = image.root
    assert (root / "absolute").readlink() == Path("/first")
    assert (root / "usr/relative").readlink() == Path("../first")
    assert (root / "dangling").readlink() == Path("nowhere")
    assert (root / "first").stat().st_ino == (root / "usr/third").stat().st_ino
    # As on every overlay: what a later step writes is a file of its own.
    assert image.text("first") == "linked\n"
    assert image.text("second") == "linked\nmore\n"


def test_deletion(build: Any) -> None:
    image = build("deletion")
    assert image.names("old") == ["new"]
    assert image.names("kept") == ["stays"]
    assert image.text("swapped") == "file\n"
    assert not (image.root / "etc/debian_version").exists()
    assert "old/.wh..wh..opq" in image.entries, "a directory made anew hides the old one"


def test_names(build: Any) -> None:
    image = build("names")
    assert set(image.names("with space")) == {
        "ü€𝄞", "new\nline", "it's", "back\\slash", "-dash", ".hidden", "latin-\udce9",
    }  # fmt: skip
    assert (image.root / f"{7:0200}").is_file()


def test_large(build: Any) -> None:
    image = build("large")
    size = (1100 << 20) + len("end")
    assert image.text("size") == f"{size}\n"
    assert (image.root / "sparse").stat().st_size == size
    with (image.root / "sparse").open("rb") as file:
        file.seek(-8, os.SEEK_END)
        assert file.read() == b"\0\0\0\0\0end"


def test_layers(build: Any) -> None:
    image = build("layers")
    assert len(image.layers) == 102  # the base has two
    assert image.text("count") == "97\n"
    assert image.text("first") == "001\n"
    assert image.names("many") == [*(f"{i:03}" for i in range(1, 97)), "last"]


def test_settings(build: Any) -> None:
    image = build("settings", '[args]\nGIVEN = "from outside"\n')
    assert image.text("work/inner/result") == "1 from outside value /work/inner bash\n"
    assert image.text("work/inner/exec") == "zero a b\n"
    assert (image.root / "here").exists()
    assert image.text("work/inner/lost") == "none\n"


def test_mounts(build: Any) -> None:
    image = build("mounts", '[build]\npure_caches = ["pure"]\n')
    assert image.text("from-stage") == "tool\n"
    assert image.text("from-context") == "given\n"
    assert (image.text("cache"), image.text("cache-later")) == ("7\n", "")
    assert image.text("pure-later") == "kept\n"
    assert image.text("secret-mode") == "400\n"
    # Mount points go with their mounts; /mnt is the base's.
    assert image.text("left").count("cannot access") == 2
    assert image.text("left").endswith("/mnt:\n")
    secret = b"vcr-secret-"
    assert all(secret not in layer.read_bytes() for layer in image.layers)


def test_locales(build: Any) -> None:
    """A script that uses awk, which its package does not name, finds it configured."""
    states = build("locales").text("status").splitlines()
    assert "ii locales" in states
    assert {state[:3] for state in states} == {"ii "}


def test_cross(build: Any) -> None:
    """A compiler of the build platform makes what runs on the target."""
    image = build("cross")
    assert image.text("machine") == "x86_64\n"
    assert image.text("said") == "built elsewhere, run on riscv64\n"
    assert (image.root / "hello").read_bytes()[18:20] == b"\xf3\0"  # ELF, e_machine: EM_RISCV
