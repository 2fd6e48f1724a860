"""The same project gives the same bytes, whatever differs around it."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from again import FRESH, assert_same_again, show_once
from determinism import busy_host, closure, copy_to, outputs_of, strange
from order import ARCHS

from vcr.build.builder import Builder
from vcr.model.arch import Arch
from vcr.model.ladder import read_rungs
from vcr.model.stage import STAGES
from vcr.planner.prepare import prepare
from vcr.settings import Settings
from vcr.tools.nix import Nix, Target
from vcr.tools.nix_log import store_name
from vcr.ui import Ui

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]
EXAMPLE = REPO / "examples" / "static"
OURS = ("vcr-layer-", "vcr-image-", "vcr-rootfs-", "vcr-squashfs-", "vcr-kernel-")


def evaluate(project: Path, cache: Path) -> tuple[Target, ...]:
    """Evaluate the stages of PROJECT, with the cache directory CACHE."""
    settings = Settings.load({**os.environ, "XDG_CACHE_HOME": str(cache)})
    loaded, plan = prepare(project, arch=Arch.RISCV64, profile="vm")
    builder = Builder(settings, Ui(), loaded)
    return Nix(settings).evaluate(STAGES, builder.write_plan(plan)).targets


@pytest.fixture(scope="module")
def built() -> tuple[Target, ...]:
    loaded, plan = prepare(EXAMPLE, arch=Arch.RISCV64, profile="vm")
    settings = Settings.load()
    builder = Builder(settings, Ui(), loaded)
    builder.build(plan)
    return Nix(settings).evaluate(STAGES, builder.write_plan(plan)).targets


def is_ours(drv: Path) -> bool:
    return store_name(str(drv)).startswith(OURS)


def test_building_again_gives_the_same_bytes(built: tuple[Target, ...]) -> None:
    ours = sorted(filter(is_ours, closure([target.drv for target in built])))
    assert len(ours) >= 6
    assert_same_in_strange_hands(ours)


def assert_same_in_strange_hands(drvs: list[Path]) -> None:
    """Build DRVS once more, on a strange and busy host: the store's bytes come out.

    A store that has what was made of them need not have them: it is made first.
    """
    with busy_host():
        assert_same_again(drvs, strange)


@pytest.mark.skipif(
    "VCR_TEST_KERNEL" not in os.environ,
    reason="needs VCR_TEST_KERNEL=1: it compiles a kernel, by one job at a time",
)
@pytest.mark.limit(7200)
@pytest.mark.parametrize("arch", ARCHS)
def test_the_kernel_is_the_same_by_one_job_at_a_time(arch: Arch) -> None:
    argv = ["nix-instantiate", "--expr", f"(import {REPO}/nix {{ }}).kernels.{arch}"]
    made = subprocess.run(argv, capture_output=True, text=True, check=True)
    done = strange(["nix-store", "--realise", "--check", made.stdout.strip()])
    assert done.returncode == 0, done.stderr


def test_a_difference_would_be_noticed(tmp_path: Path) -> None:
    """The check above can fail: a derivation that is not deterministic does."""
    busybox = Nix(Settings.load()).build("busybox", lambda _: None)
    expression = (
        'derivation { name = "vcr-drift"; system = builtins.currentSystem; '
        f'builder = "${{builtins.storePath "{busybox}"}}/bin/sh"; '
        f'args = [ "-c" "read -r x < /proc/uptime; echo $x > $out" ]; now = "{time.time_ns()}"; }}'
    )
    drv = subprocess.run(
        ["nix-instantiate", "--expr", expression], capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run(["nix-store", "--realise", drv], check=True, capture_output=True)
    time.sleep(0.1)
    done = strange(["nix-store", "--realise", "--check", drv])
    assert done.returncode == 104
    for numbers in ((1,), (2, 3)):
        with pytest.raises(AssertionError, match="vcr-same-again"):
            assert_same_again([drv], numbers=numbers)


def test_what_was_shown_is_shown_again_when_an_input_changes_or_it_failed() -> None:
    inputs, calls = {'a "word" $x': str(time.time_ns())}, []

    def show() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise LookupError

    with pytest.raises(LookupError):
        show_once(inputs, show)
    for count, more in ((2, {}), (2, {}), (3, {"b": ""}), (3, {})):
        show_once(inputs | more, show)
        assert len(calls) == count or FRESH


def test_path_times_and_modes_of_a_checkout_do_not_matter(
    built: tuple[Target, ...], tmp_path: Path
) -> None:
    copy = tmp_path / "ü another place" / "static"
    shutil.copytree(EXAMPLE, copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1, 1))
    assert [t.drv for t in evaluate(copy, tmp_path / "cache")] == [t.drv for t in built]


def test_another_store_gives_the_same_digests(built: tuple[Target, ...], tmp_path: Path) -> None:
    drvs = [str(target.drv) for target in built]
    known = closure([target.drv for target in built])
    needed = {drv for ours in filter(is_ours, known) for drv in known[ours].inputs}
    tools = outputs_of(drv for drv in needed if not is_ours(drv))
    store = copy_to(tmp_path / "store", drvs, tools)
    done = strange(["nix-store", "--store", store, "--realise", *drvs])
    assert done.returncode == 0, done.stderr
    for target in built:
        there = tmp_path / "store" / str(target.out).lstrip("/")
        here = [(rung.name, rung.digest, rung.size) for rung in read_rungs(target.out)]
        assert [(r.name, r.digest, r.size) for r in read_rungs(there)] == here


def test_the_plan_is_canonical(tmp_path: Path) -> None:
    _, first = prepare(EXAMPLE, arch=Arch.RISCV64, profile="vm")
    text = first.to_json()
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) + "\n" == text


@pytest.mark.vm
@pytest.mark.kernel("enclave")
def test_an_enclave_image_is_the_same_again() -> None:
    """Loader, first ramdisk and image; the kernel has a test of its own."""
    loaded, plan = prepare(EXAMPLE, arch=Arch.RISCV64, profile="prod")
    settings = Settings.load()
    builder = Builder(settings, Ui(), loaded)
    image = builder.build(plan, ("enclave",)).path("enclave")
    (target,) = Nix(settings).evaluate(("enclave",), builder.write_plan(plan)).targets
    ours = ("vcr-loader-", "vcr-ramdisk-", "vcr-enclave-")
    drvs = [drv for drv in closure([target.drv]) if store_name(str(drv)).startswith(ours)]
    assert len(drvs) == len(ours)
    assert_same_in_strange_hands(sorted(drvs))
    assert (image / "enclave.eif").exists()
