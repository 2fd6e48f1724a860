"""What was unpacked of a sealed drive is compared before QEMU is given the machine's state."""

import socket
from concurrent.futures import Future
from pathlib import Path

import pytest

from vcr.engines.machine import Channels
from vcr.engines.qemu.snapshot import SnapshotMachine
from vcr.errors import MismatchError, VcrError
from vcr.formats.failure import Failure

SEALED = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (f"sha256:{'1' * 64}", MismatchError),
        (Failure("memory of 5 bytes is not a number of pages"), VcrError),
    ],
    ids=["another machine", "none"],
)
def test_another_machine_than_was_sealed_is_never_given_its_state(
    tmp_path: Path, found: str | Failure, error: type[VcrError]
) -> None:
    nowhere = dict.fromkeys(("qemu", "qemu_data", "drive", "verity", "unsquashfs"), "/no")
    machine = SnapshotMachine.of({"name": "app", "ports": (), "health": None, **nowhere})
    channels = Channels(*(tmp_path / name for name in ("console", "log", "agent", "qmp")))
    hashed = Future[str]()
    machine._hashed[channels.scratch] = SEALED, hashed
    if isinstance(found, Failure):
        hashed.set_exception(found)
    else:
        hashed.set_result(found)
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.bind(str(channels.monitor))
        monitor.listen()
        monitor.settimeout(0)
        with pytest.raises(error):
            machine.begin(channels)
        with pytest.raises(BlockingIOError):
            monitor.accept()  # nobody told QEMU anything
