"""The programs that run in machines: compiled, vetted and tested by the pinned Go."""

import pytest

from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = [pytest.mark.nix, pytest.mark.limit(900)]


@pytest.mark.parametrize("program", ["agent", "asker", "loader", "sampler", "step"])
def test_a_programs_own_tests_pass(program: str) -> None:
    """In the Nix sandbox: also on every input that fuzzing has found, which is in testdata."""
    nix = Nix(Settings.load())
    assert nix.build(f"checks.{program}", lambda _: None).exists()
