"""A build machine: QEMU that boots guest/step with a job, and what came of it.

Deterministic by construction: the clock counts instructions, one CPU, fixed seeds, no
device that works on its own. Everything the machine reads is in its memory: the layers below
are files that are mapped into it (qemu/mapped.py), the rest is in its initramfs. What it
says goes to files, which never make it wait. A machine that records has one more port,
over which it asks for what it wants of the network.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure
from vcr.formats.job import as_record
from vcr.formats.tree import Content, Node, Tree, directory, text_file
from vcr.model.board import BOARDS, Board
from vcr.sandbox.qemu.parts import NONE, Mapping, memory_argv, too_large

# Ports of guest/step; each is a file on this side.
OUTPUT, RESULT, LAYER, CACHE, FETCH = (
    "vcr.output", "vcr.result", "vcr.layer", "vcr.cache", "vcr.fetch",
)  # fmt: skip
PORTS = ("console", OUTPUT, RESULT, LAYER, CACHE)
POLL_SECONDS = 0.05
MAX_OUTPUT = 16 << 20  # bytes a step may print
MAX_RESULT = 1 << 20  # bytes
# Bytes that all ports together may take on this host. A file of zeros costs the machine
# nothing, and is sent whole.
MAX_FILES = 32 << 30
TAIL = 2000  # bytes of the console that are worth showing
# What of its memory a machine keeps for itself and for programs, at least; the rest, less
# what it reads, is what a step may write.
RESERVED = 160 << 20
MIN_DISK = 16 << 20

# What Debian's kernel, which is for every machine, does at boot that none of ours needs:
# self-tests of random number generators, certificates for signed modules, tracing, BPF.
NEEDLESS = (
    "jent_mod_init", "load_system_certificate_list", "bpf_tcp_ca_kfunc_init",
    "init_kprobe_trace", "bpf_dummy_struct_ops_init", "lockup_detector_check",
)  # fmt: skip
# norandmaps, nokaslr: addresses are the same whatever ran before.
# init_on_alloc: clearing pages twice only costs time.
# rootfstype: the initramfs may fill more than half the memory.
KERNEL_LINE = (
    "quiet panic=-1 norandmaps nokaslr init_on_alloc=0 rootfstype=ramfs rdinit=/init "
    "mitigations=off"
)
# Of QEMU: https://www.qemu.org/docs/master/system/invocation.html
# shift=0: an instruction takes a nanosecond of the machine's time. sleep=off: while it
# waits, its time jumps ahead.
COUNTED = ("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-seed", "1")
FREE = ("-accel", "tcg,thread=single")
KVM = ("-accel", "kvm")
KVM_SECONDS = 3.0  # a kernel that finds no root ends after a fraction of one
# How ports are attached, by the board's bus. ioeventfd=off: a request is served while the CPU
# waits, not some time later.
PORT_BUSES = {
    "pci": ("-device", "virtio-serial-pci,ioeventfd=off"),
    "device": ("-global", "virtio-mmio.ioeventfd=off", "-device", "virtio-serial-device"),
}


@dataclass(frozen=True)
class Machine:
    """What a build machine is made of: store paths of nix/lib/machine.nix."""

    arch: str
    qemu: str
    data: str  # QEMU's directory of firmware
    firmware: str  # "" for the machine's own
    kernel: str
    initramfs: str
    debian: bool  # the kernel is Debian's
    memory_mib: int
    disk_mib: int = 0  # what a step may write, beside the memory; 0: in most of the memory

    @property
    def size(self) -> int:
        """Return the bytes of memory that it has."""
        return (self.memory_mib + self.disk_mib) << 20

    @property
    def board(self) -> Board:
        """Return the board that the kernel is for, whichever host emulates it."""
        return BOARDS[self.arch]


@dataclass(frozen=True)
class Result:
    """How a step ended: a Result of guest/step/main.go."""

    exit: int
    signal: int  # that ended it, or 0
    error: str  # why it could not be started
    oom: bool
    full: bool  # the disk was
    refused: tuple[str, ...] | None = None  # what it asked the network for in vain


def option(value: Path | str) -> str:
    """Return VALUE as the value of one of QEMU's options: a comma would begin the next one.

    https://www.qemu.org/docs/master/system/invocation.html, "-drive"
    """
    return str(value).replace(",", ",,")


def kernel_line(words: str, *, debian: bool) -> str:
    """Return WORDS as a kernel's command line; a DEBIAN kernel is told what to leave out."""
    less = f" cryptomgr.notests initcall_blacklist={','.join(NEEDLESS)}" if debian else ""
    return words + less


def kernel_alone(
    machine: Machine,
    *with_it: str,
    clock: Sequence[str],
    mapping: Mapping = NONE,
    memory: Path | None = None,
) -> list[str]:
    """Return the argv that boots MACHINE's kernel WITH_IT; without files and a root, it ends.

    MEMORY is a file that its memory is in.
    """
    argv = [machine.qemu, "-L", machine.data, "-nodefaults", "-no-user-config", "-no-reboot"]
    board = machine.board
    argv += ["-display", "none", "-M", board.machine, *board.processor(board.step_cpu), "-smp", "1"]
    argv += [*memory_argv(machine.size, mapping, option(memory) if memory else ""), *clock]
    argv += ["-bios", machine.firmware] if machine.firmware else []
    argv += ["-kernel", machine.kernel, *with_it]
    words = (f"console={board.console}", KERNEL_LINE, board.step_line, mapping.line)
    line = " ".join(filter(None, words))
    return [*argv, "-append", kernel_line(line, debian=machine.debian)]


