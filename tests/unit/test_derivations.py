"""The list of derivations' names is that of nix/, and no name means two things."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vcr.model.derivations import ANY, KINDS, kind_of, meaning_of

NIX = Path(__file__).resolve().parents[2] / "nix"
# `name = "vcr-..."` of a derivation, and the first argument of nix/lib/vm-file.nix.
NAMED = re.compile(r'(?:name = |vm-file\.nix \{ inherit toolchain; \} )"(vcr-[^"]+)"')
# Names that are put together, by the file: what stands for the first ${...} of them.
PARTS = {
    "stages/machine.nix": r'build "(\w+)" ',
    "guest-program.nix": r'guestProgram "(\w+)"',
}


def names_in(path: Path) -> Iterator[str]:
    where = str(path.relative_to(NIX))
    whole = (NIX / "default.nix" if where == "guest-program.nix" else path).read_text()
    for name in NAMED.findall(path.read_text()):
        parts = [name]
        if re.search(r"\$\{name\}", name) and where in PARTS:
            found = re.findall(PARTS[where], whole, re.MULTILINE)
            parts = [re.sub(r"\$\{name\}", part, name) for part in found]
        yield from (re.sub(r"\$\{.*(?:\}|$)", "x-y", part) for part in parts)


NAMES = sorted({name for path in NIX.rglob("*.nix") for name in names_in(path)})


def test_the_names_of_nix_are_found() -> None:
    assert {
        "vcr-layer-run", "vcr-layer-base", "vcr-machine-x-y", "vcr-snapshot-x-y", "vcr-step-x-y",
        "vcr-vm-x-y", "vcr-build-machine-x-y", "vcr-tools-x-y",
    } <= set(NAMES)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_nix_is_of_one_kind(name: str) -> None:
    assert len([kind.pattern for kind in KINDS if kind.fits(name)]) == 1


def test_what_stages_build_for_a_project_may_be_removed_and_nothing_else() -> None:
    shared = {
        "vcr-oci-blob",
        "vcr-git-tree",
        "vcr-ramdisk-x-y",
    }  # fetched; the same for every project
    of_stages = {name for path in NIX.glob("stages/*.nix") for name in names_in(path)}
    removable = {name for name in NAMES if (kind := kind_of(name)) and kind.of_project}
    assert removable == of_stages - shared


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.pattern)
def test_every_kind_is_in_nix(kind: object) -> None:
    assert any(kind_of(name) is kind for name in NAMES)


def test_no_project_can_be_called_so_that_its_builds_are_taken_for_others() -> None:
    for kind in KINDS:
        begins = kind.pattern.removesuffix(ANY)
        fitting = [other for other in KINDS if other.fits(begins) or other.fits(f"{begins}x")]
        assert fitting == [kind]


def test_what_is_not_of_vcr_is_called_by_its_name() -> None:
    assert meaning_of("hello-1.0.tar.gz") == "hello-1.0.tar.gz"
    assert meaning_of("my-vcr-image-x") == "my-vcr-image-x"
