"""Runs an enclave image in stock QEMU, with a software NSM: for everybody, and NOT SECURE.

What is booted is what the image holds, kernel, command line and ramdisks; QEMU's `microvm`
is like a Nitro enclave's machine. Only the security module differs: there is no /dev/nsm,
so the loader asks this process, which signs with keys of this run (nsm.py). KVM is not used.

QEMU's own machine `nitro-enclave`, of builds that have it, takes the image file itself and
has a /dev/nsm. Its documents are not signed, so they are for comparing what it measures:
https://www.qemu.org/docs/master/system/i386/nitro-enclave.html
"""

import io
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vcr import process
from vcr.engines.enclave import wire
from vcr.engines.enclave.device import Device
from vcr.engines.enclave.image import measure_image, read_image
from vcr.engines.enclave.printed import take_apart
from vcr.engines.enclave.vsock import Service
from vcr.engines.relay import listen
from vcr.errors import HostError, UnhealthyError
from vcr.model.board import BOARDS, Board
from vcr.sandbox.build_machine import option
from vcr.tools.nbdkit import Nbdkit

CID = 16  # of enclaves, from 4 on
START_SECONDS = 1800.0  # an emulator in an emulator, on a busy host
POLL_SECONDS = 0.1
PRINT_SECONDS = 5.0  # for the last words of an enclave that has ended
TAIL_LINES = 15
TAIL_BYTES = 64 << 10
MIB = 1 << 20
CPU = "max"


@dataclass(frozen=True)
class Setup:
    """What nix/stages/emulation.nix names."""

    image: Path
    drive: Path
    nbdkit: Path  # the toolset
    qemu: Path
    qemu_data: Path


