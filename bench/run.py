#!/usr/bin/env python3
"""What a RUN costs, by itself and beside buildah with qemu-user.

    bench/run.py [--rounds 3] [--apps c flask node]

empty step   `RUN true` on a base of Debian packages, by architecture: the machine's
             boot, the mount of the layers, its end, the layer. What `vcr build`
             takes when there is nothing to do is taken off.
apps         the examples that run apt-get with gcc, pip and npm, for riscv64: all
             steps above the base, none of them built before.

buildah runs the same steps by qemu-user (binfmt_misc and Docker-like privileges) and
with the network of this host; vcr by a machine that counts instructions, and from
vcr.lock. Numbers are medians of wall-clock seconds; a ratio above 1 means vcr takes
longer.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from build import REPO, run, timed

sys.path.insert(0, str(REPO))

from vcr.tools.apt import mirrors

ARCHS = ("riscv64", "arm64", "amd64")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
APPS = ("c", "flask", "node")


def median(rounds: int, measure: Callable[[], float]) -> float:
    """Return the median of ROUNDS measurements, in seconds."""
    return statistics.median(measure() for _ in range(rounds))


def build(project: Path, *words: str) -> None:
    """Build the image of PROJECT."""
    run(REPO / "bin/vcr", "-q", "build", *words, project, "image")


def empty_step(arch: str) -> float:
    """Return the seconds one more `RUN true` takes."""
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch)
        for name in ("vcr.toml", "vcr.lock"):
            shutil.copy(REPO / "examples" / "c" / name, project)
        lock = json.loads((project / "vcr.lock").read_text())
        (project / "vcr.lock").write_text(json.dumps({**lock, "runs": {}, "bodies": {}}))
        dockerfile = project / "Dockerfile"
        dockerfile.write_text("FROM debian\nEXPOSE 8080\nRUN true\n")
        build(project, "--arch", arch)
        nothing = timed(lambda: build(project, "--arch", arch))
        dockerfile.write_text(f"FROM debian\nEXPOSE 8080\nRUN true # {time.time_ns()}\n")
        return timed(lambda: build(project, "--arch", arch)) - nothing


def base_of(app: str, scratch: Path) -> tuple[str, list[Path]]:
    """Return the name after APP's first FROM and the layers of it, which vcr builds."""
    project = REPO / "examples" / app
    name = (project / "Dockerfile").read_text().split()[1]
    base = scratch / f"base-{app}"
    base.mkdir()
    for file in ("vcr.toml", "vcr.lock"):
        shutil.copy(project / file, base)
    (base / "Dockerfile").write_text(f"FROM {name}\nEXPOSE 8080\n")
    out = json.loads(run(REPO / "bin/vcr", "--json", "-q", "build", base, "image"))
    layout = Path(out["stages"][0]["path"]) / "layout"
    manifest = json.loads(Path(out["ladder"][0]["path"]).read_text())
    digests = [layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]]
    return name, [layout / "blobs/sha256" / digest for digest in digests]


def vcr_app(app: str, scratch: Path) -> float:
    """Return the seconds vcr takes for the steps of APP above its base."""
    project = scratch / f"vcr-{app}"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(REPO / "examples" / app, project)
    dockerfile = (project / "Dockerfile").read_text()
    first, _, rest = dockerfile.partition("\n")
    # A layer of its own below the steps makes every one of them new to Nix.
    nonce = f"COPY <<EOF /nonce\n{time.time_ns()}\nEOF"
    (project / "Dockerfile").write_text(f"{first}\n{nonce}\n{rest}")
    return timed(lambda: build(project))


def buildah_app(app: str, base: tuple[str, list[Path]], mirror: str, scratch: Path) -> float:
    """Return the seconds buildah takes for the steps of APP above its base."""
    storage = ["--root", f"{scratch}/root", "--runroot", f"{scratch}/run"]
    buildah = ["buildah", *storage, "--storage-driver", "overlay"]
    name, layers = base
    container = run(*buildah, "from", "--arch", "riscv64", "scratch").strip()
    for layer in layers:
        run(*buildah, "add", "-q", container, layer, "/")
    if app == "c":
        sources = scratch / "sources.list"
        sources.write_text(f"deb {mirror} trixie main\n")
        run(*buildah, "add", "-q", container, sources, "/etc/apt/sources.list")
        nowhere = scratch / "empty"
        nowhere.touch()
        run(*buildah, "add", "-q", container, nowhere, "/etc/apt/sources.list.d/debian.sources")
    # This host may have to trust an authority of its own.
    run(*buildah, "add", "-q", container, CERTIFICATES, "/host.crt")
    trusted = [f"{name}=/host.crt" for name in ("PIP_CERT", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")]
    settings = [word for setting in trusted for word in ("--env", setting)]
    run(*buildah, "config", "--arch", "riscv64", *settings, container)
    run(*buildah, "commit", "-q", container, "localhost/base")
    project = scratch / f"buildah-{app}"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(REPO / "examples" / app, project)
    dockerfile = (
        (project / "Dockerfile").read_text().replace(f"FROM {name}", "FROM localhost/base", 1)
    )
    (project / "Dockerfile").write_text(dockerfile)
    options = ["--platform", "linux/riscv64", "--isolation", "chroot", "--network", "host"]
    took = timed(lambda: run(*buildah, "bud", "--no-cache", *options, "-t", "app", project))
    run(*buildah, "rmi", "--all", "--force")
    return took


def can_compare() -> bool:
    """Say whether this host can run riscv64 programs by buildah."""
    binfmt = Path("/proc/sys/fs/binfmt_misc")
    return shutil.which("buildah") is not None and any(
        "riscv64" in entry.name for entry in (binfmt.iterdir() if binfmt.is_dir() else ())
    )


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--apps", nargs="*", choices=APPS, default=APPS)
    parser.add_argument(
        "--mirror", default=next(iter(mirrors()), ""), help="of Debian, for buildah"
    )
    options = parser.parse_args()
    compare = can_compare()
    if compare and "c" in options.apps and not options.mirror:
        parser.error("--mirror: apt of this host names none")
    os.umask(0o022)
    print("empty step          vcr")
    for arch in ARCHS:
        print(f"{arch:<15} {median(options.rounds, partial(empty_step, arch)):6.2f}s", flush=True)
    if not compare:
        print("buildah with qemu-user for riscv64 is not installed: vcr alone")
    print(f"{'steps of':<15} {'vcr':>7} {'buildah':>8} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for app in options.apps:
            base = base_of(app, scratch)
            ours = median(options.rounds, partial(vcr_app, app, scratch))
            if not compare:
                print(f"{app:<15} {ours:6.1f}s", flush=True)
                continue
            theirs = median(
                options.rounds,
                partial(buildah_app, app, base, options.mirror, scratch),
            )
            print(f"{app:<15} {ours:6.1f}s {theirs:7.1f}s {ours / theirs:6.2f}x", flush=True)


if __name__ == "__main__":
    main()
