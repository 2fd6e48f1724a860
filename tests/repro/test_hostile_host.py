"""A host that is as unlike this one as it can be had gives the same bytes.

Another file system below the store, the store in another place, another kernel, a clock that
is years off. What cannot be had here is named by the test that is skipped. What was shown on this
host is shown again when something changes that it depends on: see `host`.
"""

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from again import show_once
from determinism import closure, copy_to, outputs_of
from hostile_machine import build_there, kernel_drv, qemu
from private_store import needs_private_store
from program import runner_in

from vcr.build.builder import Builder
from vcr.model.arch import Arch
from vcr.model.stage import PROD_STAGES, STAGES
from vcr.planner.prepare import prepare
from vcr.settings import Settings
from vcr.tools.nix import Nix, Target
from vcr.tools.nix_log import store_name
from vcr.ui import Ui

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]
EXAMPLE = REPO / "examples" / "static"
OURS = ("vcr-layer-", "vcr-image-", "vcr-rootfs-", "vcr-squashfs-", "vcr-kernel-")
SEALED = ("vcr-machine-static", "vcr-snapshot-", "vcr-seal-")
# Each with what its directories and extents are unlike others in.
FILE_SYSTEMS = {
    "tmpfs": (),
    "ext4": ("mkfs.ext4", "-q", "-O", "^dir_index", "-I", "512", "-b", "1024"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}
DATES = ("1999-12-31 23:59:58", "2031-05-06 07:08:09")
MOUNT = 'mount -t "$1" -o "$2" "$3" "$4" && echo ready && exec sleep infinity'


def host(what: str, targets: tuple[Target, ...]) -> dict[str, str]:
    """Return all that decides how WHAT is built: this host, its tools, the test, TARGETS."""
    tests = REPO / "tests"
    names = ("again.py", "determinism.py", "hostile_machine.py", "private_store.py")
    texts = [*(tests / name for name in names), Path(__file__), tests / "repro/init-hostile"]
    tools = ["nix", "faketime", *(command[0] for command in FILE_SYSTEMS.values() if command)]
    found = {tool: shutil.which(tool) for tool in tools}
    return {
        "what": what,
        "kernel": platform.release(),
        "nix": run("nix", "--version").strip(),
        "tests": hashlib.sha256(b"".join(path.read_bytes() for path in texts)).hexdigest(),
        **{tool: hashlib.sha256(Path(path).read_bytes()).hexdigest()
           for tool, path in found.items() if path},
        **{target.attr: str(target.drv) for target in targets},
    }  # fmt: skip


@pytest.fixture(scope="module")
def built() -> tuple[Target, ...]:
    loaded, plan = prepare(EXAMPLE, arch=Arch.RISCV64, profile="vm")
    settings = Settings.load()
    builder = Builder(settings, Ui(), loaded)
    builder.build(plan)
    return Nix(settings).evaluate(STAGES, builder.write_plan(plan)).targets


@pytest.fixture(scope="module")
def sealed() -> tuple[Target, ...]:
    loaded, plan = prepare(EXAMPLE, arch=Arch.RISCV64, profile="prod")
    settings = Settings.load()
    builder = Builder(settings, Ui(), loaded)
    builder.build(plan, PROD_STAGES)
    prod = PROD_STAGES[len(STAGES) :]
    return Nix(settings).evaluate(prod, builder.write_plan(plan)).targets


def inputs_of(built: tuple[Target, ...], prefixes: tuple[str, ...] = OURS) -> list[str]:
    """Return what our derivations, with names of PREFIXES, are made of that is none of them."""
    known = closure([target.drv for target in built])
    ours = {drv for drv in known if store_name(str(drv)).startswith(prefixes)}
    needed = {drv for each in ours for drv in known[each].inputs} - ours
    return outputs_of(needed)


def hashes(
    built: tuple[Target, ...], *options: str, before: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the NAR hashes of outputs, which Nix is asked for with OPTIONS."""
    ask = (*before, "nix-store", *options, "--query", "--hash")
    return {str(target.out): run(*ask, str(target.out)).strip() for target in built}


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def mounted(kind: str, directory: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Mount a new file system in a mount namespace; yield where, and how commands get there."""
    place, image = directory / "place", directory / "image"
    place.mkdir()
    source, options = "none", "size=6g"
    if command := FILE_SYSTEMS[kind]:
        if shutil.which(command[0]) is None:
            pytest.skip(f"needs {command[0]}")
        with image.open("wb") as file:
            file.truncate(6 << 30)
        run(*command, image)
        source, options = str(image), "loop"
    argv = ["unshare", "--mount", "sh", "-c", MOUNT, "sh", kind, options, source, str(place)]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip(f"needs {kind}: {holder.stderr.read().strip()}")
        yield place, ("nsenter", "--mount", "--target", str(holder.pid), "--")
    finally:
        holder.kill()
        holder.communicate()
        image.unlink(missing_ok=True)


def by_a_clock_of(date: str) -> tuple[str, ...]:
    """Return what a command begins with that believes it is DATE, where that can be had."""
    return ("faketime", date) if date and shutil.which("faketime") else ()


@pytest.mark.parametrize(("kind", "date"), zip(FILE_SYSTEMS, (*DATES, "", ""), strict=True))
def test_the_store_on_another_file_system(
    built: tuple[Target, ...], tmp_path: Path, kind: str, date: str
) -> None:
    """It is copied there, and then bound over /nix for all that builds, and believes it is DATE."""
    needs_private_store()
    show_once(host(f"{kind} {date}", built), lambda: assert_same_on(kind, date, built, tmp_path))


def assert_same_on(kind: str, date: str, built: tuple[Target, ...], tmp_path: Path) -> None:
    drvs = [str(target.drv) for target in built]
    with mounted(kind, tmp_path) as (place, inside):
        copy_to(place, drvs, inputs_of(built), *inside)
        bind = f'mount --bind {place}/nix /nix && exec "$@"'
        there = (*inside, "unshare", "--mount", "sh", "-euc", bind, "sh")
        for target in built:
            assert not run(*there, "sh", "-c", f"ls -d {target.out} 2>/dev/null || :")
        run(*there, *by_a_clock_of(date), "nix-store", "--realise", *drvs)
        assert hashes(built, before=there) == hashes(built)


@pytest.mark.vm
@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
def test_a_snapshot_on_another_file_system_years_later(
    sealed: tuple[Target, ...], tmp_path: Path
) -> None:
    """Machine, snapshot and seal, on btrfs, by a Nix that believes it is 2031."""
    needs_private_store()

    def show() -> None:
        drvs = [str(target.drv) for target in sealed]
        with mounted("btrfs", tmp_path) as (place, inside):
            store = copy_to(place, drvs, inputs_of(sealed, SEALED), *inside)
            argv = ("faketime", "2031-05-06 07:08:09", "nix-store", "--store", store, "--realise")
            run(*inside, *argv, *drvs)
            assert hashes(sealed, "--store", store, before=inside) == hashes(sealed)

    show_once(host("a snapshot on btrfs", sealed), show)


@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
@pytest.mark.parametrize("date", DATES)
def test_vcr_at_another_time(built: tuple[Target, ...], tmp_path: Path, date: str) -> None:
    """vcr believes it is DATE: it wants the same outputs. Nix makes the same then, see above."""
    assert run("faketime", date, "date", "+%Y").strip() == date[:4]
    with runner_in(tmp_path) as vcr:
        vcr.before = ("faketime", date)
        vcr.env["XDG_CACHE_HOME"] = str(tmp_path / "cache")  # there is no plan of today in it
        vcr("build", EXAMPLE)
        (roots,) = (tmp_path / "state/vcr/roots").glob("static-*/vm-riscv64")
        wanted = {target.attr: target.out for target in built}
        assert {attr: (roots / attr).readlink() for attr in wanted} == wanted


@pytest.mark.vm
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs a host of x86-64")
@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="needs mkfs.ext4")
@pytest.mark.limit(900)
def test_another_kernel_years_later(built: tuple[Target, ...], tmp_path: Path) -> None:
    machine = {"its kernel": str(kernel_drv()), "its QEMU": str(qemu())}
    show_once(
        host("another kernel", built) | machine,
        lambda: assert_same_there(built, inputs_of(built), tmp_path),
    )


@pytest.mark.vm
@pytest.mark.skipif(
    "VCR_TEST_NESTED" not in os.environ,
    reason="needs VCR_TEST_NESTED=1: a machine is emulated in an emulated machine",
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs a host of x86-64")
@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="needs mkfs.ext4")
@pytest.mark.limit(3600)
def test_a_snapshot_on_another_kernel_years_later(
    sealed: tuple[Target, ...], tmp_path: Path
) -> None:
    assert_same_there(sealed, inputs_of(sealed, SEALED), tmp_path)


def assert_same_there(targets: tuple[Target, ...], inputs: list[str], directory: Path) -> None:
    """Build TARGETS of INPUTS in a machine of another kernel, in 2031, and compare."""
    outs, drvs = [str(target.out) for target in targets], [target.drv for target in targets]
    said = build_there(directory, drvs, inputs, outs, "2031-05-06T07:08:09")
    assert said.year == 2031, said.text
    assert said.kernel not in {"", platform.release()}
    assert said.hashes == hashes(targets), said.text
