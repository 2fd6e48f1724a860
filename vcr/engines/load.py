"""Which machine a build describes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vcr.engines.boot import BootMachine
from vcr.engines.cartesi import CartesiMachine
from vcr.engines.enclave import EnclaveMachine
from vcr.engines.machine import Machine, read_vm
from vcr.engines.snapshot import SnapshotMachine

KINDS: dict[str, Callable[[dict[str, Any]], Machine]] = {
    "boot": BootMachine.of,
    "snapshot": SnapshotMachine.of,
    "cartesi": CartesiMachine.of,
    "enclave": EnclaveMachine.of,
}


def load_machine(output: Path) -> Machine:
    """Read what the stage `vm` or `prod` left in OUTPUT; raises UsageError."""
    data = read_vm(output)
    return KINDS[data.pop("kind")](data)
