"""The root file system as it is built: our own files, the root's inode, the scripts."""

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]
EXAMPLE = REPO / "examples" / "static"


@pytest.fixture
def outputs(vcr: Any) -> dict[str, Path]:
    return {stage["name"]: Path(stage["path"]) for stage in vcr.json("build", EXAMPLE)["stages"]}


def test_the_root_holds_init_crun_agent_and_the_app(outputs: dict[str, Path]) -> None:
    with tarfile.open(outputs["rootfs"] / "root.tar") as archive:
        members = {member.name: member for member in archive}
    for name in ("agent", "boot", "lib", "network", "services"):
        assert members[f"etc/vcr/{name}"].mode == 0o755
    assert members["usr/bin/crun"].isfile()
    assert members["usr/sbin/init"].linkname == "../bin/busybox"
    assert "containers/services/app/config.json" in members
    assert any(name.endswith("/www/index.html") for name in members)
    assert not any(name == "boot" or name.startswith("boot/") for name in members)
    assert len({member.mtime for member in members.values()}) == 1
    assert list(members) == sorted(members, key=lambda name: name.split("/"))


def test_the_root_inode_is_not_open_to_all(outputs: dict[str, Path]) -> None:
    unsquashfs = Nix(Settings.load()).build("build", lambda _: None) / "usr/bin/unsquashfs"
    done = subprocess.run(
        [unsquashfs, "-lln", "-max-depth", "1", outputs["squashfs"] / "root.squashfs"],
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "UTC"},
    )
    root = next(line for line in done.stdout.splitlines() if line.endswith("squashfs-root"))
    assert root.split()[:2] == ["drwxr-xr-x", "0/0"]


def test_the_scripts_of_the_guest_are_understood_by_its_shell() -> None:
    busybox = Nix(Settings.load()).build("busybox", lambda _: None) / "bin/sh"
    for name in ("boot", "lib", "network", "services", "initramfs"):
        subprocess.run([busybox, "-n", REPO / "guest" / name], check=True)
