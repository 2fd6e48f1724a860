"""NOTICE names all that outputs are made of, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from vcr.model.board import BOARDS

# The sets of packages that end up in outputs, by the file that puts them there.
SHIPPED = {
    "guest": "nix/stages/rootfs.nix",
    "guest-debug": "nix/stages/rootfs.nix",
    "kernel": "nix/lib/kernel.nix",
    "kernel-source": "nix/kernel.nix",
    "qemu-riscv": "vcr/model/board.json",
}
# What is not of Debian: the kernel of Cartesi's release, with the firmware in it.
OTHERS = {"linux-ctsi", "opensbi-ctsi"}
ROW = re.compile(r"^  (\S+) +(\S.*)$", re.MULTILINE)
REQUIRED = re.compile(r"^(?:require)?\s*(\S+\.\S+/\S+) v\S+", re.MULTILINE)
# SPDX's words for a licence, and for several.
LICENCE = re.compile(r"[A-Za-z][A-Za-z0-9.-]+(?: (?:AND|OR|WITH) [A-Za-z][A-Za-z0-9.-]+)*")


@pytest.fixture
def notice(repo: Path) -> dict[str, str]:
    rows = ROW.findall((repo / "NOTICE").read_text())
    assert len(dict(rows)) == len(rows), "a name stands twice"
    return dict(rows)


def packages(repo: Path) -> set[str]:
    """Return the packages of the sets that are shipped, kernels without their version."""
    names = set()
    for path in (repo / "nix/pins").glob("debian-*.json"):
        sets = json.loads(path.read_text())["sets"]
        names |= {name for key in SHIPPED for name in sets.get(key, ())}
    return {re.sub(r"^(linux-(?:image|source))-.*", r"\1", name) for name in names}


def programs(repo: Path) -> set[str]:
    return {path.parent.name for path in (repo / "guest").glob("*/go.mod")}


def modules(repo: Path) -> set[str]:
    """Return the Go modules that programs of the guest are compiled with, besides themselves."""
    found: set[str] = set()
    for path in (repo / "guest").glob("*/go.mod"):
        found |= set(REQUIRED.findall(path.read_text()))
    return found


def test_what_is_shipped_is_named_and_nothing_else(repo: Path, notice: dict[str, str]) -> None:
    assert set(notice) == packages(repo) | programs(repo) | modules(repo) | OTHERS


def test_each_has_a_licence_in_the_words_of_spdx(notice: dict[str, str]) -> None:
    assert [row for row in notice.items() if not LICENCE.fullmatch(row[1])] == []


@pytest.mark.parametrize(("name", "file"), SHIPPED.items())
def test_the_sets_are_those_that_nix_puts_there(repo: Path, name: str, file: str) -> None:
    assert re.search(f'"{name}"', (repo / file).read_text())


def test_the_root_has_packages_of_no_other_set(repo: Path) -> None:
    text = (repo / "nix/stages/rootfs.nix").read_text()
    (line,) = re.findall(r"^ *sets = .*;$", text, re.MULTILINE)
    assert set(re.findall(r'"([\w-]+)"', line)) <= SHIPPED.keys()


def test_enclaves_hold_the_emulator_of_a_machine_that_is_sealed() -> None:
    sealed = {board.toolset for board in BOARDS.values() if board.prod_cpu}
    assert sealed <= SHIPPED.keys()


def test_a_module_of_go_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "guest/x").mkdir(parents=True)
    (tmp_path / "guest/x/go.mod").write_text(
        "module vcr/x\n\ngo 1.24\n\nrequire golang.org/x/sys v0.1.0\n"
        "require (\n\tgithub.com/a/b v1.2.3\n\tgithub.com/c/d v1.0.0 // indirect\n)\n"
    )
    assert modules(tmp_path) == {"golang.org/x/sys", "github.com/a/b", "github.com/c/d"}
