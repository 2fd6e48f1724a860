"""What Nix said of a plan is known while all that it read is the same, and no longer."""

from dataclasses import replace
from pathlib import Path

import pytest

from vcr.build import known as module
from vcr.build.known import KNOWN, Known
from vcr.settings import Settings
from vcr.tools.nix import Nix, Target

PLAN = Path("/cache/plans/ab.json")


class Installed(Nix):
    """A Nix whose expressions are in the store, as those of an installed vcr."""

    @property
    def directory(self) -> Path:
        return Path("/nix/store/x-vcr-lib/nix")


@pytest.fixture
def nix(tmp_path: Path) -> Nix:
    return Installed(Settings.load({"HOME": str(tmp_path), "NIX_CONFIG": "cores = 1"}))


@pytest.fixture
def targets(tmp_path: Path) -> tuple[Target, ...]:
    """What is built, with its GC roots."""
    found = []
    (tmp_path / "roots").mkdir()
    for attr in ("image", "seal"):
        drv, out = tmp_path / f"{attr}.drv", tmp_path / f"{attr}-out"
        drv.touch()
        out.mkdir()
        (tmp_path / "roots" / attr).symlink_to(out)
        found.append(Target(attr, drv, out, is_built=True))
    return tuple(found)


def known(nix: Nix, tmp_path: Path, plan: Path = PLAN) -> Known:
    return Known.of(nix, plan, tmp_path / "roots")


def test_all_or_some_of_what_was_noted_is_known(
    nix: Nix, tmp_path: Path, targets: tuple[Target, ...]
) -> None:
    assert known(nix, tmp_path).recall(["image"]) is None
    known(nix, tmp_path).note(targets[:1])
    known(nix, tmp_path).note(targets[1:])
    found = known(nix, tmp_path).recall(["seal", "image"])
    assert found is not None
    assert (found.targets, found.missing) == (targets[::-1], ())
    assert known(nix, tmp_path).recall(["image", "machine"]) is None


def test_another_plan_or_another_setting_of_nix_is_not_known(
    nix: Nix, tmp_path: Path, targets: tuple[Target, ...]
) -> None:
    known(nix, tmp_path).note(targets)
    assert known(nix, tmp_path, Path("/cache/plans/cd.json")).recall(["image"]) is None
    env = {**nix.settings.env, "NIX_CONFIG": "system = aarch64-linux"}
    assert known(Installed(replace(nix.settings, env=env)), tmp_path).recall(["image"]) is None
    assert known(nix, tmp_path).recall(["image"]) is not None
    (tmp_path / ".config/nix").mkdir(parents=True)
    (tmp_path / ".config/nix/nix.conf").write_text("system = aarch64-linux\n")
    assert known(nix, tmp_path).recall(["image"]) is None


def test_expressions_outside_the_store_may_change(
    nix: Nix, tmp_path: Path, targets: tuple[Target, ...]
) -> None:
    here = Nix(nix.settings)  # of this checkout
    known(here, tmp_path).note(targets)
    assert not (tmp_path / "roots" / KNOWN).exists()
    assert known(here, tmp_path).recall(["image"]) is None


@pytest.mark.parametrize("what", ["root", "root elsewhere", "output", "derivation"])
def test_what_is_gone_is_not_known(
    nix: Nix, tmp_path: Path, targets: tuple[Target, ...], what: str
) -> None:
    known(nix, tmp_path).note(targets)
    root = tmp_path / "roots" / "image"
    if what.startswith("root"):
        root.unlink()
    if what == "root elsewhere":
        root.symlink_to(targets[1].out)
    if what == "output":
        targets[0].out.rmdir()
    if what == "derivation":
        targets[0].drv.unlink()
    assert known(nix, tmp_path).recall(["image"]) is None
    assert known(nix, tmp_path).recall(["seal"]) is not None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"key": 1}', '{"targets": {}}', '{"key": KEY, "targets": []}',
             '{"key": KEY, "targets": {"image": ["a"]}}', '{"key": KEY, "targets": {"image": 1}}']
)  # fmt: skip
def test_a_damaged_note_is_none(nix: Nix, tmp_path: Path, text: str) -> None:
    found = known(nix, tmp_path)
    found.roots.mkdir()
    (found.roots / KNOWN).write_text(text.replace("KEY", f'"{found.key}"'))
    assert found.recall(["image"]) is None


def test_a_note_that_is_too_long_is_none(
    nix: Nix, tmp_path: Path, targets: tuple[Target, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    known(nix, tmp_path).note(targets)
    monkeypatch.setattr(module, "MAX_TEXT", 3)
    assert known(nix, tmp_path).recall(["image"]) is None
