"""Building: what is cached says so, what is built says why, the lock is stable."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.nix


def stages(vcr: Any, *words: str | Path) -> dict[str, tuple[bool, str]]:
    return {s["name"]: (s["cached"], s["reason"]) for s in vcr.json("build", *words)["stages"]}


def test_a_second_build_does_nothing(vcr: Any, project: Path) -> None:
    vcr("build", project)
    assert set(stages(vcr, project).values()) == {(True, "")}
    done = vcr("build", project)
    lines = [line.split() for line in done.stderr.splitlines()]
    instructions = [line for line in lines if line[0].startswith("[")]
    assert [line[1] for line in instructions] == ["FROM", "COPY"]
    assert all(line[-1] == "CACHED" for line in instructions)
    assert [line for line in lines if line not in instructions] == [
        [name, "cached"] for name in ("image", "rootfs", "squashfs", "kernel")
    ]


def test_a_changed_file_rebuilds_what_depends_on_it_and_is_named(vcr: Any, project: Path) -> None:
    before = vcr.json("build", project)
    (project / "www/index.html").write_text(f"changed at {time.time_ns()}")
    (project / "unrelated.txt").write_text("no part of the image")
    built = stages(vcr, project)
    for name in ("image", "rootfs", "squashfs"):
        assert built[name] == (False, "www/index.html changed")
    assert built["kernel"] == (True, "")
    after = vcr.json("build", project)
    changed = {
        old["name"]
        for old, new in zip(before["ladder"], after["ladder"], strict=True)
        if old["digest"] != new["digest"]
    }
    assert changed == {"image", "rootfs", "squashfs"}


def test_a_build_says_by_how_much_the_store_has_grown(vcr: Any, project: Path) -> None:
    (project / "www/noise.bin").write_bytes(os.urandom(3 << 20))
    done = vcr("build", "image", project)
    # The layer, which the image has by reference.
    said = re.search(r"the Nix store has grown by ([0-9.]+) MiB; `vcr prune`", done.stderr)
    assert said, done.stderr
    assert 3.0 <= float(said[1]) < 3.5
    assert "has grown" not in vcr("build", "image", project).stderr


def test_a_comment_rebuilds_nothing(vcr: Any, project: Path) -> None:
    vcr("build", project)
    dockerfile = project / "Dockerfile"
    dockerfile.write_text("# a comment\n\n" + dockerfile.read_text())
    assert all(cached for cached, _ in stages(vcr, project).values())


def test_building_up_to_a_stage(vcr: Any, project: Path) -> None:
    for words in ((), ("--arch", "amd64"), ("--arch", "arm64")):
        assert list(stages(vcr, project, *words, "rootfs")) == ["image", "rootfs"]


def test_the_graph_is_what_nix_goes_by(vcr: Any, project: Path) -> None:
    vcr("build", project)
    nodes = {node["name"]: node for node in vcr.json("graph", project)["nodes"]}
    assert {name: node["needs"] for name, node in nodes.items()} == {
        "base.busybox": [],
        "0.1.copy": ["base.busybox"],
        "image": ["0.1.copy"],
        "rootfs": ["image"],
        "squashfs": ["rootfs"],
        "kernel": [],
    }
    assert all(node["is_built"] for node in nodes.values())
    tree = vcr("graph", project).stdout.splitlines()
    assert [line.split()[0] for line in (tree[0], tree[-1])] == ["squashfs", "kernel"]
    drawing = project / "graph.svg"
    vcr("graph", project, "--svg", drawing)
    assert drawing.read_text().startswith("<svg ")


def test_inspect_shows_plan_ladder_and_sizes(vcr: Any, project: Path) -> None:
    vcr("build", project)
    shown = vcr.json("inspect", project)
    assert [stage["built"] for stage in shown["stages"]] == [True] * 4
    assert all(stage["closure_size"] >= stage["size"] > 0 for stage in shown["stages"])
    assert len(shown["ladder"]) == 5
    assert "base.busybox" in shown["plan"]["layers"]
    text = vcr("inspect", project).stdout
    assert "Debian package" in text
    assert "copy www to /www" in text
    config = {row["key"]: row for row in vcr.json("inspect", "--config", project)["values"]}
    assert config["machine.memory"] == {"key": "machine.memory", "value": 128, "from": "vcr.toml"}
    assert config["machine.cpus"]["from"] == "default"


def test_locking_again_changes_nothing(vcr: Any, project: Path) -> None:
    before = (project / "vcr.lock").read_bytes()
    assert vcr.json("lock", project)["changed"] is False
    vcr("lock", "--check", project)
    assert (project / "vcr.lock").read_bytes() == before


def test_a_new_base_is_resolved_and_builds(vcr: Any, project: Path) -> None:
    """Reads the archive for real: signature, indexes, closure."""
    (project / "vcr.toml").write_text('[base.busybox]\npackages = ["busybox-static", "tzdata"]\n')
    vcr("build", project, code=4)
    answer = vcr.json("lock", project)
    assert answer["changed"] is True
    assert any(line.startswith("+ busybox: tzdata ") for line in answer["changes"])
    lock = json.loads((project / "vcr.lock").read_text())
    assert lock["schema"] == 1
    for arch in ("amd64", "arm64", "riscv64"):
        names = {p["package"] for p in lock["bases"]["busybox"]["archs"][arch]}
        assert {"busybox-static", "tzdata"} <= names
    assert "snapshot.debian.org" in lock["bases"]["busybox"]["archs"]["amd64"][0]["url"]
    vcr("build", "image", project)


def test_a_misspelt_package_names_the_nearest(vcr: Any, project: Path) -> None:
    (project / "vcr.toml").write_text('[base.busybox]\npackages = ["busybox-statik"]\n')
    before = (project / "vcr.lock").read_bytes()
    done = vcr("lock", project, code=2)
    assert "there is no Debian package 'busybox-statik'" in done.stderr
    assert "busybox-static" in done.stderr
    assert (project / "vcr.lock").read_bytes() == before


def test_the_tour_knows_what_is_built(vcr: Any, project: Path) -> None:
    assert vcr.json("intro", project)["state"] == "locked"
    vcr("build", "image", project)
    assert vcr.json("intro", project)["state"] == "built"
