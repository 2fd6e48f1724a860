"""In which order tests run, and what is handed to a worker as one unit.

A unit is a file: its tests may share a machine, or look for what only one of them may leave. Those
of PARTED share less. What takes long begins early, so that it is not what all wait for at the end.
Where a kernel was not compiled yet, what needs it comes last but for the unit tests: while one
worker compiles, the others have those left.
"""

import re
from collections.abc import Sequence

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

from vcr.model.arch import Arch
from vcr.model.profile import PROFILES

# Seconds of a file, or of one of its units, on two quiet cores with all in the store that a run
# leaves there. The order is what counts, so they need not be exact.
SECONDS = {
    "integration/test_words_of_failure": 470,
    "integration/test_connections": 470,
    "integration/test_guest_programs": 260,
    "integration/test_run": 250,
    "integration/test_dev": 240,
    "integration/test_prune_store": 200,
    "integration/test_perf_machines": 175,
    "integration/test_enclave_tls": 165,
    "integration/test_runtime": 135,
    "integration/test_same_container": 125,
    "integration/test_suggested": 120,
    "integration/test_lock_again": 110,
    "integration/test_hostile_addresses": 100,
    "integration/test_architectures": 90,
    "integration/test_release": 90,
    "integration/test_bad_input": 80,
    "integration/test_pull": 80,
    "integration/test_layers_in_memory": 75,
    "reliability/test_disk_full": 75,
    "reliability/test_network_cut": 75,
    "integration/test_foreign_tools": 70,
    "integration/test_attest": 60,
    "integration/test_clients": 60,
    "integration/test_debug": 60,
    "integration/test_docs": 60,
    "integration/test_enclave_boot": 60,
    "integration/test_exported": 60,
    "integration/test_gallery": 60,
    "integration/test_image": 60,
    "integration/test_odd_paths": 60,
    "integration/test_verbs": 60,
    "reliability/test_many": 60,
    "repro/test_hostile_host": 60,
    "integration/test_logs": 50,
    "integration/test_secrets": 50,
    "reliability/test_kill": 50,
    "repro/test_snapshot": 40,
    "unit/test_style": 25,
    "unit/test_private": 20,
    "unit/test_lock_archive": 12,
    "unit/test_sandbox_tar": 9,
    "unit/test_dockerfile_limits": 8,
    "unit/test_attest_hostile": 7,
    "unit/test_attest_nitro": 6,
    "unit/test_attest_source": 6,
    "unit/test_flips": 5,
}
BUILDS, UNIT = 20, 0  # of what is not measured
# Parameters: each architecture, with the kernel of its machines, which takes long to compile.
ARCHS = [pytest.param(arch, marks=pytest.mark.kernel(str(arch))) for arch in Arch]
_NAMES = "|".join(sorted(("dev in a VM", *PROFILES), key=len, reverse=True))
PROFILE = re.compile(rf"(?<=[\[-])({_NAMES})(?=[]-])")
EACH = re.compile(r"::.*")
COMMAND = re.compile(r"(?<=\[).+(?=-\d)")
# Files whose tests are one unit only where they have this in their names alike.
PARTED = {
    "integration/test_docs": EACH,
    "integration/test_connections": PROFILE,
    "integration/test_dockerfiles": EACH,
    "integration/test_enclave_boot": EACH,
    "integration/test_examples": EACH,
    "integration/test_foreign_tools": EACH,
    "integration/test_gallery": EACH,
    "integration/test_host_reach": PROFILE,
    "integration/test_inside_profiles": PROFILE,
    "integration/test_prod": EACH,
    "integration/test_same_container": PROFILE,
    "integration/test_ssh": PROFILE,
    "integration/test_suggested": EACH,
    "integration/test_verbs": PROFILE,
    "reliability/test_every_bit": EACH,
    "reliability/test_kill": COMMAND,
    "repro/test_hostile_host": EACH,
    "unit/test_flips": EACH,
}


def file_of(nodeid: str) -> str:
    """Return the file of a test, below tests/ and without its suffix."""
    return nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")


def unit_of(nodeid: str) -> str:
    """Return the name of the unit that a test belongs to."""
    file = file_of(nodeid)
    part = PARTED[file].search(nodeid) if file in PARTED else None
    return f"{file} {part[0]}" if part else file


def seconds_of(nodeid: str) -> int:
    """Return how long the unit of a test takes, as far as that is known."""
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
        first = unit[0].nodeid
        compiles = any(set(kernels_of(item)) & set(missing) for item in unit)
        return file_of(first).startswith("unit/"), compiles, -seconds_of(first)

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
