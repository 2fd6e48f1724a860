"""Which machine a build describes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vcr.engines.cartesi.machine import CartesiMachine
from vcr.engines.container.docker import DockerMachine
from vcr.engines.container.machine import NO_ADDITIONS, Additions, ContainerMachine
from vcr.engines.enclave.machine import EnclaveMachine
from vcr.engines.machine import Machine, read_vm
from vcr.engines.qemu.boot import BootMachine
from vcr.engines.qemu.snapshot import SnapshotMachine
from vcr.errors import UsageError

KINDS: dict[str, Callable[[dict[str, Any]], Machine]] = {
    "boot": BootMachine.of,
    "snapshot": SnapshotMachine.of,
    "cartesi": CartesiMachine.of,
    "container": ContainerMachine.of,
    "enclave": EnclaveMachine.of,
}


def load_machine(output: Path, additions: Additions = NO_ADDITIONS) -> Machine:
    """Read what the stage `container`, `vm` or `prod` left in OUTPUT; raises UsageError.

    ADDITIONS are for a container, CPUs for a machine that boots; others have no place for them.
    """
    data = read_vm(output)
    machine = KINDS[data.pop("kind")](data)
    if isinstance(machine, ContainerMachine):
        machine = replace(machine, additions=additions)
        if additions.runtime and additions.skopeo is not None:
            return DockerMachine(machine, additions.runtime, additions.skopeo)
        return machine.with_ports_of_services()
    if isinstance(machine, BootMachine) and additions.cpus:
        machine, additions = replace(machine, cpus=additions.cpus), replace(additions, cpus=0)
    if additions:
        raise UsageError(
            "environment and volumes cannot be given to a machine",
            why="everything in a machine is part of its digests",
            fix="use --profile dev, or ENV and COPY in the Dockerfile",
        )
    return machine
