"""The Cartesi engine for real, with an emulator and a kernel of one's own.

VCR_CARTESI_MACHINE names a directory with a package of the emulator (*.deb) and a kernel
in OpenSBI (*.bin): the released ones, which are on no mirror of Debian or Go, or others.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again
from determinism import busy_host, deriver
from program import runner_in
from test_examples import address, get

from vcr.engines.cartesi.frames import replay

FILES = os.environ.get("VCR_CARTESI_MACHINE", "")
pytestmark = [
    pytest.mark.nix,
    pytest.mark.vm,
    pytest.mark.skipif(not FILES, reason="needs VCR_CARTESI_MACHINE: emulator and kernel"),
]

REPO = Path(__file__).resolve().parents[2]
PROD = ("--profile", "prod")
OWN = '\n[engine.cartesi]\nemulator = "emulator.deb"\nkernel = "linux.bin"\n'


def give_own(directory: Path) -> None:
    """Have the project in DIRECTORY built with the files of VCR_CARTESI_MACHINE."""
    for pattern, name in (("*.deb", "emulator.deb"), ("*.bin", "linux.bin")):
        (found,) = Path(FILES).glob(pattern)
        shutil.copy(found, directory / name)
    toml = (directory / "vcr.toml").read_text()
    (directory / "vcr.toml").write_text(
        toml.replace("[machine]\n", '[machine]\nengine = "cartesi"\n') + OWN
    )


@pytest.fixture(scope="module")
def vcr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run vcr, with one state for all tests here: they look at one machine."""
    with runner_in(tmp_path_factory.mktemp("state")) as runner:
        yield runner


@pytest.fixture(scope="module")
def static(vcr: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the example that has an engine of its own, locked."""
    directory = tmp_path_factory.mktemp("project") / "static"
    shutil.copytree(REPO / "examples" / "static", directory)
    give_own(directory)
    vcr("lock", directory)
    return directory


@pytest.fixture(scope="module")
def ladder(vcr: Any, static: Path) -> list[dict[str, Any]]:
    """Return the ladder of the sealed machine."""
    rungs: list[dict[str, Any]] = vcr.json("build", *PROD, static)["ladder"]
    return rungs


def test_a_machine_is_built_and_sealed(ladder: list[dict[str, Any]]) -> None:
    assert [rung["name"] for rung in ladder[-3:]] == ["machine", "snapshot", "sealed"]
    assert len({rung["digest"] for rung in ladder[-3:]}) == 3
    made = json.loads(Path(ladder[-2]["path"]).read_text())
    assert (made["engine"], made["pinned"]) == ("cartesi", False)
    assert made["root_hash"] == ladder[-2]["digest"]
    assert made["cycles"] > 10_000_000
    assert "vcr: start app" in Path(ladder[-2]["path"]).with_name("console.log").read_text()


def test_a_snapshot_is_the_same_when_built_again(ladder: list[dict[str, Any]]) -> None:
    """Each byte of it: the state of the machine, what it said, and its description."""
    drv = deriver(Path(ladder[-2]["path"]).parent)
    assert_same_again([drv])
    with busy_host():
        assert_same_again([drv], numbers=(2,))


def test_a_machine_serves_and_a_session_is_replayed_to_one_hash(
    vcr: Any, static: Path, ladder: list[dict[str, Any]]
) -> None:
    assert ladder
    machine = vcr.json("up", "--allow-outside", static / "emulator.deb", *PROD, static)
    assert machine["status"] == "healthy"
    for _ in range(3):
        status, page = get(address(machine))
        assert status == 200
        assert "verifiable machine" in page
    assert "vcr: start app" in vcr("logs", static).stdout
    files = next((Path(vcr.env["XDG_STATE_HOME"]) / "vcr" / "machines").iterdir())
    job = json.loads((files / "scratch" / "serve.json").read_text())
    log = files.parent / "session.log"
    shutil.copy(files / "session.log", log)
    with (files.parent / "copy.log").open("wb") as copy:
        hashes = {replay(job["driver"], job["env"], log, copy) for _ in range(2)}
    assert len(hashes) == 1
    vcr("down", "-t", "1", static)
    assert vcr.json("ps")["machines"] == []


def test_it_is_verified_and_executed_again(vcr: Any, static: Path, tmp_path: Path) -> None:
    (tmp_path / "ladder.json").write_text(vcr("--json", "build", *PROD, static).stdout)
    assert vcr.json("verify", tmp_path / "ladder.json", static)["same"] is True
    said = tmp_path / "run-once.json"
    vcr("attest", "keygen", tmp_path / "alice")
    words = ("--predicate", "run-once", "--key", tmp_path / "alice.key", "--output", said)
    vcr("attest", "make", *words, *PROD, static)
    trust = ("--key", tmp_path / "alice.pub", "--ladder", tmp_path / "ladder.json")
    (row,) = vcr.json("attest", "verify", said, *trust)["statements"]
    assert row["predicate"] == "run-once"


def test_a_drive_with_another_byte_is_refused(
    vcr: Any, ladder: list[dict[str, Any]], tmp_path: Path
) -> None:
    sealed = Path(ladder[-1]["path"])
    drive = tmp_path / "drive"
    shutil.copy(sealed, drive)
    drive.chmod(0o600)
    words = ("--verity", sealed.with_name("verity.json"), "--root", ladder[-1]["digest"])
    vcr("verify", "--image", drive, *words)
    with drive.open("r+b") as file:
        file.seek(1 << 20)
        (byte,) = file.read(1)
        file.seek(1 << 20)
        file.write(bytes([byte ^ 1]))
    vcr("verify", "--image", drive, *words, code=3)


def test_an_app_that_is_never_healthy_leaves_nothing(vcr: Any, project: Path) -> None:
    with (project / "Dockerfile").open("a") as file:
        file.write('CMD ["busybox", "sh", "-c", "exit 3"]\n')
    give_own(project)
    vcr("lock", project)
    assert "exit app rc=3" in vcr("build", *PROD, project, code=6).stderr
