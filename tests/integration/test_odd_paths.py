"""A project, its state and its scratch in directories whose names hold every separator."""

import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from program import EXAMPLE, Vcr, runner_in

pytestmark = [pytest.mark.nix, pytest.mark.vm]

REPO = Path(__file__).resolve().parents[2]
ODD = "a:b,c d'e\"f\\g|h%i"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A short one: paths of sockets are at most 107 bytes."""
    root = Path(tempfile.mkdtemp(prefix="v-"))
    (root / ODD).mkdir()
    yield root / ODD
    shutil.rmtree(root)


@pytest.fixture
def vcr(place: Path) -> Iterator[Vcr]:
    with runner_in(place) as runner:
        for variable, name in (
            ("XDG_STATE_HOME", "s,:"),
            ("XDG_RUNTIME_DIR", "r,:"),
            ("XDG_CACHE_HOME", "c,:"),
            ("TMPDIR", "t,;"),
        ):
            path = place / name
            path.mkdir(exist_ok=True, mode=0o700)
            runner.env[variable] = str(path)
        yield runner


@pytest.fixture
def project(place: Path) -> Iterator[Path]:
    target = place / "p:q,r"
    shutil.copytree(EXAMPLE, target)
    (target / "www" / ODD).write_text("odd")
    yield target
    shutil.rmtree(target)


@pytest.mark.parametrize("profile", ["dev", "vm", "prod"])
def test_a_project_there_is_built_and_runs(vcr: Vcr, project: Path, profile: str) -> None:
    url = vcr("up", project, "--profile", profile).stdout.split()[0]
    try:
        with urllib.request.urlopen(f"{url}{quote(ODD)}", timeout=60) as answer:  # noqa: S310
            assert answer.read() == b"odd"
        assert vcr("logs", project).returncode == 0
        if profile == "prod":
            return
        command = ("exec", project, "--", "busybox", "cat", f"/www/{ODD}")
        assert vcr(*command).stdout == "odd"
        if profile == "vm":
            socket = vcr.json("gdb", "--print", project)["socket"]
            assert Path(socket).is_socket()
    finally:
        vcr("down", project, "-t", "0")


def test_a_bind_of_a_directory_there_is_shown(vcr: Vcr, project: Path) -> None:
    shown = project / "x:y,z"
    shown.mkdir()
    (shown / "file").write_text("shown")
    vcr("up", project, "--profile", "dev", "-v", f"{shown}:/data:ro")
    try:
        command = ("exec", project, "--", "busybox", "cat", "/data/file")
        assert vcr(*command).stdout == "shown"
    finally:
        vcr("down", project, "-t", "0")


def test_an_image_in_a_layout_there_is_a_base(vcr: Vcr, project: Path, place: Path) -> None:
    vcr("build", project, "image")
    layout = next((place / "s,:").glob("vcr/roots/*/*riscv64/image/layout"))
    other = place / "other"
    shutil.copytree(project, other)
    shutil.copytree(layout.resolve(), other / "lay:out")
    (other / "Dockerfile").write_text('FROM lay\nCMD ["busybox", "true"]\n')
    (other / "vcr.toml").write_text('[base.lay]\noci = "lay:out"\n')
    vcr("lock", other)
    vcr("build", other, "image")


def test_the_program_itself_is_started_from_there(place: Path) -> None:
    checkout = place / "v:c,r"
    names = subprocess.run(
        ["git", "ls-files", "-z", "bin", "nix", "vcr", "guest", "flake.nix", "examples"],
        cwd=REPO, capture_output=True, text=True, check=True,
    ).stdout.rstrip("\0").split("\0")  # fmt: skip
    for name in names:
        if (REPO / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, checkout / name)
    env = {**os.environ, "XDG_STATE_HOME": str(place / "state")}
    done = subprocess.run(
        [checkout / "bin/vcr", "--version"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("vcr")
