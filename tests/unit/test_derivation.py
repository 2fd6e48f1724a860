"""Derivations, read by themselves; what is in them is not Python."""

import warnings
from pathlib import Path

import pytest

from vcr.tools.derivation import Derivation

DRV = (
    'Derive([("out","/nix/store/x","",""),("dev","","","")],[("/nix/store/y.drv",["dev","out"])],'
    '["/nix/store/z","/nix/store/w"],"x86_64-linux","/bin/sh",["-c","a\\"b"],'
    '[("a","line\\nline\\t\\\\"),("name","x")])'
)


def read(path: Path, text: str) -> Derivation:
    path.write_text(text)
    return Derivation.read(path)


def test_inputs_sources_and_environment(tmp_path: Path) -> None:
    found = read(tmp_path / "x.drv", DRV)
    assert found.inputs == (Path("/nix/store/y.drv"),)
    assert found.sources == (Path("/nix/store/z"), Path("/nix/store/w"))
    assert found.env == {"a": "line\nline\t\\", "name": "x"}


@pytest.mark.parametrize(
    "text",
    ["", "Derive(", "Derive([],[],[],)", DRV[:-1], DRV + "x", "Derive(" + "[" * 100_000,
     DRV.replace("x86", "\\q").replace('"/bin/sh"', "1 + 1"), "Derive((),(),(),(),(),(),())"[:-2],
     DRV.replace('("name","x")', '("name",["x"])')],
)  # fmt: skip
def test_what_is_damaged_is_an_error_and_nothing_is_said(tmp_path: Path, text: str) -> None:
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError, match="derivation"):
        read(tmp_path / "x.drv", text)
