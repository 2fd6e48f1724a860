"""The engine of a prod machine: in the lock, stale when it changes, replaced by --engine."""

import json
from pathlib import Path

import pytest

from vcr.errors import LockError, UsageError
from vcr.lock.engine import current_engine, engine_change
from vcr.lock.read import load_lock
from vcr.lock.write import Locker, summarise
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.lockfile import Lock
from vcr.model.project import Project, load_project
from vcr.planner.project import make_plan


def write(tmp_path: Path, toml: str) -> Project:
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCMD ["x"]\n')
    (tmp_path / "vcr.toml").write_text(toml)
    return load_project(tmp_path)


def locked(project: Project, old: Lock | None = None) -> Lock:
    def never() -> None:
        raise AssertionError

    return Locker(never, never, print, print, never).lock(project, old)  # type: ignore[arg-type]


CARTESI = '[machine]\nengine = "cartesi"\n'


def test_the_lock_names_the_engine_and_its_version(tmp_path: Path, repo: Path) -> None:
    lock = json.loads(locked(write(tmp_path, "")).to_text())
    pins = json.loads((repo / "nix/pins/debian-arm64.json").read_bytes())
    # The hashes do not depend on the host, so neither may QEMU's version.
    version = pins["packages"]["qemu-system-riscv"]["version"]
    assert lock["engine"] == {"name": "qemu", "version": version}
    lock = json.loads(locked(write(tmp_path, CARTESI)).to_text())
    assert lock["engine"] == {
        "name": "cartesi", "version": "0.21.0", "kernel": "linux-6.5.13-ctsi-1-v0.20.0",
    }  # fmt: skip


def test_an_emulator_of_ones_own_is_locked_by_its_bytes(tmp_path: Path) -> None:
    toml = f'{CARTESI}[engine.cartesi]\nemulator = "my.deb"\n'
    project = write(tmp_path, toml)
    with pytest.raises(UsageError, match=r"my\.deb is not a file"):
        locked(project)
    (tmp_path / "my.deb").write_bytes(b"one")
    lock = locked(project)
    assert lock.engine is not None
    assert (lock.engine.version, lock.engine.emulator) == ("", Digest.of_bytes(b"one"))
    changed = r"\[machine\] engine changed: cartesi sha256:"
    assert_another_byte_is_noticed(project, lock, tmp_path / "my.deb", changed)


def test_a_kernel_of_ones_own_is_locked_by_its_bytes(tmp_path: Path) -> None:
    toml = f'{CARTESI}[engine.cartesi]\nkernel = "linux.bin"\n'
    project = write(tmp_path, toml)
    with pytest.raises(UsageError, match=r"kernel linux\.bin is not a file"):
        locked(project)
    (tmp_path / "linux.bin").write_bytes(b"one")
    lock = locked(project)
    assert lock.engine is not None
    assert (lock.engine.version, lock.engine.kernel) == ("0.21.0", Digest.of_bytes(b"one"))
    plan = make_plan(project, lock, arch=Arch.RISCV64, profile="prod")
    assert plan.machine.emulator_kernel == str(tmp_path / "linux.bin")
    changed = r"engine changed: cartesi 0\.21\.0 with sha256:"
    assert_another_byte_is_noticed(project, lock, tmp_path / "linux.bin", changed)


def assert_another_byte_is_noticed(project: Project, lock: Lock, own: Path, words: str) -> None:
    """LOCK holds until the file OWN is another one."""
    project.lock_file.write_text(lock.to_text())
    load_lock(project)
    own.write_bytes(b"two")
    with pytest.raises(LockError, match=words):
        load_lock(project)


def test_another_engine_makes_the_lock_stale(tmp_path: Path) -> None:
    project = write(tmp_path, "")
    old = locked(project)
    project.lock_file.write_text(old.to_text())
    assert load_lock(project) == old
    project = write(tmp_path, CARTESI)
    with pytest.raises(LockError) as caught:
        load_lock(project)
    assert "[machine] engine changed: qemu 1:" in caught.value.what
    assert "is cartesi 0.21.0 with linux-6.5.13" in caught.value.what
    new = locked(project, old)
    assert summarise(old, new) == [f"~ engine: {old.engine} → {new.engine}"]
    assert (new.epoch, new.inputs) == (old.epoch, old.inputs)


def test_another_version_and_a_lock_without_one_are_stale(tmp_path: Path) -> None:
    project = write(tmp_path, "")
    lock = locked(project)
    assert lock.engine is not None
    older = lock.engine.model_copy(update={"version": "1:9.2"})
    words = engine_change(older, lock.engine)
    assert words == f"[machine] engine changed: qemu 1:9.2 is {lock.engine} now"
    project.lock_file.write_text(lock.model_copy(update={"engine": None}).to_text())
    with pytest.raises(LockError, match=r"\[machine\] engine is new"):
        load_lock(project)


def test_the_command_line_replaces_it_for_one_plan(tmp_path: Path) -> None:
    project = write(tmp_path, "")
    lock = locked(project)
    for engine, found in ((None, "qemu"), ("cartesi", "cartesi")):
        plan = make_plan(project, lock, arch=Arch.RISCV64, profile="prod", engine=engine)
        assert plan.machine.engine == found
        assert plan.machine.engine_version == current_engine(project, found).words
