"""Run-once: a machine executed again from step 0, and its hash computed from its bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vcr.build.builder import Built
from vcr.errors import MismatchError, VcrError
from vcr.formats.hashes.merkle import machine_hash
from vcr.model.digest import Digest
from vcr.model.plan import Plan
from vcr.verify.rebuild import Rebuilder

SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class Executed:
    """What a second execution came to."""

    digest: Digest
    machine: Mapping[str, Any]  # machine.json


def execute_again(rebuilder: Rebuilder, plan: Plan, built: Built) -> Executed:
    """Execute the machine of PLAN from step 0 once more and compare with what is BUILT.

    Raises MismatchError when one byte of it, memory, devices or count, is not the same, or
    when something of another host that it is made of is not what a build of it gives here.
    """
    target = rebuilder.repeat(plan, SNAPSHOT)
    try:
        machine = json.loads((target.out / "machine.json").read_bytes())
        # The Cartesi machine's hash is its emulator's, which computes it in the build.
        found = machine_hash(target.out) if machine["engine"] == "qemu" else machine["root_hash"]
        digest = Digest(found)
    except (OSError, ValueError, KeyError) as error:
        raise VcrError(f"cannot read the machine in {target.out}", why=str(error)) from None
    claimed = next(rung.digest for rung in built.ladder if rung.name == SNAPSHOT)
    if digest != claimed:
        raise MismatchError(
            "the machine hash is not that of the machine's files",
            details=(("expected", claimed), ("got", digest)),
        )
    return Executed(digest, machine)
