"""The fragments that kernels are configured by: what nix/kernel.nix can check."""

import re
from pathlib import Path

import pytest

FRAGMENTS = sorted((Path(__file__).resolve().parents[2] / "nix" / "kernel").glob("*.config"))
LINE = re.compile(r'(CONFIG_[A-Z0-9_]+)=(?:y|[0-9]+|"[^"]*")')


def names(fragment: Path) -> list[str]:
    lines = [line for line in fragment.read_text().splitlines() if line and line[0] != "#"]
    matches = [(line, LINE.fullmatch(line)) for line in lines]
    # "=m" would be a module, "is not set" is what nobody asked for anyway.
    assert [line for line, match in matches if match is None] == []
    return [match[1] for _, match in matches if match]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.stem)
def test_a_fragment_asks_for_each_option_once_and_for_no_module(fragment: Path) -> None:
    asked = names(fragment)
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.stem)
def test_every_group_of_a_fragment_has_a_reason(fragment: Path) -> None:
    groups = fragment.read_text().strip().split("\n\n")
    assert [group for group in groups if not group.startswith("# ")] == []


@pytest.mark.parametrize("stem", ["base", "enclave"])
def test_no_architecture_asks_for_what_every_machine_has(stem: str) -> None:
    base = next(path for path in FRAGMENTS if path.stem == stem)
    for fragment in FRAGMENTS:
        # An enclave's kernel is made without base.config.
        if fragment != base and fragment.stem.startswith("enclave") == (stem == "enclave"):
            assert set(names(fragment)) & set(names(base)) == set()
