"""Stages that are built at once: whose work is whose, and which lines that gives."""

import io
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from vcr.build.follow import Instructions
from vcr.build.side_by_side import SideBySide
from vcr.errors import VcrError
from vcr.progress import Progress
from vcr.tools.nix import Target
from vcr.tools.nix_log import NixLog
from vcr.tools.nix_store import NixStore
from vcr.ui import Ui

NAMES = ("image", "rootfs", "kernel")
LAYER = "/nix/store/dk8r2lz77sqxavzy3ijknzmf3b1qdsly-vcr-layer-copy.drv"
COMPILER = "/nix/store/dk8r2lz77sqxavzy3ijknzmf3b1qdsly-vcr-compiler.drv"
ENDED = "builder for '{}' failed with exit code 1"


class Needs(NixStore):
    """A store in which only the kernel needs the compiler."""

    def used_by(self, paths: Iterable[Path]) -> set[Path]:
        return {Path(COMPILER)} if any("kernel" in path.name for path in paths) else set()


class Build:
    """A build of three stages, of which some are BUILT; Nix's events come from the test."""

    def __init__(self, tmp_path: Path, *built: str) -> None:
        self.err = io.StringIO()
        self.targets = [
            Target(n, Path(f"/nix/store/{'a' * 32}-{n}.drv"), tmp_path / n, n in built)
            for n in NAMES
        ]
        instructions = Instructions({LAYER: "1"}, {LAYER: str(tmp_path)}, {LAYER: "COPY a b"}, ())
        reasons = dict.fromkeys(NAMES, "first build")
        ui = Ui(err=self.err, progress=Progress.JSON)
        store = Needs(None)  # type: ignore[arg-type] # it asks no Nix
        self.stages = SideBySide(ui, store, self.targets, reasons, instructions)
        self.log = NixLog(self.stages)

    def start(self, ident: int, drv: str) -> None:
        self._feed(action="start", id=ident, type=105, fields=[drv, "", 1, 1])

    def stop(self, ident: int) -> None:
        self._feed(action="stop", id=ident)

    def fail(self, ident: int, drv: str) -> None:
        self._feed(action="msg", level=0, msg=ENDED.format(drv))
        self.stop(ident)

    def _feed(self, **content: object) -> None:
        self.log.feed("@nix " + json.dumps(content))

    def drv(self, name: str) -> str:
        return str(self.targets[NAMES.index(name)].drv)

    @property
    def seen(self) -> list[str]:
        """What was shown: the event, and of what."""
        rows = map(json.loads, self.err.getvalue().splitlines())
        return [f"{row['event']} {row['step']} {row.get('part', '')}".rstrip() for row in rows]

    @property
    def over(self) -> list[str]:
        return [line for line in self.seen if line.startswith(("done", "failed", "stopped"))]


def test_a_stage_is_over_as_soon_as_it_is_there_though_nix_says_so_at_the_end(
    tmp_path: Path,
) -> None:
    build = Build(tmp_path)
    with build.stages.running():
        build.start(1, COMPILER)
        build.start(2, LAYER)
        build.stop(2)
        build.start(3, build.drv("image"))
        (tmp_path / "image").touch()
        build.start(4, build.drv("rootfs"))  # which needs the image
        assert build.seen[-2:] == ["done image", "start rootfs"]
        (tmp_path / "rootfs").touch()
        build.stop(1)
        build.start(5, build.drv("kernel"))
        (tmp_path / "kernel").touch()
        for ident in (3, 4, 5):
            build.stop(ident)
    assert "start kernel compiler" in build.seen or "start kernel vcr-compiler" in build.seen
    assert "start image COPY a b" in build.seen
    stages = [line for line in build.over if line.count(" ") == 1]
    assert stages == ["done image", "done rootfs", "done kernel"]
    assert build.stages.done() == build.targets


def test_what_is_there_is_shown_in_its_place(tmp_path: Path) -> None:
    build = Build(tmp_path, "rootfs")
    with build.stages.running():
        assert build.seen == []
        build.start(1, build.drv("image"))
        (tmp_path / "image").touch()
        build.stop(1)
        assert build.over == ["done image", "done rootfs"]
        build.start(2, build.drv("kernel"))
        (tmp_path / "kernel").touch()
        build.stop(2)
    rows = [json.loads(line) for line in build.err.getvalue().splitlines()]
    outcomes = {row["step"]: row["outcome"] for row in rows if row["event"] == "done"}
    assert outcomes == {"image": "first build", "rootfs": "cached", "kernel": "first build"}


def test_only_what_failed_has_failed(tmp_path: Path) -> None:
    build = Build(tmp_path)

    def built() -> None:
        with build.stages.running():
            build.start(1, build.drv("kernel"))
            build.start(2, LAYER)
            build.fail(2, LAYER)
            build.stop(1)
            raise VcrError("it failed")

    with pytest.raises(VcrError):
        built()
    assert build.over == ["stopped kernel", "failed image COPY a b", "failed image"]
    assert build.stages.done() == []


def test_an_interrupt_stops_all(tmp_path: Path) -> None:
    build = Build(tmp_path)

    def built() -> None:
        with build.stages.running():
            build.start(1, build.drv("kernel"))
            build.start(2, LAYER)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built()
    assert sorted(build.over) == ["stopped image", "stopped image COPY a b", "stopped kernel"]


def test_what_a_killed_build_left_is_not_taken_for_built(tmp_path: Path) -> None:
    (tmp_path / "image").touch()
    build = Build(tmp_path)

    def built() -> None:
        with build.stages.running():
            build.start(1, build.drv("image"))
            build.start(2, COMPILER)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built()
    assert build.stages.done() == []


def test_what_another_build_made_meanwhile_is_shown(tmp_path: Path) -> None:
    build = Build(tmp_path)
    with build.stages.running():
        for name in NAMES:
            (tmp_path / name).touch()
    assert build.over == ["done image", "done rootfs", "done kernel"]
