"""The kernel as it is built: what was asked for, no modules, and Debian's in its place."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_examples import GOLDEN, address, digests, get

from vcr.settings import Settings
from vcr.tools.derivation import Derivation
from vcr.tools.nix import Nix

REPO = Path(__file__).resolve().parents[2]
FRAGMENTS = [REPO / "nix" / "kernel" / name for name in ("base.config", "riscv64.config")]

pytestmark = pytest.mark.nix


def kernel_of(drv: Path) -> Path:
    """Return what nix/kernel.nix built for the kernel stage DRV."""
    inputs = Derivation.read(drv).inputs
    (linux,) = (path for path in inputs if "-vcr-linux-" in path.name)
    return Path(Derivation.read(linux).env["out"])


def kernel_with(fragment: Path) -> str:
    """Return the Nix expression of a kernel for riscv64 of one FRAGMENT."""
    board = 'board = nix.boards.riscv64; name = "riscv64"; image = board.image;'
    return (
        f"let nix = import {REPO / 'nix'} {{ }}; in nix.linux "
        f"(rec {{ {board} config = [ {fragment} ]; }})"
    )


def evaluate(expression: str) -> str:
    """Return the text that a Nix EXPRESSION comes to."""
    argv = ["nix-instantiate", "--eval", "--json", "--expr", expression]
    return str(json.loads(subprocess.run(argv, capture_output=True, check=True).stdout))


def test_everything_asked_for_is_built_in_and_nothing_is_a_module(vcr: Any) -> None:
    stages = vcr.json("build", REPO / "examples" / "static", "kernel")["stages"]
    (stage,) = (Path(row["path"]) for row in stages if row["name"] == "kernel")
    query = ["nix-store", "--query", "--deriver", str(stage)]
    drv = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    kernel = kernel_of(Path(drv))
    config = (kernel / "config").read_text().splitlines()
    asked = [line for f in FRAGMENTS for line in f.read_text().splitlines() if line[:1] == "C"]
    assert "CONFIG_PERF_EVENTS=y" in asked
    assert [line for line in asked if line not in config] == []
    assert [line for line in config if line.endswith("=m")] == []
    assert "# CONFIG_MODULES is not set" in config
    assert (kernel / "kernel").read_bytes() == (stage / "kernel").read_bytes()
    assert b"/nix/store" not in (kernel / "kernel").read_bytes()


def test_a_comment_compiles_nothing_anew(tmp_path: Path) -> None:
    texts = {
        "before": "# why\n\nCONFIG_MMU=y\n# CONFIG_SMP is not set\n",
        "comment": "# better said: CONFIG_SMP=y\nCONFIG_MMU=y\n# CONFIG_SMP is not set\n# end\n",
        "option": "# why\n\nCONFIG_MMU=y\nCONFIG_SMP=y\n",
    }
    made = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        made[name] = evaluate(f"({kernel_with(tmp_path / name)}).drvPath")
    assert made["before"] == made["comment"] != made["option"]
    fragment = evaluate(f"({kernel_with(tmp_path / 'before')}).fragment")
    assert fragment == "CONFIG_MMU=y\n# CONFIG_SMP is not set\n"


def test_symbols_for_a_debugger_are_an_elf_file_of_nothing_else(vcr: Any) -> None:
    stages = vcr.json("build", REPO / "examples" / "static", "kernel")["stages"]
    (stage,) = (Path(row["path"]) for row in stages if row["name"] == "kernel")
    symbols = (stage / "symbols").read_bytes()
    assert symbols.startswith(b"\x7fELF")
    assert len(symbols) < (stage / "kernel").stat().st_size / 2
    assert b"start_kernel\0" in symbols  # the end of another name may be where it is
    assert b"/nix/store" not in symbols


def test_an_option_that_does_not_survive_fails_the_build(tmp_path: Path) -> None:
    # A driver of a bus that this kernel does not have.
    (tmp_path / "lost").write_text("# why\nCONFIG_MMU=y\nCONFIG_USB_STORAGE=y\n")
    nix = Nix(Settings.load())
    nix.build("kernel-build", lambda _: None)
    done = subprocess.run(
        ["nix-build", "--no-out-link", "--expr", kernel_with(tmp_path / "lost")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "CONFIG_USB_STORAGE=y" in done.stderr
    assert "did not survive" in done.stderr


@pytest.mark.vm
def test_debians_kernel_is_a_setting(vcr: Any, project: Path) -> None:
    config = project / "vcr.toml"
    config.write_text(config.read_text() + 'kernel = "debian"\n')
    assert 'set memory = "160 MiB"' in vcr("build", project, code=2).stderr
    vcr("build", "--profile", "vm-release", project)
    config.write_text(config.read_text().replace("128 MiB", "160 MiB"))
    rows = vcr.json("inspect", "--config", project)["values"]
    assert {"key": "machine.kernel", "value": "debian", "from": "vcr.toml"} in rows
    ladder = digests(vcr.json("build", project))
    recorded = json.loads(GOLDEN.read_text())["static"]
    assert {name for name in ladder if ladder[name] != recorded[name]} == {"kernel", "initramfs"}
    machine = vcr.json("up", project)
    assert get(address(machine))[0] == 200
    vcr("down", "-t", "1", project)
