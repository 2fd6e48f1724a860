"""QEMU's boards: the command lines that machines of every architecture get, word for word."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vcr.atomic import scratch_directory
from vcr.engines.enclave.emulated import Emulation, Setup
from vcr.engines.machine import Channels
from vcr.engines.qemu import network
from vcr.engines.qemu.boot import BootMachine
from vcr.formats.eif import ARCHITECTURES, Image, encode, metadata
from vcr.model.arch import Arch
from vcr.sandbox import build_machine
from vcr.sandbox.hardware import Prod, Sockets, restored

CHANNELS = Channels(Path("/c/console"), Path("/c/log"), Path("/c/agent"), Path("/c/qmp"))


def boot_machine(arch: str) -> list[str]:
    machine = BootMachine(
        name="app", qemu=Path("/s/qemu"), qemu_data=Path("/s/data"), firmware="",
        kernel=Path("/s/kernel"), initramfs=Path("/s/initramfs"), squashfs=Path("/s/root"),
        append="quiet", memory_mib=256, cpus=8, ports=(80,), health=None, arch=arch,
    )  # fmt: skip
    return machine.qemu_argv(network.OPEN, CHANNELS)


def step_machine(arch: str) -> list[str]:
    machine = build_machine.Machine(
        arch=arch, qemu="/s/qemu", data="/s/data", firmware="", kernel="/s/kernel",
        initramfs="/s/initramfs", debian=False, memory_mib=512,
    )  # fmt: skip
    return build_machine.command_line(
        machine,
        Path("/c/initrd"),
        Path("/c"),
        clock=build_machine.COUNTED,
        memory=Path("/c/memory"),
    )


def enclave(arch: str) -> list[str]:
    with scratch_directory() as scratch:
        image = Image(arch, b"kernel", "quiet", (b"one", b"two"), metadata("app", "6"), 1 << 28, 2)
        (scratch / "eif").write_bytes(encode(image))
        setup = Setup(scratch / "eif", scratch, scratch, Path("/s/qemu"), Path("/s/data"))
        argv = Emulation(setup, scratch, scratch / "console").command_line(Path("/c/vsock"))
    return [word.replace(str(scratch), "/c") for word in argv]


def restored_machine(_arch: str) -> list[str]:
    machine = Prod.of("/s/qemu", "/s/data", 128, 0)
    sockets = Sockets(CHANNELS.agent, CHANNELS.monitor)
    return restored(machine, Path("/c/ram"), CHANNELS.console, CHANNELS.log, sockets, "user")


MACHINES = [
    *(pytest.param(boot_machine, str(arch), id=f"boot-{arch}") for arch in Arch),
    *(pytest.param(step_machine, str(arch), id=f"step-{arch}") for arch in Arch),
    *(
        pytest.param(enclave, str(arch), id=f"enclave-{arch}")
        for arch in Arch
        if arch in ARCHITECTURES
    ),
    pytest.param(restored_machine, "riscv64", id="restored-riscv64"),
]


@pytest.mark.parametrize(("argv", "arch"), MACHINES)
def test_the_command_line_is_as_recorded(
    argv: Callable[[str], list[str]], arch: str, repo: Path, request: pytest.FixtureRequest
) -> None:
    golden = repo / "tests/golden/qemu" / f"{request.node.callspec.id}.txt"
    assert "\n".join(argv(arch)) + "\n" == golden.read_text()
