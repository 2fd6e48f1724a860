"""In which order tests run, and what is handed to a worker as one unit.

A unit is a file: its tests may share a machine, or look for what only one of them may leave.
Tests of files in APART share nothing, so each is a unit; those of files in BY_PROFILE share a
machine of each profile. What takes long begins early, so that it is not what all wait for at the
end. Where a kernel was not compiled yet, what needs it comes last but for the unit tests: while
one worker compiles, the others have those left.
"""

import re
from collections.abc import Sequence

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

from vcr.model.profile import PROFILES

# Seconds of a file alone, with all in the store that a run of it leaves there.
SECONDS: dict[str, int] = {}
BUILDS, UNIT = 20, 0  # of what is not measured
APART = frozenset(
    {
        "integration/test_docs",
        "integration/test_dockerfiles",
        "integration/test_enclave_boot",
        "integration/test_examples",
        "integration/test_foreign_tools",
        "integration/test_prod",
        "reliability/test_every_bit",
        "repro/test_hostile_host",
    }
)
BY_PROFILE = frozenset(
    {
        "integration/test_host_reach",
        "integration/test_inside_profiles",
        "integration/test_ssh",
        "integration/test_verbs",
    }
)
_NAMES = "|".join(sorted(("dev in a VM", *PROFILES), key=len, reverse=True))
_PROFILE = re.compile(rf"[\[-]({_NAMES})[]-]")


def file_of(nodeid: str) -> str:
    """Return the file of a test, below tests/ and without its suffix."""
    return nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")


def unit_of(nodeid: str) -> str:
    """Return the name of the unit that a test belongs to."""
    file = file_of(nodeid)
    if file in APART:
        return nodeid
    profile = _PROFILE.search(nodeid) if file in BY_PROFILE else None
    return f"{file}[{profile[1]}]" if profile else file


def seconds_of(nodeid: str) -> int:
    """Return how long the file of a test takes, as far as that is known."""
    file = file_of(nodeid)
    return SECONDS.get(file, UNIT if file.startswith("unit/") else BUILDS)


def kernels_of(item: pytest.Item) -> list[str]:
    """Return the kernels that a test is marked with: attributes of nix/default.nix."""
    return [f"kernels.{mark.args[0]}" for mark in item.iter_markers("kernel")]


def in_order(items: Sequence[pytest.Item], missing: Sequence[str]) -> list[pytest.Item]:
    """Return ITEMS in the order of this module; kernels that are MISSING have to be compiled."""
    units: dict[str, list[pytest.Item]] = {}
    for item in items:
        units.setdefault(unit_of(item.nodeid), []).append(item)

    def rank(unit: list[pytest.Item]) -> tuple[bool, bool, int]:
        seconds = seconds_of(unit[0].nodeid)
        compiles = any(set(kernels_of(item)) & set(missing) for item in unit)
        return seconds == UNIT, compiles, -seconds

    return [item for unit in sorted(units.values(), key=rank) for item in unit]


class Units(LoadScopeScheduling):
    """Hands out units in the order that their tests were collected in."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if not hasattr(self, "_places"):  # xdist has ordered them by their number of tests
            collected = map(unit_of, self.collection or ())
            self._places = {unit: place for place, unit in enumerate(dict.fromkeys(collected))}
        self.workqueue.move_to_end(min(self.workqueue, key=self._places.__getitem__), last=False)
        super()._assign_work_unit(node)