def runs_by_kvm(machine: Machine) -> bool:
    """Return whether KVM runs MACHINE here: its kernel without a root has to end in time.

    Some hosts have a KVM that runs nothing, or stops in the middle and leaves QEMU waiting.
    """
    argv, none = kernel_alone(machine, clock=KVM), subprocess.DEVNULL
    try:
        done = subprocess.run(argv, stdin=none, timeout=KVM_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        sys.stderr.write("vcr: without KVM, because: it starts no machine here\n")
        return False
    return done.returncode == 0


def command_line(
    machine: Machine,
    initrd: Path,
    files: Path,
    *,
    clock: Sequence[str],
    mapping: Mapping = NONE,
    memory: Path | None = None,
    fetch: Path | None = None,
) -> list[str]:
    """Return the argv that runs MACHINE; FILES is the directory its ports write to.

    MAPPING is of what lies in its memory, MEMORY the file that is the rest of it, and FETCH the
    socket of a machine that records.
    """
    board = machine.board
    argv = kernel_alone(
        machine, "-initrd", str(initrd), clock=clock, mapping=mapping, memory=memory
    )
    # The clock starts at a fixed moment; the job sets it to the lock's.
    argv += ["-rtc", "base=2000-01-01T00:00:00,clock=vm"]
    argv += [
        "-chardev",
        f"file,id=console,path={option(files / 'console')}",
        "-serial",
        "chardev:console",
    ]
    argv += [*mapping.devices, *PORT_BUSES[board.bus]]
    for name in (OUTPUT, RESULT, LAYER, CACHE):
        argv += ["-chardev", f"file,id={name},path={option(files / name)}"]
        argv += ["-device", f"virtserialport,chardev={name},name={name}"]
    if fetch is not None:
        argv += ["-chardev", f"socket,id={FETCH},path={option(fetch)}"]
        argv += ["-device", f"virtserialport,chardev={FETCH},name={FETCH}"]
    return argv


def job_tree(request: dict[str, Any], files: dict[str, Path]) -> Tree:
    """Return what the machine reads: the REQUEST and FILES (path in the machine → on this host)."""
    tree = Tree()
    tree.put("job.json", text_file(json.dumps(request, sort_keys=True)))
    for name, file in files.items():
        tree.put(name, Node("file", 0o600, content=Content.of_file(file)), parents=directory(0o700))
    return tree


def disk_size(machine: Machine, files: dict[str, Path]) -> int:
    """Return the bytes that a step on MACHINE, which is given FILES, may write."""
    if machine.disk_mib:
        return machine.disk_mib << 20
    left = machine.size - sum(path.stat().st_size for path in files.values())
    return max(MIN_DISK, (left - RESERVED) * 4 // 5)


def run(argv: list[str], files: Path, show: Callable[[bytes], None]) -> Result:
    """Run a machine to its end, give its output to SHOW as it comes, return its result.

    Raises Failure when it ends without one, and when it prints too much.
    """
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as qemu:
        try:
            _relay(_follow(files / OUTPUT, qemu), show)
        finally:
            qemu.kill()
        complaint = qemu.stderr.read().decode("utf-8", "replace") if qemu.stderr else ""
    code = qemu.wait()
    result = files / RESULT
    if code == 0 and result.exists() and result.stat().st_size:
        return read_result(result)
    raise Failure(
        "the build machine ended before the command did", why=_why(code, complaint, files)
    )


def read_result(path: Path) -> Result:
    """Read the result that guest/step left at PATH; raises Failure.

    The command of the step is root in that machine, and can write there as well.
    """
    with path.open("rb") as file:
        data = file.read(MAX_RESULT + 1)
    try:
        if len(data) <= MAX_RESULT:
            return as_record(Result, json.loads(data))
    except (ValueError, RecursionError, Failure):
        pass
    raise Failure("the build machine gave no result", why="the command wrote to its port")


def _relay(pieces: Iterator[bytes], show: Callable[[bytes], None]) -> None:
    """Give PIECES to SHOW; raises Failure when there are too many."""
    printed = 0
    for piece in pieces:
        printed += len(piece)
        if printed > MAX_OUTPUT:
            raise Failure(
                f"the command printed more than {MAX_OUTPUT >> 20} MiB",
                why="endless output is most likely a loop",
                fix="let it print less, or redirect its output to a file",
            )
        show(piece)


def _check_files(files: Path) -> None:
    written = [path.stat().st_size for path in (files / name for name in PORTS) if path.exists()]
    if sum(written) > MAX_FILES:
        raise too_large(MAX_FILES)


def _follow(path: Path, qemu: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """Yield what appears in the file at PATH until QEMU has ended."""
    while not path.exists() and qemu.poll() is None:
        time.sleep(POLL_SECONDS)
    if not path.exists():
        return
    with path.open("rb") as file:
        ended = False
        while True:
            piece = file.read(1 << 16)
            if piece:
                yield piece
            elif ended:
                return
            else:
                _check_files(path.parent)
                ended = qemu.poll() is not None
                time.sleep(0 if ended else POLL_SECONDS)


def _why(code: int, complaint: str, files: Path) -> str:
    if complaint.strip():
        return complaint.strip()[-TAIL:]
    if code == -signal.SIGBUS:
        return "QEMU was ended by SIGBUS: the disk of this host, which its memory is on, is full"
    if code < 0:
        return f"QEMU was ended by {signal.Signals(-code).name}"
    console = files / "console"
    text = console.read_bytes().decode("utf-8", "replace") if console.exists() else ""
    fatal = [line for line in text.splitlines() if "FATAL" in line or "Kernel panic" in line]
    return "; ".join(fatal)[-TAIL:] or text.strip()[-TAIL:] or "it printed nothing"