class Emulation:
    """A running enclave; a context manager, whose end is the enclave's."""

    def __init__(
        self,
        setup: Setup,
        scratch: Path,
        console: Path,
        *,
        log: Path | None = None,
        drive: Service | None = None,
        nitro: Path | None = None,
    ) -> None:
        """Use the directory SCRATCH, its path at most 90 bytes; what is printed goes to CONSOLE.

        What the app prints goes to LOG, without one to CONSOLE, too, marked (printed.py). DRIVE
        connects to another NBD server than one of our own for SETUP's drive. NITRO is a QEMU with
        the machine nitro-enclave, to be used in place of SETUP's.
        """
        # Signing takes packages that nothing else here needs.
        from vcr.engines.enclave.nsm import SoftwareNsm

        self.setup = setup
        self.console = console
        self._log = log
        self._scratch = scratch
        self._drive = drive
        self._nitro = nitro
        self.image = read_image(setup.image)
        self.pcrs = measure_image(self.image)
        self.nsm = SoftwareNsm(self.pcrs)
        self._stack = ExitStack()
        self._device: Device | None = None
        self._qemu: process.Child | None = None
        self._printing: threading.Thread | None = None
        self._has_started = False

    def __enter__(self) -> Self:
        """Start it; raises HostError."""
        with self._stack:
            drive = self._drive or self._serve_drive()
            services = {
                wire.HEARTBEAT_PORT: _threaded(self._echo),
                wire.NSM_PORT: _threaded(lambda sock: wire.serve_nsm(sock, self.nsm.handle)),
                wire.DRIVE_PORT: drive,
            }
            path = self._scratch / "vsock"
            self._device = self._stack.enter_context(Device(path, CID, services))
            self._qemu = self._spawn_qemu(self.command_line(path))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @property
    def is_running(self) -> bool:
        """Return whether the enclave has not ended."""
        return self._qemu is not None and self._qemu.poll() is None

    def connect(self, port: int) -> socket.socket:
        """Return a connection to a vsock PORT of the enclave; one that is refused just ends."""
        if self._device is None:
            raise HostError("the enclave was not started")
        return self._device.connect(port)

    def wait_until_serving(self, timeout: float = START_SECONDS) -> None:
        """Return when the app answers in it; raises UnhealthyError with its last words."""
        if wire.serves_within(timeout, self.connect, lambda: self.is_running):
            return
        how = "did not start to serve" if self.is_running else "ended"
        raise UnhealthyError(f"the enclave {how}", tail=self.last_words())

    def attest(self, *, nonce: bytes | None = None, user_data: bytes | None = None) -> bytes:
        """Return an attestation document, signed by this run's software NSM.

        Raises NotServingError, VcrError.
        """
        return wire.attest(self.connect, nonce=nonce, user_data=user_data)

    def health(self, seconds: int) -> tuple[int, bytes]:
        """Return exit code and output of the app's health command; raises as `attest`."""
        return wire.health(self.connect, seconds)

    def facts(self) -> str:
        """Return what its machine sees of the app, a line of JSON; raises as `attest`."""
        return wire.facts(self.connect)

    def forward(self, address: str, host: int, guest: int) -> int:
        """Lead TCP port HOST (0 for any) at ADDRESS to the app's port GUEST; return HOST."""
        listener = listen(address, host)
        self._stack.callback(listener.close)
        threading.Thread(target=self._accept, args=(listener, guest), daemon=True).start()
        return int(listener.getsockname()[1])

    def last_words(self) -> list[str]:
        """Return the end of what the kernel and the loader printed."""
        if self._printing is not None and not self.is_running:
            self._printing.join(PRINT_SECONDS)
        with self.console.open("rb") as file:
            file.seek(max(0, file.seek(0, io.SEEK_END) - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()][-TAIL_LINES:]

    def command_line(self, vsock: Path) -> list[str]:
        """Return QEMU's argv, with what it loads laid out in files; VSOCK is the device's."""
        memory = f"{-(-self.image.memory // MIB)}M"
        machine = self._nitro_enclave() if self._nitro else self._microvm(memory)
        return [
            *machine,
            *("-L", str(self.setup.qemu_data)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-m", memory, "-smp", "1", "-accel", "tcg,thread=single"),
            # In time of its own, an instruction a nanosecond: by this host's clock, timers of
            # the machine in it would come faster than an emulator in an emulator serves them.
            *("-icount", "shift=0,sleep=on"),
            *("-chardev", f"socket,id=vsock,path={option(vsock)}"),
            *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        ]

    def _microvm(self, memory: str) -> list[str]:
        """Lay out the image's parts; return the argv that begins with QEMU's name."""
        kernel, initrd = self._scratch / "kernel", self._scratch / "initrd"
        board = BOARDS[self.image.arch]
        kernel.write_bytes(self.image.kernel)
        initrd.write_bytes(b"".join(self.image.ramdisks))
        return [
            str(self.setup.qemu),
            # virtio-mmio devices are announced on the command line, as on Nitro.
            *("-M", f"{board.machine},memory-backend=ram", *_processor(board)),
            *(word for device in board.enclave_devices for word in ("-device", device)),
            # The device reads and writes the guest's memory, so it is shared with it.
            *("-object", f"memory-backend-memfd,id=ram,size={memory},share=on"),
            *("-kernel", str(kernel), "-initrd", str(initrd), "-append", self.image.cmdline),
            *("-device", "vhost-user-vsock-device,chardev=vsock"),
        ]

    def _nitro_enclave(self) -> list[str]:
        """Return the argv of QEMU's own machine, which reads and measures the image itself."""
        machine = ("-M", "nitro-enclave,vsock=vsock,rtc=on")
        processor = _processor(BOARDS[self.image.arch])
        return [str(self._nitro), *machine, *processor, "-kernel", str(self.setup.image)]

    def _echo(self, connection: socket.socket) -> None:
        """Send the heartbeat back, as nitro-cli does. An enclave that comes again has ended.

        Without ACPI Linux starts again through the firmware, which -no-reboot does not see.
        """
        if self._has_started and self._qemu is not None:
            self._qemu.kill()
        self._has_started = True
        with connection, suppress(OSError):
            connection.sendall(connection.recv(1))

    def _accept(self, listener: socket.socket, guest: int) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                if self._device is not None:
                    self._device.attach(client, wire.APP_PORT, wire.app_preface(guest))

    def _serve_drive(self) -> Service:
        path, pid_file = self._scratch / "nbd", self._scratch / "nbd.pid"
        nbdkit = Nbdkit.of_toolset(self.setup.nbdkit)
        argv = nbdkit.command_line(self.setup.drive, ("--unix", str(path)), pid_file)
        server = self._spawn(argv, self._scratch / "nbd.log")
        while not pid_file.exists():
            if server.poll() is not None:
                why = (self._scratch / "nbd.log").read_text(errors="replace").strip()
                raise HostError("nbdkit does not serve the drive", why=why)
            time.sleep(POLL_SECONDS)

        def connect() -> socket.socket:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(path))
            return sock

        return connect

    def _spawn_qemu(self, argv: list[str]) -> process.Child:
        read, write = os.pipe()
        printed = os.fdopen(read, "rb")
        words = (printed, self.console, self._log)
        self._printing = threading.Thread(target=take_apart, args=words, daemon=True)
        self._stack.callback(printed.close)
        self._stack.callback(self._printing.join, PRINT_SECONDS)
        with os.fdopen(write, "wb") as output:
            child = process.spawn(argv, output=output, die_with_parent=True)
        self._stack.callback(_end, child)
        self._printing.start()
        return child

    def _spawn(self, argv: list[str], output: Path) -> process.Child:
        with output.open("ab") as file:
            child = process.spawn(argv, output=file, die_with_parent=True)
        self._stack.callback(_end, child)
        return child


def _processor(board: Board) -> tuple[str, ...]:
    """Return the argv of its CPU, and of its firmware, which QEMU looks for by name."""
    firmware = ("-bios", Path(board.firmware).name) if board.firmware else ()
    return (*board.processor(CPU), *firmware)


def _end(child: process.Child) -> None:
    child.kill()
    child.wait()


def _threaded(serve: Callable[[socket.socket], None]) -> Service:
    """Return a service that runs in a thread for each connection."""

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        threading.Thread(target=serve, args=(ours,), daemon=True).start()
        return theirs

    return connect
