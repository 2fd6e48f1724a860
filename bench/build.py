#!/usr/bin/env python3
"""How long `vcr build image` takes, beside `buildah bud` of the same app.

    bench/build.py [--example hello] [--rounds 3]

cold         nothing of the project is built yet; tools and the base are there
warm         nothing changed
incremental  one file of the app changed

buildah builds from a base image that holds the same files; its import counts as
part of its cold build, as unpacking the packages does for vcr. Numbers are the
medians of wall-clock seconds; a ratio above 1 means vcr takes longer.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rows import Row, options, show

REPO = Path(__file__).resolve().parents[1]
CASES = ("cold", "warm", "incremental")


def timed(work: Callable[[], object]) -> float:
    """Return the seconds WORK takes."""
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def run(*argv: str | Path) -> str:
    """Run ARGV quietly; fail loudly."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{argv[0]} failed:\n{done.stderr}")
    return done.stdout


def fresh_project(source: Path, where: Path) -> Path:
    """Copy SOURCE below WHERE; a new file that begins each stage makes all of it new to Nix."""
    project = where / source.name
    shutil.copytree(source, project)
    dockerfile = project / "Dockerfile"
    new = "COPY .bench /.bench\n"
    (project / ".bench").write_text(f"{time.time_ns()}\n")
    lines = dockerfile.read_text().splitlines(keepends=True)
    dockerfile.write_text("".join(x + new if x.startswith("FROM ") else x for x in lines))
    return project


def change_app(project: Path) -> None:
    """Change one file that the Dockerfile copies."""
    for name in ("app.py", "www/index.html"):
        if (project / name).exists():
            with (project / name).open("a") as file:
                file.write(f"# {time.time_ns()}\n")


def vcr_round(example: str) -> dict[str, float]:
    """Time vcr's three builds."""
    with tempfile.TemporaryDirectory() as scratch:
        project = fresh_project(REPO / "examples" / example, Path(scratch))

        def build() -> None:
            run(REPO / "bin/vcr", "-q", "build", project, "image")

        times = {"cold": timed(build), "warm": timed(build)}
        change_app(project)
        return {**times, "incremental": timed(build)}


def base_of(example: str) -> tuple[str, Path]:
    """Return the name after FROM and the tar of its files, as vcr builds it."""
    project = REPO / "examples" / example
    out = json.loads(run(REPO / "bin/vcr", "--json", "-q", "build", project, "image"))
    layout = Path(out["stages"][0]["path"]) / "layout"
    manifest = json.loads((Path(out["ladder"][0]["path"])).read_text())
    layer = manifest["layers"][0]["digest"].removeprefix("sha256:")
    name = (project / "Dockerfile").read_text().split()[1]
    return name, layout / "blobs/sha256" / layer


def buildah_round(example: str, base: tuple[str, Path]) -> dict[str, float]:
    """Time buildah's three builds, in a storage of their own."""
    with tempfile.TemporaryDirectory() as scratch:
        storage = ["--root", f"{scratch}/root", "--runroot", f"{scratch}/run"]
        buildah = ["buildah", *storage, "--storage-driver", "overlay"]
        project = fresh_project(REPO / "examples" / example, Path(scratch))
        dockerfile = (project / "Dockerfile").read_text().replace(base[0], "localhost/base", 1)
        (project / "Dockerfile").write_text(dockerfile)

        def build() -> None:
            run(*buildah, "bud", "--layers", "--isolation", "chroot", "-t", "app", project)

        def cold() -> None:
            container = run(*buildah, "from", "scratch").strip()
            run(*buildah, "add", "-q", container, base[1], "/")
            run(*buildah, "commit", "-q", container, "localhost/base")
            build()

        times = {"cold": timed(cold), "warm": timed(build)}
        change_app(project)
        return {**times, "incremental": timed(build)}


def main() -> None:
    """Measure and print the table."""
    parser = options(__doc__)
    parser.add_argument("--example", default="hello")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.umask(0o022)
    base = base_of(given.example)  # also brings tools and packages
    ours = [vcr_round(given.example) for _ in range(given.rounds)]
    has_peer = shutil.which("buildah") is not None
    theirs = [buildah_round(given.example, base) for _ in range(given.rounds if has_peer else 0)]
    rows = []
    for case in CASES:
        row = Row.of(f"{given.example}, {case}", [each[case] for each in ours])
        rows.append(row.beside("buildah", [each[case] for each in theirs]) if theirs else row)
    show(rows, as_json=given.json)


if __name__ == "__main__":
    main()
