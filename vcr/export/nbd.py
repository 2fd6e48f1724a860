"""A sealed drive served read-only over NBD, to several clients at once, until it is stopped.

https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md says how an address is
written for clients. The drive is checked whole before anybody gets a byte of it.
"""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from vcr import process
from vcr.atomic import scratch_directory
from vcr.engines.sealed import check_drive, read_parameters
from vcr.errors import HostError, UsageError, VcrError
from vcr.export.manifest import DRIVE, VERITY
from vcr.runtime.ports import LOOPBACK, check_port
from vcr.runtime.record import SOCKET_PATH_LIMIT
from vcr.tools.nbdkit import Nbdkit

VSOCK = Path("/dev/vsock")
HOST_CID = 2  # VMADDR_CID_HOST, vsock(7): what a guest calls this host
START_SECONDS = 10.0
# nbdkit waits for clients to finish their requests; one that is silent must not hold it.
STOP_SECONDS = 2.0
POLL_SECONDS = 0.02
_TCP = re.compile(r"(?:(\d+(?:\.\d+){3}):)?(\d{1,5})")


@dataclass(frozen=True)
class Address:
    """Where a drive is served: kind is tcp, unix or vsock."""

    kind: str
    host: str = ""  # of tcp
    port: int = 0  # of tcp, 0 for any that is free, and of vsock
    path: Path = Path()  # of unix

    @property
    def uri(self) -> str:
        """Return what a client is given."""
        if self.kind == "tcp":
            return f"nbd://{self.host}:{self.port}"
        if self.kind == "unix":
            return f"nbd+unix:///?socket={quote(str(self.path))}"
        return f"nbd+vsock://{HOST_CID}:{self.port}"

    @property
    def options(self) -> tuple[str, ...]:
        """Return nbdkit's options for it."""
        if self.kind == "tcp":
            return ("--ipaddr", self.host, "--port", str(self.port))
        if self.kind == "unix":
            return ("--unix", str(self.path))
        return ("--vsock", "--port", str(self.port))


def parse_address(text: str) -> Address:
    """Read `tcp:[HOST:]PORT`, `unix:PATH` or `vsock:PORT`; raises UsageError."""
    kind, _, rest = text.partition(":")
    match = _TCP.fullmatch(rest)
    if kind == "tcp" and match and int(match[2]) <= 65535:
        return Address("tcp", host=match[1] or LOOPBACK, port=int(match[2]))
    if kind == "unix" and rest:
        return Address("unix", path=Path(rest).absolute())
    if kind == "vsock" and rest.isascii() and rest.isdigit() and int(rest) < 2**32 - 1:
        return Address("vsock", port=int(rest))
    raise UsageError(
        f"{text!r} does not say where to serve",
        fix="write tcp:10809, tcp:0.0.0.0:10809, unix:/run/drive.sock or vsock:10809",
    )


@dataclass(frozen=True)
class Server:
    """An nbdkit that listens."""

    uri: str
    size: int  # bytes of the drive, its tree included
    child: process.Child
    log: Path

    @property
    def pid(self) -> int:
        """Return its process ID."""
        return self.child.pid

    def wait(self) -> None:
        """Wait without an end: raises VcrError when it ends, KeyboardInterrupt on a signal."""
        self.child.wait()
        raise _ended(self.log)


@contextmanager
def serve(nbdkit: Nbdkit, seal: Path, wanted: Address) -> Iterator[Server]:
    """Serve the drive of the directory SEAL while the block runs.

    Raises MismatchError when the drive is not what was sealed, HostError when the address is taken.
    """
    drive = seal / DRIVE
    check_drive(drive, read_parameters(seal / VERITY))
    address = _available(wanted)
    with scratch_directory() as scratch:
        pid_file, log = scratch / "pid", scratch / "log"
        argv = nbdkit.command_line(drive, address.options, pid_file)
        with log.open("wb") as output:
            child = process.spawn(argv, output=output, die_with_parent=True)
        try:
            _wait_until_it_listens(child, pid_file, log)
            yield Server(address.uri, drive.stat().st_size, child, log)
        finally:
            process.stop(child, STOP_SECONDS)
            if address.kind == "unix":
                address.path.unlink(missing_ok=True)


def _available(wanted: Address) -> Address:
    """Return WANTED with a port that is free; raises HostError when it is taken."""
    if wanted.kind == "tcp":
        port = check_port(wanted.host, wanted.port, lambda other: f"--nbd tcp:{other}")
        return Address("tcp", host=wanted.host, port=port)
    if wanted.kind == "vsock" and not VSOCK.exists():
        raise HostError("this host has no vsock", why=f"there is no {VSOCK}", fix="modprobe vsock")
    if wanted.kind == "unix":
        _check_socket(wanted.path)
    return wanted


def _check_socket(path: Path) -> None:
    """Raise HostError unless a socket can be made at PATH; remove one that nobody serves."""
    if len(bytes(path)) > SOCKET_PATH_LIMIT:
        raise HostError(
            f"{path} is too long for a socket",
            why=f"Unix allows {SOCKET_PATH_LIMIT} bytes",
            fix="choose a shorter path",
        )
    if not path.exists() and not path.is_symlink():
        return
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe, suppress(ConnectionRefusedError):
            probe.connect(str(path))
            raise HostError(f"{path} is served already", fix="stop that, or choose another path")
        path.unlink()
        return
    raise UsageError(f"{path} exists and is not a socket", fix="choose another path")


def _wait_until_it_listens(child: process.Child, pid_file: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not pid_file.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            raise _ended(log)
        time.sleep(POLL_SECONDS)


def _ended(log: Path) -> VcrError:
    lines = log.read_text(errors="replace").splitlines()
    return HostError(
        "nbdkit does not serve the drive",
        why=lines[-1] if lines else "it ended without a message",
        fix="check the address; `ss -ltnp` shows who listens on ports",
    )
