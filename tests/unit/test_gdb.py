"""`vcr gdb` and `--turbo`: command lines, and who may have them."""

import io
from pathlib import Path
from typing import Any

import pytest

from vcr.app import Context, UpOptions, Variant
from vcr.app.running.start import Start
from vcr.engines.container.machine import NO_ADDITIONS, Additions
from vcr.engines.machine import Channels
from vcr.engines.qemu.boot import BootMachine
from vcr.engines.qemu.network import OPEN
from vcr.errors import UsageError
from vcr.model.board import BOARDS
from vcr.settings import Settings
from vcr.tools.gdb import command_line, programs
from vcr.ui import Ui

PLACE = Path("/s")
CHANNELS = Channels(PLACE / "console", PLACE / "log", PLACE / "agent", PLACE / "qmp")


def start(profile: str) -> Start:
    return Start(Variant(profile), UpOptions(turbo=True))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, Settings.load({"HOME": str(tmp_path)}), Ui(err=io.StringIO()))


def test_a_debugger_is_given_symbols_where_there_are_some() -> None:
    board = BOARDS["riscv64"]
    words = command_line("gdb", board, Path("/run/gdb"), Path("/k/symbols"))
    assert words[-3:] == ["/k/symbols", "-ex", "target remote /run/gdb"]
    assert "/k/symbols" not in command_line("gdb", board, Path("/run/gdb"), None)


@pytest.mark.parametrize(
    ("arch", "known"),
    [("amd64", "i386:x86-64"), ("arm64", "aarch64"), ("riscv64", "riscv:rv64")],
)
def test_a_debugger_is_told_the_architecture_of_the_machine(arch: str, known: str) -> None:
    board = BOARDS[arch]
    assert f"set architecture {known}" in command_line("gdb", board, Path("/run/gdb"), None)
    assert f"{board.triplet}-gdb" in programs(board)


def test_turbo_gives_a_machine_that_boots_every_cpu_and_says_so(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(64)))
    additions = start("vm").additions(context)
    assert additions.cpus == 8  # as many as the kernel has room for
    assert isinstance(context.ui.err, io.StringIO)
    assert "NOTHING ABOUT THIS RUN IS REPRODUCIBLE" in context.ui.err.getvalue()
    assert additions.digest not in {"", Additions(cpus=4).digest}


@pytest.mark.parametrize("profile", ["prod", "prod-debug", "dev", "vm-release"])
def test_turbo_is_for_vm_only(context: Context, profile: str) -> None:
    with pytest.raises(UsageError, match=f"--turbo is not for the profile {profile}"):
        start(profile).additions(context)


def test_each_cpu_has_a_thread_of_its_own() -> None:
    paths: dict[str, Any] = {name: PLACE / name for name in ("qemu", "qemu_data", "kernel")}
    machine = BootMachine(
        "app", **paths, firmware="", initramfs=PLACE, squashfs=PLACE, append="", memory_mib=64,
        cpus=5, ports=(), health=None,
    )  # fmt: skip
    argv = machine.qemu_argv(OPEN, CHANNELS)
    assert argv[argv.index("-smp") + 1] == "5"
    assert argv[argv.index("-accel") + 1] == "tcg,thread=multi"
    assert not NO_ADDITIONS
