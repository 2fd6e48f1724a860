"""A path in the store that is damaged is told of, with the command that repairs it."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from program import Vcr

pytestmark = [pytest.mark.nix, pytest.mark.vm]


def damage(vcr: Vcr, path: str, offset: int) -> None:
    """Overwrite 64 KiB of the file at PATH in vcr's store."""
    script = (
        'chmod u+w "$(dirname "$1")" "$1"'
        ' && dd if=/dev/zero of="$1" bs=64k count=1 seek="$2" conv=notrunc status=none'
    )
    subprocess.run([*vcr.before, "sh", "-c", script, "sh", path, str(offset)], check=True)


def repair(vcr: Vcr, told: str) -> None:
    """Do what the error says."""
    (fix,) = (line for line in told.splitlines() if line.strip().startswith("fix: "))
    command = fix.strip().removeprefix("fix: ")
    assert command.startswith("nix-store --repair-path /nix/store/")
    subprocess.run([*vcr.before, *shlex.split(command)], check=True, capture_output=True)


def biggest_blob(vcr: Vcr, project: Path, *words: str) -> str:
    stages = {row["name"]: row["path"] for row in vcr.json("build", *words, project)["stages"]}
    script = 'readlink -f "$(ls -LS "$1"/layout/blobs/sha256/* | head -1)"'
    argv = [*vcr.before, "sh", "-c", script, "sh", stages["image"]]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_a_layer_that_a_container_is_made_of(private_vcr: Vcr, project: Path) -> None:
    damage(private_vcr, biggest_blob(private_vcr, project, "--profile", "dev"), 3)
    done = private_vcr("up", "--profile", "dev", project, code=3)
    assert "error: a build result in the Nix store is damaged" in done.stderr
    assert "-vcr-layer-" in done.stderr
    assert private_vcr.json("ps", "--all")["machines"] == []
    repair(private_vcr, done.stderr)
    assert private_vcr.json("up", "--profile", "dev", project)["status"] == "healthy"


def test_what_is_exported(private_vcr: Vcr, project: Path, tmp_path: Path) -> None:
    before = private_vcr.json("build", project)
    (squashfs,) = (row["path"] for row in before["ladder"] if row["name"] == "squashfs")
    damage(private_vcr, squashfs, 100)
    target = tmp_path / "exports/out"
    done = private_vcr("export", "vm", target, project, code=3)
    assert "error: a build result in the Nix store is damaged" in done.stderr
    assert list(target.parent.iterdir()) == []
    repair(private_vcr, done.stderr)
    private_vcr("export", "vm", target, project)
    ladder = json.loads((target / "ladder.json").read_text())["ladder"]
    assert [row["digest"] for row in ladder] == [row["digest"] for row in before["ladder"]]


def test_an_app_that_is_not_healthy_is_not_the_stores_fault(
    private_vcr: Vcr, project: Path
) -> None:
    dockerfile = (project / "Dockerfile").read_text().replace('"httpd"', '"nothing"')
    (project / "Dockerfile").write_text(dockerfile)
    done = private_vcr("up", "--profile", "dev", project, code=6)
    assert "stopped before it was healthy" in done.stderr
