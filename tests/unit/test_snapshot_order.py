"""What was unpacked of a sealed drive is compared before QEMU is given the machine's state."""

import socket
from concurrent.futures import Future
from pathlib import Path

import pytest

from vcr.engines.machine import Channels
from vcr.engines.qemu import snapshot
from vcr.engines.qemu.snapshot import SnapshotMachine
from vcr.errors import MismatchError, VcrError
from vcr.formats.failure import Failure
from vcr.formats.hashes import progress
from vcr.formats.hashes.progress import Hashed
from vcr.sandbox.hardware import CONSOLE, DESCRIPTION, LOG, RAM, STATE

SEALED = f"sha256:{'0' * 64}"
SIZE = 8 << 20  # bytes of memory


def machine_in(directory: Path) -> tuple[SnapshotMachine, Channels]:
    nowhere = dict.fromkeys(("qemu", "qemu_data", "drive", "verity", "unsquashfs"), "/no")
    machine = SnapshotMachine.of({"name": "app", "ports": (), "health": None, **nowhere})
    return machine, Channels(*(directory / name for name in ("console", "log", "agent", "qmp")))


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
    machine, channels = machine_in(tmp_path)
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


def test_how_far_the_hashing_is_is_shown_while_qemu_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, channels = machine_in(tmp_path)
    channels.scratch.mkdir(parents=True, exist_ok=True)
    for name in (STATE, DESCRIPTION, CONSOLE, LOG):
        (channels.scratch / name).write_text(name)
    (channels.scratch / RAM).write_bytes(b"\1" * SIZE)
    monkeypatch.setattr(snapshot, "unpack", lambda *_: SEALED)
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    told: list[Hashed] = []
    with progress.shown_to(told.append):
        machine.prepare(channels)
    machine._hashed[channels.scratch][1].result()
    assert told[-1] == Hashed("the memory", SIZE, SIZE)
